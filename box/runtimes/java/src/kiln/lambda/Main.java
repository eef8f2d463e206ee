package kiln.lambda;

import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.lang.reflect.Field;

/**
 * The Runtime API client of kiln for Java 8 and later: loads the handler, asks for
 * invocations, calls the handler and posts what it returned or threw.
 *
 * <p>Every class that is loaded here is paid for by each cold start of each function,
 * so there are no lambdas, no regular expressions and no formats on the way to the
 * first invocation.
 */
public final class Main {
    private static final String TRACE_PROPERTY = "com.amazonaws.xray.traceHeader";

    private Main() {}

    public static void main(String[] arguments) {
        int code = 1;
        Log log = Log.open();
        try {
            code = run(log);
        } catch (Api.Gone error) {
            System.err.println("the Runtime API is gone: " + error.getMessage());
        } catch (Throwable error) {
            error.printStackTrace();
        }
        System.exit(code);
    }

    /** Serves invocations until the environment is over, and gives the exit code. */
    private static int run(Log log) throws Exception {
        Environment.hideLocale();
        log.takeOutput();
        installLogger(log);
        Api api = new Api(System.getenv("AWS_LAMBDA_RUNTIME_API"));
        String root = System.getenv("LAMBDA_TASK_ROOT");
        ClassLoader loader = TaskLoader.open(root == null ? System.getProperty("user.dir") : root);
        Thread.currentThread().setContextClassLoader(loader);

        Handler handler;
        try {
            handler = Handlers.load(System.getenv("_HANDLER"), loader);
        } catch (Fault fault) {
            log.error(fault.report());
            log.flush();
            api.postAlone("/init/error", fault.json(), fault.headers(null));
            return 1;
        }
        return serve(api, handler, log, loader);
    }

    private static int serve(Api api, Handler handler, Log log, ClassLoader loader) throws Exception {
        boolean environment = javaVersion() < 17; // later ones have the property alone
        for (;;) {
            Api.Answer work = api.next();
            String id = work.header("lambda-runtime-aws-request-id");
            String attempt = work.header("lambda-runtime-invocation-id");
            trace(work.header("lambda-runtime-trace-id"), environment);
            Bytes answer = new Bytes();
            Fault fault = null;
            try {
                LambdaContext context = new LambdaContext(work, log);
                log.begin(context);
                if (LambdaRuntimeInternal.getUseLog4jAppender()) {
                    tellLog4j(loader, id);
                }
                handler.call(work.body, answer, context);
                Thread.interrupted(); // the function's flag must not end a later wait
            } catch (Fault error) {
                fault = error;
            } catch (Throwable error) {
                fault = Fault.thrown(error);
            }
            work = null;
            if (fault == null) {
                log.flush();
                api.post("/invocation/" + id + "/response", answer, responseHeaders(attempt));
                continue;
            }
            log.error(fault.report());
            log.flush();
            String path = "/invocation/" + id + "/error";
            if (fault.fatal) {
                // The machine is in no state to go on; AWS's runtime ends the same way.
                api.postAlone(path, fault.json(), fault.headers(attempt));
                return 0;
            }
            api.post(path, fault.json(), fault.headers(attempt));
        }
    }

    private static String responseHeaders(String attempt) {
        String headers = "Content-Type: application/json\r\n";
        return attempt == null ? headers : headers + "Lambda-Runtime-Invocation-Id: " + attempt + "\r\n";
    }

    /** Tells the trace of the invocation where libraries look for it. */
    private static void trace(String header, boolean environment) {
        if (header == null) {
            System.clearProperty(TRACE_PROPERTY);
        } else {
            System.setProperty(TRACE_PROPERTY, header);
        }
        if (environment) {
            Environment.set("_X_AMZN_TRACE_ID", header);
        }
    }

    /** Gives the major version: 8, 11, 17. */
    static int javaVersion() {
        String version = System.getProperty("java.specification.version");
        return Integer.parseInt(version.startsWith("1.") ? version.substring(2) : version);
    }

    /** Lets LambdaRuntime.getLogger() give the function's log. */
    private static void installLogger(Log log) throws Exception {
        Field field = LambdaRuntime.class.getDeclaredField("logger");
        field.setAccessible(true);
        field.set(null, log);
    }

    /** Tells the request id to log4j, in its version 1 or 2, whichever the function has. */
    private static void tellLog4j(ClassLoader loader, String id) {
        String[] names = {"org.apache.logging.log4j.ThreadContext", "org.apache.log4j.MDC"};
        Class<?>[] values = {String.class, Object.class};
        for (int i = 0; i < names.length; i++) {
            try {
                loader.loadClass(names[i]).getMethod("put", String.class, values[i]).invoke(null, "AWSRequestId", id);
            } catch (ReflectiveOperationException | LinkageError error) {
                continue; // it has the other one
            }
        }
    }
}
