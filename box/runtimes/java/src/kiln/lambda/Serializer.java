package kiln.lambda;

import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import java.io.ByteArrayInputStream;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.ServiceLoader;

/** Turns events into objects and objects into answers. */
class Serializer {
    private static final String SERVICE = "META-INF/services/com.amazonaws.services.lambda.runtime.CustomPojoSerializer";

    /** Gives the function's own serializer, when it brings one, else the runtime's. */
    static Serializer of(ClassLoader loader) {
        if (loader.getResource(SERVICE) == null) {
            return new Serializer();
        }
        Iterator<CustomPojoSerializer> found = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
        if (!found.hasNext()) {
            return new Serializer();
        }
        final CustomPojoSerializer own = found.next();
        if (found.hasNext()) {
            throw Fault.unusable("Too many serializers provided inside the META-INF/services folder, only one is allowed");
        }
        return new Serializer() {
            @Override
            Object read(byte[] text, Type type) {
                return own.fromJson(new ByteArrayInputStream(text), type);
            }

            @Override
            void write(Object value, Bytes out, Type type) {
                own.toJson(value, out, type);
            }
        };
    }

    Object read(byte[] text, Type type) throws Exception {
        return new JsonReader(new String(text, StandardCharsets.UTF_8)).read(type);
    }

    void write(Object value, Bytes out, Type type) throws Exception {
        JsonWriter json = new JsonWriter();
        json.value(value);
        json.bytes().addTo(out);
    }
}
