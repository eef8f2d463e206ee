package kiln.lambda;

import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.util.HashMap;
import java.util.Map;

/** What generic types stand for. */
final class Types {
    private Types() {}

    /** Gives the class behind a type. */
    static Class<?> raw(Type type) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return raw(((ParameterizedType) type).getRawType());
        }
        if (type instanceof GenericArrayType) {
            return Array.newInstance(raw(((GenericArrayType) type).getGenericComponentType()), 0).getClass();
        }
        if (type instanceof TypeVariable) {
            return raw(((TypeVariable<?>) type).getBounds()[0]);
        }
        if (type instanceof WildcardType) {
            return raw(((WildcardType) type).getUpperBounds()[0]);
        }
        return Object.class;
    }

    /** Gives what the variables of a type, of its superclasses and interfaces stand for. */
    static Map<TypeVariable<?>, Type> bindings(Type type) {
        Map<TypeVariable<?>, Type> known = new HashMap<TypeVariable<?>, Type>();
        collect(type, known);
        return known;
    }

    private static void collect(Type type, Map<TypeVariable<?>, Type> known) {
        if (type == null) {
            return;
        }
        Class<?> raw = raw(type);
        if (type instanceof ParameterizedType) {
            Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
            TypeVariable<?>[] names = raw.getTypeParameters();
            for (int i = 0; i < names.length; i++) {
                if (!known.containsKey(names[i])) {
                    known.put(names[i], resolve(arguments[i], known));
                }
            }
            collect(((ParameterizedType) type).getOwnerType(), known);
        }
        collect(raw.getGenericSuperclass(), known);
        for (Type above : raw.getGenericInterfaces()) {
            collect(above, known);
        }
    }

    /** Puts what variables stand for in their place; what is not known stays. */
    static Type resolve(Type type, Map<TypeVariable<?>, Type> known) {
        if (type instanceof Class) {
            return type;
        }
        if (type instanceof TypeVariable) {
            Type found = known.get(type);
            return found == null ? type : found;
        }
        if (type instanceof WildcardType) {
            return resolve(((WildcardType) type).getUpperBounds()[0], known);
        }
        if (type instanceof GenericArrayType) {
            return new ArrayOf(resolve(((GenericArrayType) type).getGenericComponentType(), known));
        }
        if (type instanceof ParameterizedType) {
            ParameterizedType generic = (ParameterizedType) type;
            Type[] arguments = generic.getActualTypeArguments();
            for (int i = 0; i < arguments.length; i++) {
                arguments[i] = resolve(arguments[i], known);
            }
            return new Generic(generic.getRawType(), arguments, generic.getOwnerType());
        }
        return type;
    }

    /** Gives what a parameter of a class or interface is for a type below it. */
    static Type argument(Type type, Class<?> of, int index) {
        TypeVariable<?>[] names = of.getTypeParameters();
        Type found = index < names.length ? bindings(type).get(names[index]) : null;
        return found == null || found instanceof TypeVariable ? Object.class : found;
    }

    private static final class ArrayOf implements GenericArrayType {
        private final Type component;

        ArrayOf(Type component) {
            this.component = component;
        }

        @Override
        public Type getGenericComponentType() {
            return component;
        }
    }

    private static final class Generic implements ParameterizedType {
        private final Type raw;
        private final Type[] arguments;
        private final Type owner;

        Generic(Type raw, Type[] arguments, Type owner) {
            this.raw = raw;
            this.arguments = arguments;
            this.owner = owner;
        }

        @Override
        public Type[] getActualTypeArguments() {
            return arguments.clone();
        }

        @Override
        public Type getRawType() {
            return raw;
        }

        @Override
        public Type getOwnerType() {
            return owner;
        }
    }
}
