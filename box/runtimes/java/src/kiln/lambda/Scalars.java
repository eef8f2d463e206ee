package kiln.lambda;

import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.temporal.Temporal;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Calendar;
import java.util.Collection;
import java.util.Date;
import java.util.Deque;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Queue;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;

/** Converts single values between JSON and the classes of the standard library. */
final class Scalars {
    private Scalars() {}

    /** Gives what null is for a class: null, or a primitive's zero. */
    static Object nothing(Class<?> raw) {
        return raw.isPrimitive() && raw != void.class ? java.lang.reflect.Array.get(java.lang.reflect.Array.newInstance(raw, 1), 0) : null;
    }

    /** Reports whether an array is one text in JSON. */
    static boolean isText(Class<?> raw) {
        return raw == byte[].class || raw == char[].class;
    }

    /** Reports whether no object in JSON can be one of this class. */
    static boolean isScalar(Class<?> raw) {
        return raw.isPrimitive() || raw.isEnum() || isText(raw) || raw == String.class || raw == Boolean.class || raw == Character.class
                || raw == CharSequence.class || Number.class.isAssignableFrom(raw) || Date.class.isAssignableFrom(raw) || ByteBuffer.class.isAssignableFrom(raw)
                || Temporal.class.isAssignableFrom(raw) || raw == Duration.class || raw == java.util.UUID.class || raw == Class.class;
    }

    static boolean isOptional(Class<?> raw) {
        return raw == Optional.class || raw == OptionalInt.class || raw == OptionalLong.class || raw == OptionalDouble.class;
    }

    /** Gives the type of what an optional holds. */
    static Type inside(Type type, Class<?> raw) {
        if (raw == OptionalInt.class) {
            return Integer.class;
        }
        if (raw == OptionalLong.class) {
            return Long.class;
        }
        if (raw == OptionalDouble.class) {
            return Double.class;
        }
        return type instanceof ParameterizedType ? ((ParameterizedType) type).getActualTypeArguments()[0] : Object.class;
    }

    static Object optional(Class<?> raw, Object value) {
        if (raw == OptionalInt.class) {
            return value == null ? OptionalInt.empty() : OptionalInt.of((Integer) value);
        }
        if (raw == OptionalLong.class) {
            return value == null ? OptionalLong.empty() : OptionalLong.of((Long) value);
        }
        if (raw == OptionalDouble.class) {
            return value == null ? OptionalDouble.empty() : OptionalDouble.of((Double) value);
        }
        return Optional.ofNullable(value);
    }

    /** Makes the collection that a field of this class can hold. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static Collection<Object> collection(Class<?> raw, Class<?> element) {
        if (raw.isAssignableFrom(ArrayList.class)) {
            return new ArrayList<Object>();
        }
        if (raw == EnumSet.class) {
            return (Collection) EnumSet.noneOf((Class) element);
        }
        if (raw == Set.class) {
            return new LinkedHashSet<Object>();
        }
        if (raw == SortedSet.class || raw == NavigableSet.class) {
            return new TreeSet<Object>();
        }
        if (raw == Deque.class || raw == Queue.class) {
            return new ArrayDeque<Object>();
        }
        return (Collection<Object>) Bean.make(raw);
    }

    /** Makes the map that a field of this class can hold. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static Map<Object, Object> map(Class<?> raw, Class<?> key) {
        if (raw.isAssignableFrom(LinkedHashMap.class)) {
            return new LinkedHashMap<Object, Object>();
        }
        if (raw == EnumMap.class) {
            return new EnumMap((Class) key);
        }
        if (raw == SortedMap.class || raw == NavigableMap.class) {
            return new TreeMap<Object, Object>();
        }
        if (raw == ConcurrentMap.class) {
            return new ConcurrentHashMap<Object, Object>();
        }
        return (Map<Object, Object>) Bean.make(raw);
    }

    private static JsonReader.Mismatch cannot(Object value, Class<?> raw, Throwable cause) {
        String what = value instanceof JsonReader.Literal ? ((JsonReader.Literal) value).text : value instanceof String ? "\"" + value + "\"" : String.valueOf(value);
        return new JsonReader.Mismatch("Cannot read " + what + " as " + raw.getName(), cause);
    }

    /** Gives a text, number or boolean as an object of a class. */
    static Object convert(Object value, Class<?> raw) {
        try {
            String text = value instanceof JsonReader.Literal ? ((JsonReader.Literal) value).text : value.toString();
            if (raw == String.class || raw == CharSequence.class) {
                return text;
            }
            boolean isText = value instanceof String;
            if (isText && text.isEmpty() && !isText(raw)) {
                return nothing(raw);
            }
            Object simple = simple(value, text, raw);
            if (simple != null) {
                return simple;
            }
            if (raw.isEnum()) {
                return constant(value, text, raw);
            }
            if (raw == byte[].class && isText) {
                return Base64.getDecoder().decode(text);
            }
            if (raw.isAssignableFrom(ByteBuffer.class) && isText) {
                return ByteBuffer.wrap(Base64.getDecoder().decode(text));
            }
            return made(value, text, raw);
        } catch (JsonReader.Mismatch error) {
            throw error;
        } catch (Exception error) {
            throw cannot(value, raw, error);
        }
    }

