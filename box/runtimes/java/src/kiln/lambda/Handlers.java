package kiln.lambda;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Finds what a handler's name stands for: Class of one of Lambda's interfaces, or
 * Class::method. As on AWS a class that is not there is an error of each invocation;
 * one whose loading or making throws is an error of the initialization.
 */
final class Handlers {
    private Handlers() {}

    /** Gives the handler. The fault that it throws is one of the initialization. */
    static Handler load(String name, ClassLoader loader) {
        String given = name == null ? "" : name;
        int colons = given.lastIndexOf("::");
        String className = colons < 0 ? given : given.substring(0, colons);
        String method = colons < 0 ? null : given.substring(colons + 2);
        if (className.isEmpty() || method != null && method.isEmpty()) {
            return failing(Fault.unusable("Invalid handler: `" + given + "'"));
        }
        Class<?> type;
        try {
            type = Class.forName(className, true, loader);
        } catch (ClassNotFoundException error) {
            return failing(Fault.unusable("Class not found: " + className, error));
        } catch (Throwable error) {
            String message = error.getMessage() == null ? "" : ": " + error.getMessage();
            throw Fault.initialization("Error loading class " + className + message, error);
        }
        try {
            return method == null ? ofInterface(type, loader) : ofMethod(type, method, loader);
        } catch (Fault fault) {
            if (fault.fatal) {
                throw fault;
            }
            return failing(fault);
        }
    }

    /** Gives a handler that fails each invocation. */
    private static Handler failing(final Fault fault) {
        return new Handler() {
            @Override
            public void call(byte[] event, Bytes out, Context context) {
                throw fault;
            }
        };
    }

    private static Handler ofInterface(Class<?> type, ClassLoader loader) {
        if (RequestStreamHandler.class.isAssignableFrom(type)) {
            return new Streaming((RequestStreamHandler) make(type));
        }
        if (!RequestHandler.class.isAssignableFrom(type)) {
            throw Fault.unusable("Class does not implement an appropriate handler interface: " + type.getName());
        }
        Map<TypeVariable<?>, Type> known = Types.bindings(type);
        TypeVariable<?>[] names = RequestHandler.class.getTypeParameters();
        Type[] types = new Type[2];
        for (int i = 0; i < 2; i++) {
            types[i] = known.get(names[i]);
            if (types[i] == null) {
                throw Fault.unusable("Class " + type.getName() + " does not implement RequestHandler with concrete type parameters");
            }
            if (types[i] instanceof TypeVariable && Types.raw(types[i]) == Object.class) {
                throw Fault.unusable("Class " + type.getName()
                        + " does not implement RequestHandler with concrete type parameters: parameter " + types[i] + " has no upper bound.");
            }
        }
        return new Pojo(new Direct((RequestHandler<?, ?>) make(type)), types[0], types[1], loader);
    }

    /** Calls a method with an event that was read, and a context. */
    private interface Target {
        Object call(Object event, Context context) throws Throwable;
    }

    private static final class Direct implements Target {
        private final RequestHandler<Object, Object> handler;

        @SuppressWarnings("unchecked")
        Direct(RequestHandler<?, ?> handler) {
            this.handler = (RequestHandler<Object, Object>) handler;
        }

        @Override
        public Object call(Object event, Context context) {
            return handler.handleRequest(event, context);
        }
    }

    private static final class Streaming implements Handler {
        private final RequestStreamHandler handler;

        Streaming(RequestStreamHandler handler) {
            this.handler = handler;
        }

        @Override
        public void call(byte[] event, Bytes out, Context context) throws Throwable {
            handler.handleRequest(new ByteArrayInputStream(event), out, context);
        }
    }

    /** A handler of objects: reads the event and writes the answer as JSON. */
    private static final class Pojo implements Handler {
        private final Target target;
        private final Type input; // null: the event is not looked at
        private final Type output;
        private final Serializer serializer;

        Pojo(Target target, Type input, Type output, ClassLoader loader) {
            this.target = target;
            this.input = input;
            this.output = output;
            this.serializer = Serializer.of(loader);
        }

        @Override
        public void call(byte[] event, Bytes out, Context context) throws Throwable {
            Object value = null;
            if (input != null) {
                try {
                    value = serializer.read(event, input);
                } catch (Throwable error) {
                    throw new RuntimeException("An error occurred during JSON parsing", Fault.trim(error));
                }
            }
            Object answer = target.call(value, context);
            try {
                if (output == void.class || output == Void.class) {
                    out.ascii("null");
                } else {
                    serializer.write(answer, out, output);
                }
            } catch (Throwable error) {
                throw new RuntimeException("An error occurred during JSON serialization of response", Fault.trim(error));
            }
        }
    }

    /** A method with any mix of input stream, output stream and context. */
    private static final class StreamMethod implements Handler {
        private final Method method;
        private final Object instance;
        private final Class<?>[] parameters;

        StreamMethod(Method method, Object instance) {
            this.method = method;
            this.instance = instance;
            this.parameters = method.getParameterTypes();
        }

