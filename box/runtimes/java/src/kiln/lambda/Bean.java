package kiln.lambda;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The members of a class as JSON knows them: getters, setters and public fields by
 * the rules of Java beans, and the components of records. AWS's own event classes
 * are read with more tolerance, since their names differ from those in the events.
 */
final class Bean {
    private static final String EVENTS = "com.amazonaws.services.lambda.runtime.events.";
    private static final Map<Class<?>, Bean> KNOWN = new ConcurrentHashMap<Class<?>, Bean>();

    final boolean isEvent;
    private final Class<?> type;
    private final Map<String, Property> properties = new LinkedHashMap<String, Property>();
    private Map<String, Property> tolerant; // of an event: by names without case and dashes
    private Constructor<?> ofRecord; // null: no record

    static Bean of(Class<?> type) {
        Bean bean = KNOWN.get(type);
        if (bean == null) {
            bean = new Bean(type);
            KNOWN.put(type, bean);
        }
        return bean;
    }

    /** One member. */
    static final class Property {
        final String name;
        private Method getter;
        private Method setter;
        private Field field;
        private Class<?> component; // of a record
        private int index = -1;

        Property(String name) {
            this.name = name;
        }

        boolean canGet() {
            return getter != null || field != null && Modifier.isPublic(field.getModifiers());
        }

        boolean canSet() {
            return setter != null || field != null || index >= 0;
        }

        /** Gives the type of what is set. */
        Type type() {
            if (setter != null) {
                return setter.getGenericParameterTypes()[0];
            }
            return field != null ? field.getGenericType() : getter.getGenericReturnType();
        }

        Object get(Object of) throws Exception {
            if (getter == null) {
                return field.get(of);
            }
            try {
                return getter.invoke(of);
            } catch (InvocationTargetException error) {
                if (error.getCause() instanceof Exception) {
                    throw (Exception) error.getCause();
                }
                throw error;
            }
        }

        void set(Object of, Object value) throws Exception {
            if (setter == null) {
                field.set(of, value);
                return;
            }
            setter.invoke(of, value);
        }
    }

    private Bean(Class<?> type) {
        this.type = type;
        isEvent = type.getName().startsWith(EVENTS);
        if (!record()) {
            fields();
            methods();
        }
        if (isEvent) {
            tolerant = new HashMap<String, Property>();
            for (Property property : properties.values()) {
                // Of two that differ by case only, such as a field sns behind getSNS, one can be set.
                if (property.canSet() || !tolerant.containsKey(plain(property.name))) {
                    tolerant.put(plain(property.name), property);
                }
            }
        }
    }

    /** Reads the components of a record, which Java 8 has no word for. */
    private boolean record() {
        Class<?> above = type.getSuperclass();
        if (above == null || !above.getName().equals("java.lang.Record")) {
            return false;
        }
        try {
            Object[] components = (Object[]) Class.class.getMethod("getRecordComponents").invoke(type);
            Class<?>[] types = new Class<?>[components.length];
            for (int i = 0; i < components.length; i++) {
                Class<?> kind = components[i].getClass();
                Property property = property((String) kind.getMethod("getName").invoke(components[i]));
                property.getter = open((Method) kind.getMethod("getAccessor").invoke(components[i]));
                property.component = types[i] = (Class<?>) kind.getMethod("getType").invoke(components[i]);
                property.index = i;
            }
            ofRecord = type.getDeclaredConstructor(types);
            ofRecord.setAccessible(true);
            return true;
        } catch (ReflectiveOperationException error) {
            throw new IllegalArgumentException("Cannot read the record " + type.getName(), error);
        }
    }

    private Property property(String name) {
        Property property = properties.get(name);
        if (property == null) {
            property = new Property(name);
            properties.put(name, property);
        }
        return property;
    }

    private void fields() {
        for (Class<?> at = type; at != null && at != Object.class; at = at.getSuperclass()) {
            for (Field field : at.getDeclaredFields()) {
                int modifiers = field.getModifiers();
                if (Modifier.isStatic(modifiers) || Modifier.isTransient(modifiers) || field.isSynthetic()) {
                    continue;
                }
                if (Modifier.isPublic(modifiers) || isEvent) {
                    Property property = property(field.getName());
                    if (property.field == null) {
                        property.field = field;
                        openField(field);
                    }
                }
            }
        }
    }

    private static void openField(Field field) {
        try {
            field.setAccessible(true);
        } catch (RuntimeException error) {
            return; // a class of a closed module: what is public in it can be used anyway
        }
    }

    private static Method open(Method method) {
        if (!Modifier.isPublic(method.getDeclaringClass().getModifiers())) {
            try {
                method.setAccessible(true);
            } catch (RuntimeException error) {
                return method; // a class of a closed module: calling it says so
            }
        }
        return method;
    }

