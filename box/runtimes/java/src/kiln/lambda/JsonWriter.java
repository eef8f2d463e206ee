package kiln.lambda;

import java.lang.reflect.Array;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Calendar;
import java.util.Date;
import java.util.Iterator;
import java.util.Map;

/**
 * Writes objects as JSON as AWS's runtime does: beans by their getters and public
 * fields, without members that are null; dates as numbers; bytes in Base64.
 */
final class JsonWriter {
    private static final int DEEPEST = 1000;
    private static final char[] HEX = "0123456789abcdef".toCharArray();

    private final StringBuilder out = new StringBuilder(256);
    private boolean comma;
    private int depth;

    static String toText(Object value) {
        JsonWriter json = new JsonWriter();
        try {
            json.value(value);
        } catch (Exception error) {
            throw new IllegalArgumentException(error);
        }
        return json.text();
    }

    String text() {
        return out.toString();
    }

    Bytes bytes() {
        Bytes bytes = new Bytes();
        byte[] utf8 = out.toString().getBytes(StandardCharsets.UTF_8);
        bytes.write(utf8, 0, utf8.length);
        return bytes;
    }

    private void separate() {
        if (comma) {
            out.append(',');
        }
        comma = true;
    }

    /** Begins an object or array; the bracket says which. */
    void begin(char bracket) {
        separate();
        out.append(bracket);
        comma = false;
        if (++depth > DEEPEST) {
            throw new IllegalStateException("Infinite recursion, or an object nested deeper than " + DEEPEST + " levels");
        }
    }

    void end(char bracket) {
        out.append(bracket);
        comma = true;
        depth--;
    }

    void name(String name) {
        separate();
        quote(name);
        out.append(':');
        comma = false;
    }

    void member(String name, String value) {
        name(name);
        string(value);
    }

    void string(CharSequence value) {
        separate();
        quote(value);
    }

    /** Writes what needs no quotes. */
    void literal(String text) {
        separate();
        out.append(text);
    }

    private void quote(CharSequence text) {
        out.append('"');
        int length = text.length();
        for (int i = 0; i < length; i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c >= ' ') {
                out.append(c);
            } else {
                int at = "\b\t\n\f\r".indexOf(c);
                if (at >= 0) {
                    out.append('\\').append("btnfr".charAt(at));
                } else {
                    out.append("\\u00").append(HEX[c >> 4]).append(HEX[c & 15]);
                }
            }
        }
        out.append('"');
    }

    void value(Object value) throws Exception {
        if (value == null) {
            literal("null");
        } else if (value instanceof CharSequence) {
            string((CharSequence) value);
        } else if (value instanceof Boolean) {
            literal(value.toString());
        } else if (value instanceof Number) {
            number((Number) value);
        } else if (value instanceof Map) {
            map((Map<?, ?>) value);
        } else if (value instanceof Iterable && !(value instanceof java.nio.file.Path)) {
            iterator(((Iterable<?>) value).iterator());
        } else if (value.getClass().isArray()) {
            array(value);
        } else if (value instanceof Enum) {
            string(((Enum<?>) value).name());
        } else {
            other(value);
        }
    }

    private void number(Number value) {
        String text = value.toString();
        if (value instanceof Double || value instanceof Float) {
            double number = value.doubleValue();
            if (Double.isNaN(number) || Double.isInfinite(number)) {
                string(text);
                return;
            }
        }
        literal(text);
    }

    private void map(Map<?, ?> map) throws Exception {
        begin('{');
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            if (entry.getValue() == null) {
                continue;
            }
            Object key = entry.getKey();
            if (key == null) {
                throw new IllegalArgumentException("Null key for a Map not allowed in JSON");
            }
            name(key instanceof Enum ? ((Enum<?>) key).name() : key.toString());
            value(entry.getValue());
        }
        end('}');
    }

    private void iterator(Iterator<?> values) throws Exception {
        begin('[');
        while (values.hasNext()) {
            value(values.next());
        }
        end(']');
    }

    private void array(Object array) throws Exception {
        if (array instanceof byte[]) {
            string(Base64.getEncoder().encodeToString((byte[]) array));
            return;
        }
        if (array instanceof char[]) {
            string(new String((char[]) array));
            return;
        }
        begin('[');
        int length = Array.getLength(array);
        for (int i = 0; i < length; i++) {
            value(Array.get(array, i));
        }
        end(']');
    }

    private void other(Object value) throws Exception {
        if (value instanceof Character) {
            string(value.toString());
        } else if (value instanceof Date) {
            literal(Long.toString(((Date) value).getTime()));
        } else if (value instanceof Calendar) {
            literal(Long.toString(((Calendar) value).getTimeInMillis()));
        } else if (value instanceof ByteBuffer) {
            ByteBuffer bytes = ((ByteBuffer) value).duplicate();
            byte[] copy = new byte[bytes.remaining()];
            bytes.get(copy);
            array(copy);
        } else if (value instanceof Iterator) {
            iterator((Iterator<?>) value);
        } else if (!Scalars.write(value, this)) {
            bean(value);
        }
    }

    private void bean(Object value) throws Exception {
        begin('{');
        for (Bean.Property property : Bean.of(value.getClass()).properties()) {
            if (property.canGet()) {
                Object member = property.get(value);
                if (member != null) {
                    name(property.name);
                    value(member);
                }
            }
        }
        end('}');
    }
}
