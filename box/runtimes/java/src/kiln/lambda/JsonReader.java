package kiln.lambda;

import java.lang.reflect.Array;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Type;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads JSON into objects of a type as AWS's runtime does: members that nobody knows
 * are left out, one value stands for a list of one, and texts and numbers pass for
 * each other where that can be meant.
 */
final class JsonReader {
    private static final int DEEPEST = 1000;

    private final String text;
    private int at;
    private int depth;

    JsonReader(String text) {
        this.text = text;
    }

    /** What is no JSON, or JSON that the type cannot hold. */
    static final class Mismatch extends RuntimeException {
        private static final long serialVersionUID = 1;

        Mismatch(String message) {
            super(message);
        }

        Mismatch(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** Reads the whole text as one value; no text at all is an error. */
    Object read(Type type) {
        Object value = value(type);
        blank();
        if (at < text.length()) {
            throw wrong("unexpected text after the value");
        }
        return value;
    }

    private Mismatch wrong(String what) {
        return new Mismatch(what + " at position " + at);
    }

    private void blank() {
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
                return;
            }
            at++;
        }
    }

    /** Gives the next character that is not blank, and leaves it. */
    private char peek() {
        blank();
        if (at >= text.length()) {
            throw wrong("unexpected end of the text");
        }
        return text.charAt(at);
    }

    /** Takes a character if it is the next. */
    private boolean took(char wanted) {
        if (peek() != wanted) {
            return false;
        }
        at++;
        return true;
    }

    private void take(char wanted) {
        if (!took(wanted)) {
            throw wrong("expected '" + wanted + "' but found '" + text.charAt(at) + "'");
        }
    }

    private void deeper() {
        if (++depth > DEEPEST) {
            throw wrong("a value nested deeper than " + DEEPEST + " levels");
        }
    }

    private Object value(Type type) {
        Class<?> raw = Types.raw(type);
        char c = peek();
        if (Scalars.isOptional(raw)) {
            return Scalars.optional(raw, c == 'n' ? word(null) : value(Scalars.inside(type, raw)));
        }
        if (raw == Object.class || raw == java.io.Serializable.class) {
            return anything(c);
        }
        switch (c) {
            case '{':
                return object(type, raw);
            case '[':
                return array(type, raw);
            case '"':
            case '\'':
                return alone(type, raw, string());
            default:
                Object scalar = scalar();
                return scalar == null ? Scalars.nothing(raw) : alone(type, raw, scalar);
        }
    }

    /** Gives what the text itself says, for a type that says nothing. */
    private Object anything(char c) {
        switch (c) {
            case '{':
                return map(new LinkedHashMap<Object, Object>(), String.class, Object.class);
            case '[':
                return list(new ArrayList<Object>(), Object.class);
            case '"':
            case '\'':
                return string();
            default:
                Object scalar = scalar();
                return scalar instanceof Literal ? ((Literal) scalar).natural() : scalar;
        }
    }

    /** A number as it stands in the text. */
    static final class Literal {
        final String text;

        Literal(String text) {
            this.text = text;
        }

        /** Gives the smallest number that holds it. */
        Object natural() {
            for (int i = 0; i < text.length(); i++) {
                char c = text.charAt(i);
                if (c == '.' || c == 'e' || c == 'E' || c == 'N' || c == 'I') {
                    return Double.valueOf(text);
                }
            }
            if (text.length() < 19) {
                long number = Long.parseLong(text);
                if (number == (int) number) {
                    return Integer.valueOf((int) number);
                }
                return Long.valueOf(number);
            }
            BigInteger number = new BigInteger(text);
            return number.bitLength() < 64 ? (Object) Long.valueOf(number.longValue()) : number;
        }
    }

