package kiln.lambda;

import java.lang.reflect.Field;
import java.util.Map;

/** The variables of this process, as Java code sees them. */
final class Environment {
    private static Map<String, String> variables;
    private static boolean closed;

    private Environment() {}

    /**
     * Takes back the locale that let this machine read UTF-8 where the one that LANG
     * names is not installed: functions and their programs see what they see on AWS.
     */
    static void hideLocale() {
        if ("C.UTF-8".equals(System.getenv("LC_ALL"))) {
            set("LC_ALL", null);
        }
    }

    /**
     * Changes a variable for code that asks later and for programs that are started
     * later; null removes it. Java has no call for that, so the map behind
     * System.getenv is opened; the jar's manifest asks for the right.
     */
    @SuppressWarnings("unchecked")
    static void set(String name, String value) {
        if (closed) {
            return;
        }
        try {
            if (variables == null) {
                Map<String, String> shown = System.getenv();
                Field field = shown.getClass().getDeclaredField("m");
                field.setAccessible(true);
                variables = (Map<String, String>) field.get(shown);
            }
            if (value == null) {
                variables.remove(name);
            } else {
                variables.put(name, value);
            }
        } catch (ReflectiveOperationException | RuntimeException error) {
            closed = true; // this Java keeps its map closed; the property tells the trace too
        }
    }
}
