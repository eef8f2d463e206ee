package kiln.lambda;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/** What went wrong, in the words that are posted and in those that are logged. */
final class Fault extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final String OWN = "kiln.lambda.";

    final boolean fatal;
    private final String type; // null: none
    private final String category;
    private final transient Throwable cause; // null: the fault is the runtime's own
    private final boolean described; // the posted error carries the stack

    private Fault(String message, String type, String category, Throwable cause, boolean described, boolean fatal) {
        super(message, null, false, false);
        this.type = type;
        this.category = category;
        this.cause = cause;
        this.described = described;
        this.fatal = fatal;
    }

    /** What the handler threw. After an error of the machine itself nothing more runs. */
    static Fault thrown(Throwable error) {
        boolean fatal = error instanceof VirtualMachineError || error instanceof java.io.IOError;
        return new Fault(message(error), error.getClass().getName(), "Runtime.UserException", trim(error), true, fatal);
    }

    /** A handler that cannot be called, for a reason that no exception stands for. */
    static Fault unusable(String message) {
        return new Fault(message, null, "Runtime.BadFunctionCode", null, false, false);
    }

    /** A handler that cannot be called, because of an exception. */
    static Fault unusable(String message, Throwable error) {
        return new Fault(message, error.getClass().getName(), "Runtime.BadFunctionCode", trim(error), false, false);
    }

    /** A function whose loading failed: it never gets an invocation. */
    static Fault initialization(String message, Throwable error) {
        return new Fault(message, error.getClass().getName(), "Runtime.BadFunctionCode", trim(error), false, true);
    }

    static String message(Throwable error) {
        String message = error.getLocalizedMessage();
        return message == null ? error.getClass().getName() : message;
    }

    /** Removes the frames of the runtime itself from an exception and all behind it. */
    static <T extends Throwable> T trim(T error) {
        trim(error, Collections.newSetFromMap(new IdentityHashMap<Throwable, Boolean>()));
        return error;
    }

    private static void trim(Throwable error, Set<Throwable> seen) {
        if (error == null || !seen.add(error)) {
            return;
        }
        StackTraceElement[] frames = error.getStackTrace();
        for (int i = 0; i < frames.length; i++) {
            if (frames[i].getClassName().startsWith(OWN)) {
                StackTraceElement[] kept = new StackTraceElement[i];
                System.arraycopy(frames, 0, kept, 0, i);
                error.setStackTrace(kept);
                break;
            }
        }
        trim(error.getCause(), seen);
        for (Throwable suppressed : error.getSuppressed()) {
            trim(suppressed, seen);
        }
    }

    /** Gives the lines that AWS's runtime logs. */
    String report() {
        if (cause == null) {
            return getMessage() + "\n";
        }
        StringWriter trace = new StringWriter();
        cause.printStackTrace(new PrintWriter(trace, true));
        return getMessage() + ": " + type + "\n" + trace + "\n";
    }

    /** Gives the error as it is posted. */
    Bytes json() {
        JsonWriter json = new JsonWriter();
        if (described) {
            describe(json, cause, 0);
            return json.bytes();
        }
        json.begin('{');
        json.member("errorMessage", getMessage());
        if (type != null) {
            json.member("errorType", type);
        }
        json.end('}');
        return json.bytes();
    }

    private static void describe(JsonWriter json, Throwable error, int depth) {
        json.begin('{');
        json.member("errorMessage", message(error));
        json.member("errorType", error.getClass().getName());
        json.name("stackTrace");
        json.begin('[');
        for (StackTraceElement frame : error.getStackTrace()) {
            json.string(frame.toString());
        }
        json.end(']');
        Throwable behind = error.getCause();
        if (behind != null && behind != error && depth < 20) {
            json.name("cause");
            describe(json, behind, depth + 1);
        }
        json.end('}');
    }

    /** Gives the header lines of the posted error. */
    String headers(String attempt) {
        String headers = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: " + Api.headerSafe(category) + "\r\n";
        return attempt == null ? headers : headers + "Lambda-Runtime-Invocation-Id: " + attempt + "\r\n";
    }
}