    private void methods() {
        Map<String, Method> setters = new HashMap<String, Method>();
        for (Method method : type.getMethods()) {
            if (Modifier.isStatic(method.getModifiers()) || method.isBridge() || method.getDeclaringClass() == Object.class) {
                continue;
            }
            String name = method.getName();
            int parameters = method.getParameterTypes().length;
            Class<?> result = method.getReturnType();
            if (parameters == 1 && name.startsWith("set") && name.length() > 3) {
                Method other = setters.get(name);
                if (other == null || prefers(method, other)) {
                    setters.put(name, method);
                }
            } else if (parameters == 0 && name.startsWith("get") && name.length() > 3 && result != void.class && !name.equals("getMetaClass")) {
                property(decapitalize(name.substring(3))).getter = open(method);
            } else if (parameters == 0 && name.startsWith("is") && name.length() > 2 && (result == boolean.class || result == Boolean.class)) {
                Property property = property(isName(name));
                if (property.getter == null) {
                    property.getter = open(method);
                }
            }
        }
        for (Method method : setters.values()) {
            String name = decapitalize(method.getName().substring(3));
            if (isEvent && !properties.containsKey(name) && properties.containsKey("is" + method.getName().substring(3))) {
                name = "is" + method.getName().substring(3);
            }
            property(name).setter = open(method);
        }
    }

    /** Chooses among setters of one name the one that takes what the getter gives. */
    private boolean prefers(Method method, Method other) {
        try {
            Class<?> given = type.getMethod("get" + method.getName().substring(3)).getReturnType();
            return method.getParameterTypes()[0] == given && other.getParameterTypes()[0] != given;
        } catch (NoSuchMethodException error) {
            return method.getParameterTypes()[0].isPrimitive();
        }
    }

    private String isName(String method) {
        if (isEvent && properties.containsKey(method)) {
            return method; // a field isBase64Encoded, whose getter has the same name
        }
        return decapitalize(method.substring(2));
    }

    /** Gives a bean's name of a property: URL stays, Name becomes name. */
    private static String decapitalize(String name) {
        if (name.length() > 1 && Character.isUpperCase(name.charAt(0)) && Character.isUpperCase(name.charAt(1))) {
            return name;
        }
        return Character.toLowerCase(name.charAt(0)) + name.substring(1);
    }

    private static String plain(String name) {
        StringBuilder plain = new StringBuilder(name.length());
        for (int i = 0; i < name.length(); i++) {
            char c = name.charAt(i);
            if (c != '-' && c != '_') {
                plain.append(Character.toLowerCase(c));
            }
        }
        return plain.toString();
    }

    Collection<Property> properties() {
        return properties.values();
    }

    /** Gives the property that a member of JSON sets; null when there is none. */
    Property settable(String name) {
        Property property = properties.get(name);
        if (tolerant != null && (property == null || !property.canSet())) {
            property = tolerant.get(plain(name));
        }
        return property != null && property.canSet() ? property : null;
    }

    Builder builder() {
        return new Builder();
    }

    /** An object that is being read. */
    final class Builder {
        private final Object made;
        private final Object[] components;

        Builder() {
            components = ofRecord == null ? null : new Object[properties.size()];
            made = ofRecord == null ? make(type) : null;
        }

        void set(Property property, Object value) {
            if (components != null) {
                components[property.index] = value;
                return;
            }
            try {
                property.set(made, value);
            } catch (InvocationTargetException error) {
                throw new JsonReader.Mismatch("Setting " + property.name + " of " + type.getName() + " failed", error.getCause());
            } catch (Exception error) {
                throw new JsonReader.Mismatch("Cannot set " + property.name + " of " + type.getName(), error);
            }
        }

        Object done() {
            if (components == null) {
                return made;
            }
            for (Property property : properties.values()) {
                if (components[property.index] == null) {
                    components[property.index] = Scalars.nothing(property.component);
                }
            }
            try {
                return ofRecord.newInstance(components);
            } catch (InvocationTargetException error) {
                throw new JsonReader.Mismatch("Cannot make " + type.getName(), error.getCause());
            } catch (ReflectiveOperationException error) {
                throw new JsonReader.Mismatch("Cannot make " + type.getName(), error);
            }
        }
    }

    /** Makes an object by its constructor without parameters. */
    static Object make(Class<?> type) {
        if (type.isInterface() || Modifier.isAbstract(type.getModifiers())) {
            throw new JsonReader.Mismatch("Cannot construct instance of `" + type.getName() + "`: an abstract type has no constructor to call");
        }
        Constructor<?> constructor;
        try {
            constructor = type.getDeclaredConstructor();
        } catch (NoSuchMethodException error) {
            if (type.getName().startsWith(EVENTS)) {
                return makeWithout(type);
            }
            throw new JsonReader.Mismatch("Cannot construct instance of `" + type.getName() + "`: it has no constructor without parameters");
        }
        try {
            if (!Modifier.isPublic(constructor.getModifiers()) || !Modifier.isPublic(type.getModifiers())) {
                constructor.setAccessible(true);
            }
            return constructor.newInstance();
        } catch (InvocationTargetException error) {
            throw new JsonReader.Mismatch("Cannot construct instance of `" + type.getName() + "`", error.getCause());
        } catch (ReflectiveOperationException | RuntimeException error) {
            throw new JsonReader.Mismatch("Cannot construct instance of `" + type.getName() + "`", error);
        }
    }

    /** Makes an object of an event class whose constructors all want its contents. */
    private static Object makeWithout(Class<?> type) {
        try {
            Class<?> factory = Class.forName("sun.reflect.ReflectionFactory");
            Object made = factory.getMethod("getReflectionFactory").invoke(null);
            Constructor<?> constructor = (Constructor<?>) factory
                    .getMethod("newConstructorForSerialization", Class.class, Constructor.class)
                    .invoke(made, type, Object.class.getDeclaredConstructor());
            return constructor.newInstance();
        } catch (ReflectiveOperationException error) {
            throw new JsonReader.Mismatch("Cannot construct instance of `" + type.getName() + "`", error);
        }
    }
}