        @Override
        public void call(byte[] event, Bytes out, Context context) throws Throwable {
            Object[] arguments = new Object[parameters.length];
            for (int i = 0; i < arguments.length; i++) {
                if (parameters[i] == InputStream.class) {
                    arguments[i] = new ByteArrayInputStream(event);
                } else {
                    arguments[i] = parameters[i] == OutputStream.class ? out : context;
                }
            }
            invoke(method, instance, arguments);
        }
    }

    private static final class PojoMethod implements Target {
        private final Method method;
        private final Object instance;
        private final boolean takesEvent;
        private final boolean takesContext;

        PojoMethod(Method method, Object instance, boolean takesEvent, boolean takesContext) {
            this.method = method;
            this.instance = instance;
            this.takesEvent = takesEvent;
            this.takesContext = takesContext;
        }

        @Override
        public Object call(Object event, Context context) throws Throwable {
            if (takesEvent) {
                return takesContext ? invoke(method, instance, event, context) : invoke(method, instance, event);
            }
            return takesContext ? invoke(method, instance, context) : invoke(method, instance);
        }
    }

    private static Object invoke(Method method, Object instance, Object... arguments) throws Throwable {
        try {
            return method.invoke(instance, arguments);
        } catch (InvocationTargetException error) {
            throw error.getCause() == null ? error : error.getCause();
        }
    }

    private static Handler ofMethod(Class<?> type, String name, ClassLoader loader) {
        Method[] all;
        try {
            all = type.getMethods();
        } catch (NoClassDefFoundError error) {
            throw Fault.unusable("Error loading method " + name + " on class " + type.getName(), error);
        }
        List<Method> named = new ArrayList<Method>();
        for (Method method : all) {
            if (method.getName().equals(name)) {
                named.add(method);
            }
        }
        while (!named.isEmpty()) {
            Method best = named.get(0);
            for (Method method : named) {
                if (rank(method) > rank(best)) {
                    best = method;
                }
            }
            if (suits(best)) {
                return ofMethod(type, best, loader);
            }
            System.err.println("Ignoring an overload of method " + name + " whose parameters no handler has: " + best);
            named.remove(best);
        }
        throw Fault.unusable("No public method named " + name + " with appropriate method signature found on class " + type.getName());
    }

    /** Orders overloads as AWS does: true methods first, then more parameters, then those that end with a context. */
    private static int rank(Method method) {
        Class<?>[] parameters = method.getParameterTypes();
        int rank = parameters.length;
        if (rank > 0 && parameters[rank - 1] == Context.class) {
            rank++;
        }
        return method.isBridge() ? rank : rank + 1000;
    }

    /** Reports whether a method takes what a handler can be given. */
    private static boolean suits(Method method) {
        Class<?>[] types = method.getParameterTypes();
        switch (types.length) {
            case 0:
            case 1:
                return true;
            case 2:
                if (types[0] == InputStream.class) {
                    return types[1] == OutputStream.class || types[1] == Context.class;
                }
                return types[1] == Context.class && types[0] != Context.class;
            case 3:
                return types[0] == InputStream.class && types[1] == OutputStream.class && types[2] == Context.class;
            default:
                return false;
        }
    }

    private static Handler ofMethod(Class<?> type, Method method, ClassLoader loader) {
        Object instance = Modifier.isStatic(method.getModifiers()) ? null : make(type);
        if (!Modifier.isPublic(method.getDeclaringClass().getModifiers())) {
            method.setAccessible(true);
        }
        Class<?>[] parameters = method.getParameterTypes();
        if (parameters.length > 0 && (parameters[0] == InputStream.class || parameters[0] == OutputStream.class)) {
            return new StreamMethod(method, instance);
        }
        boolean takesContext = parameters.length > 0 && parameters[parameters.length - 1] == Context.class;
        boolean takesEvent = parameters.length - (takesContext ? 1 : 0) > 0;
        Map<TypeVariable<?>, Type> known = Types.bindings(type);
        Type input = takesEvent ? Types.resolve(method.getGenericParameterTypes()[0], known) : null;
        Type output = Types.resolve(method.getGenericReturnType(), known);
        return new Pojo(new PojoMethod(method, instance, takesEvent, takesContext), input, output, loader);
    }

    /** Makes the handler's object. What its constructor throws is an error of the initialization. */
    private static Object make(Class<?> type) {
        Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException error) {
            boolean inner = type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers());
            String message = inner
                    ? "Class " + type.getName() + " cannot be instantiated because it is a non-static inner class"
                    : "Class " + type.getName() + " has no public zero-argument constructor";
            throw Fault.unusable(message, new Exception(message, error));
        }
        try {
            if (!Modifier.isPublic(type.getModifiers())) {
                constructor.setAccessible(true);
            }
            return constructor.newInstance();
        } catch (InvocationTargetException error) {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            throw Fault.initialization(Fault.message(cause), cause);
        } catch (ReflectiveOperationException | RuntimeException error) {
            throw Fault.unusable(Fault.message(error), error);
        }
    }
}