    /** Gives a number, boolean or character; null when the class is none of them. */
    private static Object simple(Object value, String text, Class<?> raw) {
        if (raw == boolean.class || raw == Boolean.class) {
            if (value instanceof JsonReader.Literal) {
                return Boolean.valueOf(Double.parseDouble(text) != 0);
            }
            if (text.equalsIgnoreCase("true") || text.equalsIgnoreCase("false")) {
                return Boolean.valueOf(text.equalsIgnoreCase("true"));
            }
            throw cannot(value, raw, null);
        }
        if (raw == char.class || raw == Character.class) {
            if (value instanceof String && text.length() == 1) {
                return Character.valueOf(text.charAt(0));
            }
            throw cannot(value, raw, null);
        }
        boolean number = raw.isPrimitive() || Number.class.isAssignableFrom(raw);
        if (!number || value instanceof Boolean) {
            return null;
        }
        if (raw == double.class || raw == Double.class) {
            return Double.valueOf(text);
        }
        if (raw == float.class || raw == Float.class) {
            return Float.valueOf(text);
        }
        if (raw == BigDecimal.class) {
            return new BigDecimal(text);
        }
        if (raw == Number.class) {
            return value instanceof JsonReader.Literal ? ((JsonReader.Literal) value).natural() : new BigDecimal(text);
        }
        return whole(new BigDecimal(text).toBigInteger(), value, raw);
    }

    private static Object whole(BigInteger number, Object value, Class<?> raw) {
        int bits = number.bitLength();
        if (raw == int.class || raw == Integer.class) {
            if (bits < 32) {
                return Integer.valueOf(number.intValue());
            }
        } else if (raw == long.class || raw == Long.class) {
            if (bits < 64) {
                return Long.valueOf(number.longValue());
            }
        } else if (raw == short.class || raw == Short.class) {
            if (bits < 16) {
                return Short.valueOf(number.shortValue());
            }
        } else if (raw == byte.class || raw == Byte.class) {
            if (bits < 9) {
                return Byte.valueOf(number.byteValue());
            }
        } else if (raw == BigInteger.class) {
            return number;
        } else if (raw == java.util.concurrent.atomic.AtomicInteger.class) {
            return new java.util.concurrent.atomic.AtomicInteger(number.intValue());
        } else if (raw == java.util.concurrent.atomic.AtomicLong.class) {
            return new java.util.concurrent.atomic.AtomicLong(number.longValue());
        } else {
            return null;
        }
        throw new JsonReader.Mismatch("Numeric value (" + number + ") out of range of " + raw.getName());
    }

    /** Gives an enum's constant by its name or number; null for an unknown name. */
    private static Object constant(Object value, String text, Class<?> raw) {
        Object[] constants = raw.getEnumConstants();
        if (value instanceof JsonReader.Literal) {
            return constants[Integer.parseInt(text)];
        }
        for (Object constant : constants) {
            if (((Enum<?>) constant).name().equals(text)) {
                return constant;
            }
        }
        return null;
    }