    /** Gives a number, a boolean or null. */
    private Object scalar() {
        char c = text.charAt(at);
        if (c == '-' || c >= '0' && c <= '9') {
            int from = at++;
            while (at < text.length()) {
                c = text.charAt(at);
                if (!(c >= '0' && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-')) {
                    break;
                }
                at++;
            }
            return literal(text.substring(from, at));
        }
        if (c == 't' || c == 'f') {
            return word(c == 't' ? Boolean.TRUE : Boolean.FALSE);
        }
        if (c == 'N' && text.startsWith("NaN", at)) {
            at += 3;
            return new Literal("NaN");
        }
        return word(null);
    }

    private Literal literal(String number) {
        int i = number.charAt(0) == '-' ? 1 : 0;
        int digits = 0;
        boolean fraction = false;
        while (i < number.length() && (Character.isDigit(number.charAt(i)) || number.charAt(i) == '.' && !fraction && digits > 0)) {
            fraction |= number.charAt(i) == '.';
            digits++;
            i++;
        }
        boolean sound = digits > 0 && number.charAt(i - 1) != '.';
        if (sound && i < number.length()) {
            try {
                Double.parseDouble(number);
            } catch (NumberFormatException error) {
                sound = false;
            }
        }
        if (!sound) {
            throw wrong("'" + number + "' is no number");
        }
        return new Literal(number);
    }

    private Object word(Boolean value) {
        String word = value == null ? "null" : value.toString();
        if (!text.startsWith(word, at)) {
            throw wrong("unexpected character '" + text.charAt(at) + "'");
        }
        at += word.length();
        if (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            throw wrong("unexpected character '" + text.charAt(at) + "'");
        }
        return value;
    }

    private String string() {
        char quote = text.charAt(at++);
        int from = at;
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c == quote) {
                return text.substring(from, at++);
            }
            if (c == '\\') {
                return escaped(quote, from);
            }
            at++;
        }
        throw wrong("a text without end");
    }

    private String escaped(char quote, int from) {
        StringBuilder out = new StringBuilder(text.length() - from < 64 ? 64 : at - from + 64).append(text, from, at);
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == quote) {
                return out.toString();
            }
            if (c != '\\') {
                out.append(c);
                continue;
            }
            if (at >= text.length()) {
                break;
            }
            c = text.charAt(at++);
            int known = "btnfr".indexOf(c);
            if (known >= 0) {
                out.append("\b\t\n\f\r".charAt(known));
            } else if (c == 'u') {
                try {
                    out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                } catch (RuntimeException error) {
                    throw wrong("'\\u' without four hexadecimal digits");
                }
                at += 4;
            } else {
                out.append(c);
            }
        }
        throw wrong("a text without end");
    }

    private String name() {
        char c = peek();
        if (c == '"' || c == '\'') {
            return string();
        }
        int from = at;
        while (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            at++;
        }
        if (at == from) {
            throw wrong("expected the name of a member but found '" + c + "'");
        }
        return text.substring(from, at);
    }

    /** Gives one value where the type may want a list of it. */
    private Object alone(Type type, Class<?> raw, Object value) {
        if (Collection.class.isAssignableFrom(raw) || raw.isArray() && !Scalars.isText(raw)) {
            if (value instanceof String && ((String) value).isEmpty()) {
                return null;
            }
            Type element = element(type, raw);
            List<Object> one = new ArrayList<Object>();
            one.add(element == Object.class && value instanceof Literal ? ((Literal) value).natural() : Scalars.convert(value, Types.raw(element)));
            return listOf(raw, one);
        }
        return Scalars.convert(value, raw);
    }

    private static Type element(Type type, Class<?> raw) {
        if (type instanceof GenericArrayType) {
            return ((GenericArrayType) type).getGenericComponentType();
        }
        return raw.isArray() ? raw.getComponentType() : Types.argument(type, Collection.class, 0);
    }

    private Object array(Type type, Class<?> raw) {
        if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class || raw.isArray() && !Scalars.isText(raw)) {
            Type element = raw == Iterable.class ? Types.argument(type, Iterable.class, 0) : element(type, raw);
            if (Collection.class.isAssignableFrom(raw)) {
                return list(Scalars.collection(raw, Types.raw(element)), element);
            }
            return listOf(raw, list(new ArrayList<Object>(), element));
        }
        if (Scalars.isDated(raw)) {
            return Scalars.dated(raw, list(new ArrayList<Object>(), Integer.class));
        }
        // One value in brackets stands for the value, none for nothing.
        take('[');
        if (took(']')) {
            return null;
        }
        deeper();
        Object value = value(type);
        depth--;
        if (!took(']')) {
            throw new Mismatch("Cannot read a list of several values as " + raw.getName());
        }
        return value;
    }

    private Collection<Object> list(Collection<Object> list, Type element) {
        take('[');
        deeper();
        if (!took(']')) {
            do {
                list.add(value(element));
            } while (took(','));
            take(']');
        }
        depth--;
        return list;
    }

    /** Gives values as the array or collection that is wanted. */
    private static Object listOf(Class<?> raw, Collection<Object> values) {
        if (!raw.isArray()) {
            if (raw == Iterable.class) {
                return values;
            }
            Collection<Object> list = Scalars.collection(raw, Object.class);
            list.addAll(values);
            return list;
        }
        Class<?> component = raw.getComponentType();
        Object array = Array.newInstance(component, values.size());
        int i = 0;
        for (Object value : values) {
            Array.set(array, i++, value == null ? Scalars.nothing(component) : value);
        }
        return array;
    }

    private Object object(Type type, Class<?> raw) {
        if (Map.class.isAssignableFrom(raw)) {
            Type key = Types.argument(type, Map.class, 0);
            return map(Scalars.map(raw, Types.raw(key)), key, Types.argument(type, Map.class, 1));
        }
        if (Scalars.isScalar(raw) || raw.isArray() || Collection.class.isAssignableFrom(raw)) {
            if (raw.isArray() || Collection.class.isAssignableFrom(raw)) {
                List<Object> one = new ArrayList<Object>();
                one.add(value(element(type, raw)));
                return listOf(raw, one);
            }
            throw new Mismatch("Cannot read an object as " + raw.getName() + " at position " + at);
        }
        return bean(type, raw);
    }

    private Map<Object, Object> map(Map<Object, Object> map, Type key, Type element) {
        Class<?> keys = Types.raw(key);
        take('{');
        deeper();
        if (!took('}')) {
            do {
                String name = name();
                take(':');
                Object place = keys == String.class || keys == Object.class ? name : Scalars.convert(name, keys);
                map.put(place, value(element));
            } while (took(','));
            take('}');
        }
        depth--;
        return map;
    }

    /** Reads a date of Kinesis or DynamoDB, which is in seconds. */
    private Object seconds() {
        Object value = anything(peek());
        return value instanceof Number ? new Date(Math.round(((Number) value).doubleValue() * 1000)) : Scalars.convert(value, Date.class);
    }

    private Object bean(Type type, Class<?> raw) {
        Bean bean = Bean.of(raw);
        Bean.Builder builder = bean.builder();
        Map<java.lang.reflect.TypeVariable<?>, Type> known = type instanceof Class ? null : Types.bindings(type);
        take('{');
        deeper();
        if (!took('}')) {
            do {
                String name = name();
                take(':');
                Bean.Property property = bean.settable(name);
                if (property == null) {
                    peek();
                    anything(text.charAt(at));
                    continue;
                }
                Type wanted = known == null ? property.type() : Types.resolve(property.type(), known);
                Object value;
                try {
                    value = bean.isEvent && wanted == Date.class ? seconds() : value(wanted);
                } catch (Mismatch error) {
                    throw new Mismatch(error.getMessage() + " (through " + raw.getName() + "[\"" + name + "\"])", error.getCause());
                }
                builder.set(property, value);
            } while (took(','));
            take('}');
        }
        depth--;
        return builder.done();
    }
}
