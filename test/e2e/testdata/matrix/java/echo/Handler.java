package echo;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.util.Map;
import java.util.TreeMap;

/** It is compiled for Java 8 and runs on every later one. */
public class Handler implements RequestHandler<Map<String, Object>, Object> {
    private static Map<String, Object> look(Context context) {
        Map<String, Object> ctx = new TreeMap<String, Object>();
        ctx.put("aws_request_id", context.getAwsRequestId());
        ctx.put("function_name", context.getFunctionName());
        ctx.put("function_version", context.getFunctionVersion());
        ctx.put("invoked_function_arn", context.getInvokedFunctionArn());
        ctx.put("log_group_name", context.getLogGroupName());
        ctx.put("log_stream_name", context.getLogStreamName());
        ctx.put("memory_limit_in_mb", String.valueOf(context.getMemoryLimitInMB()));
        ctx.put("remaining_time_in_millis", context.getRemainingTimeInMillis());
        Map<String, Object> seen = new TreeMap<String, Object>();
        seen.put("ctx", ctx);
        seen.put("environment", System.getenv());
        seen.put("version", System.getProperty("java.version"));
        return seen;
    }

    @Override
    public Object handleRequest(Map<String, Object> event, Context context) {
        switch (String.valueOf(event.get("do"))) {
            case "look":
                return look(context);
            case "fail":
                throw new RuntimeException("Error: some_error_msg");
            case "sleep":
                pause(30000);
                return null;
            case "exit":
                Runtime.getRuntime().halt(3);
                return null;
            case "background":
                Thread thread = new Thread(() -> {
                    throw new IllegalStateException("nobody waits for this");
                });
                thread.start();
                while (thread.isAlive()) {
                    pause(1);
                }
                return "went on";
            case "log":
                System.out.println("printed");
                context.getLogger().log("a debug line", LogLevel.DEBUG);
                context.getLogger().log("an info line", LogLevel.INFO);
                context.getLogger().log("a warning\nof two lines", LogLevel.WARN);
                return "logged";
            default:
                return event;
        }
    }

    private static void pause(long milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }
}