    /** Gives an object of a class that is made of a text or number. */
    private static Object made(Object value, String text, Class<?> raw) throws Exception {
        boolean number = value instanceof JsonReader.Literal;
        if (raw == Date.class) {
            return number ? new Date(new BigDecimal(text).longValue()) : Date.from(instant(text));
        }
        if (raw == Calendar.class) {
            Calendar calendar = Calendar.getInstance(java.util.TimeZone.getTimeZone("UTC"));
            calendar.setTime((Date) convert(value, Date.class));
            return calendar;
        }
        if (raw == Instant.class) {
            return number ? instant(new BigDecimal(text)) : instant(text);
        }
        if (number && raw == OffsetDateTime.class) {
            return instant(new BigDecimal(text)).atOffset(ZoneOffset.UTC);
        }
        if (number && raw == ZonedDateTime.class) {
            return instant(new BigDecimal(text)).atZone(ZoneOffset.UTC);
        }
        if (number && raw == Duration.class) {
            Instant end = instant(new BigDecimal(text));
            return Duration.ofSeconds(end.getEpochSecond(), end.getNano());
        }
        if (value instanceof Boolean) {
            throw cannot(value, raw, null);
        }
        if (raw == Class.class) {
            return Class.forName(text, true, Thread.currentThread().getContextClassLoader());
        }
        if (raw == char[].class) {
            return text.toCharArray();
        }
        return byOwnMeans(value, text, raw);
    }

    /** Uses the ways that a class itself offers: parse, fromString, forName, create, a constructor. */
    private static Object byOwnMeans(Object value, String text, Class<?> raw) throws Exception {
        for (String name : new String[] {"parse", "fromString", "of", "forLanguageTag", "compile", "getTimeZone", "getInstance", "create"}) {
            for (Class<?> parameter : new Class<?>[] {CharSequence.class, String.class}) {
                try {
                    Method method = raw.getMethod(name, parameter);
                    if (Modifier.isStatic(method.getModifiers()) && raw.isAssignableFrom(method.getReturnType())) {
                        return method.invoke(null, text);
                    }
                } catch (NoSuchMethodException error) {
                    continue; // the next way
                }
            }
        }
        if (raw.isInterface() || Modifier.isAbstract(raw.getModifiers())) {
            throw cannot(value, raw, null);
        }
        try {
            Constructor<?> constructor = raw.getConstructor(String.class);
            return constructor.newInstance(text);
        } catch (NoSuchMethodException error) {
            throw cannot(value, raw, null);
        }
    }

    private static Instant instant(BigDecimal seconds) {
        BigInteger nanos = seconds.movePointRight(9).toBigInteger();
        BigInteger[] parts = nanos.divideAndRemainder(BigInteger.valueOf(1000000000));
        return Instant.ofEpochSecond(parts[0].longValue(), parts[1].longValue());
    }

    private static Instant instant(String text) {
        int zone = text.indexOf('T') < 0 ? -2 : Math.max(text.indexOf('Z'), Math.max(text.indexOf('+'), text.lastIndexOf('-') > 7 ? text.lastIndexOf('-') : -1));
        if (zone == -2) {
            return LocalDate.parse(text).atStartOfDay(ZoneOffset.UTC).toInstant();
        }
        if (zone < 0) {
            return LocalDateTime.parse(text).toInstant(ZoneOffset.UTC);
        }
        String at = text;
        int length = text.length();
        if (zone > 0 && length - zone == 5 && text.indexOf(':', zone) < 0) {
            at = text.substring(0, length - 2) + ":" + text.substring(length - 2); // +0100
        }
        return OffsetDateTime.parse(at).toInstant();
    }

    static boolean isDated(Class<?> raw) {
        return raw == LocalDate.class || raw == LocalDateTime.class || raw == LocalTime.class;
    }

    /** Gives a date or time of day from its numbers. */
    static Object dated(Class<?> raw, Collection<Object> numbers) {
        int[] n = new int[7];
        int count = 0;
        for (Object number : numbers) {
            if (count == n.length || number == null) {
                throw cannot(numbers, raw, null);
            }
            n[count++] = (Integer) number;
        }
        if (raw == LocalDate.class) {
            return LocalDate.of(n[0], n[1], n[2]);
        }
        if (raw == LocalTime.class) {
            return LocalTime.of(n[0], n[1], n[2], n[3]);
        }
        return LocalDateTime.of(n[0], n[1], n[2], n[3], n[4], n[5], n[6]);
    }

    /** Writes what has a form of its own in JSON; false for a bean. */
    static boolean write(Object value, JsonWriter json) throws Exception {
        if (value instanceof Optional) {
            json.value(((Optional<?>) value).orElse(null));
        } else if (value instanceof OptionalInt || value instanceof OptionalLong || value instanceof OptionalDouble) {
            String text = value.toString(); // OptionalInt[5], OptionalInt.empty
            int open = text.indexOf('[');
            json.literal(open < 0 ? "null" : text.substring(open + 1, text.length() - 1));
        } else if (value instanceof Temporal || value instanceof Duration) {
            time(value, json);
        } else if (value instanceof Class) {
            json.string(((Class<?>) value).getName());
        } else if (value instanceof java.util.TimeZone) {
            json.string(((java.util.TimeZone) value).getID());
        } else if (value instanceof java.util.concurrent.atomic.AtomicBoolean) {
            json.literal(value.toString());
        } else if (hasText(value.getClass().getName())) {
            json.string(value.toString());
        } else {
            return false;
        }
        return true;
    }

    /** Reports whether objects of a class are written as the text that they give. */
    private static boolean hasText(String name) {
        if (name.startsWith("java.time.") || name.startsWith("org.joda.time.") || name.startsWith("sun.nio.fs.")) {
            return true;
        }
        switch (name) {
            case "java.util.UUID":
            case "java.util.Locale":
            case "java.util.Currency":
            case "java.util.regex.Pattern":
            case "java.net.URI":
            case "java.net.URL":
            case "java.io.File":
            case "java.nio.charset.Charset":
                return true;
            default:
                return false;
        }
    }

    private static void time(Object value, JsonWriter json) throws Exception {
        if (value instanceof Instant) {
            seconds(((Instant) value).getEpochSecond(), ((Instant) value).getNano(), json);
        } else if (value instanceof OffsetDateTime) {
            time(((OffsetDateTime) value).toInstant(), json);
        } else if (value instanceof ZonedDateTime) {
            time(((ZonedDateTime) value).toInstant(), json);
        } else if (value instanceof Duration) {
            seconds(((Duration) value).getSeconds(), ((Duration) value).getNano(), json);
        } else if (value instanceof LocalDate) {
            LocalDate d = (LocalDate) value;
            numbers(json, 3, d.getYear(), d.getMonthValue(), d.getDayOfMonth());
        } else if (value instanceof LocalDateTime) {
            LocalDateTime d = (LocalDateTime) value;
            numbers(json, 5, d.getYear(), d.getMonthValue(), d.getDayOfMonth(), d.getHour(), d.getMinute(), d.getSecond(), d.getNano());
        } else if (value instanceof LocalTime) {
            LocalTime t = (LocalTime) value;
            numbers(json, 2, t.getHour(), t.getMinute(), t.getSecond(), t.getNano());
        } else if (value instanceof java.time.Year) {
            json.literal(value.toString());
        } else {
            json.string(value.toString());
        }
    }

    private static void seconds(long seconds, int nanos, JsonWriter json) {
        BigDecimal number = BigDecimal.valueOf(seconds).add(BigDecimal.valueOf(nanos, 9));
        json.literal(number.setScale(9).toPlainString());
    }

    /** Writes a list of numbers without the zeros at its end, but at least as many as asked. */
    private static void numbers(JsonWriter json, int least, int... numbers) {
        int count = numbers.length;
        while (count > least && numbers[count - 1] == 0) {
            count--;
        }
        List<Integer> kept = new ArrayList<Integer>();
        for (int i = 0; i < count; i++) {
            kept.add(numbers[i]);
        }
        json.literal(kept.toString().replace(" ", ""));
    }
}
