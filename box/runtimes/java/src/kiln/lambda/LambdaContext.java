package kiln.lambda;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a handler gets as its context. */
final class LambdaContext implements Context {
    private final String requestID;
    private final String arn;
    private final String tenant;
    private final String trace;
    private final long deadline;
    private final Log log;
    private final Map<?, ?> identity;
    private final Map<?, ?> client;

    LambdaContext(Api.Answer work, Log log) {
        this.log = log;
        requestID = work.header("lambda-runtime-aws-request-id");
        arn = work.header("lambda-runtime-invoked-function-arn");
        tenant = work.header("lambda-runtime-aws-tenant-id");
        trace = work.header("lambda-runtime-trace-id");
        String until = work.header("lambda-runtime-deadline-ms");
        deadline = until == null ? 0 : Long.parseLong(until);
        identity = object(work.header("lambda-runtime-cognito-identity"));
        client = object(work.header("lambda-runtime-client-context"));
    }

    private static Map<?, ?> object(String header) {
        if (header == null || header.isEmpty()) {
            return null;
        }
        return (Map<?, ?>) new JsonReader(header).read(Map.class);
    }

    private static String text(Map<?, ?> map, String name) {
        Object value = map.get(name);
        return value == null ? null : value.toString();
    }

    /** Gives a member that is an object, with texts as values; null when it is none. */
    private static Map<String, String> texts(Map<?, ?> map, String name) {
        Object value = map.get(name);
        if (!(value instanceof Map)) {
            return null;
        }
        Map<String, String> texts = new LinkedHashMap<String, String>();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
            Object member = entry.getValue();
            texts.put((String) entry.getKey(), member == null || member instanceof String ? (String) member : JsonWriter.toText(member));
        }
        return texts;
    }

    @Override
    public String getAwsRequestId() {
        return requestID;
    }

    @Override
    public String getLogGroupName() {
        return System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
    }

    @Override
    public String getLogStreamName() {
        return System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
    }

    @Override
    public String getFunctionName() {
        return System.getenv("AWS_LAMBDA_FUNCTION_NAME");
    }

    @Override
    public String getFunctionVersion() {
        return System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
    }

    @Override
    public String getInvokedFunctionArn() {
        return arn;
    }

    @Override
    public CognitoIdentity getIdentity() {
        if (identity == null) {
            return null;
        }
        return new CognitoIdentity() {
            @Override
            public String getIdentityId() {
                return text(identity, "cognitoIdentityId");
            }

            @Override
            public String getIdentityPoolId() {
                return text(identity, "cognitoIdentityPoolId");
            }
        };
    }

    @Override
    public ClientContext getClientContext() {
        if (client == null) {
            return null;
        }
        return new ClientContext() {
            @Override
            public Client getClient() {
                Object value = client.get("client");
                return value instanceof Map ? new Application((Map<?, ?>) value) : null;
            }

            @Override
            public Map<String, String> getCustom() {
                return texts(client, "custom");
            }

            @Override
            public Map<String, String> getEnvironment() {
                return texts(client, "env");
            }
        };
    }

    /** What a mobile application says of itself. */
    private static final class Application implements Client {
        private final Map<?, ?> values;

        Application(Map<?, ?> values) {
            this.values = values;
        }

        @Override
        public String getInstallationId() {
            return text(values, "installation_id");
        }

        @Override
        public String getAppTitle() {
            return text(values, "app_title");
        }

        @Override
        public String getAppVersionName() {
            return text(values, "app_version_name");
        }

        @Override
        public String getAppVersionCode() {
            return text(values, "app_version_code");
        }

        @Override
        public String getAppPackageName() {
            return text(values, "app_package_name");
        }
    }

    @Override
    public int getRemainingTimeInMillis() {
        return (int) Math.max(0, Math.min(Integer.MAX_VALUE, deadline - System.currentTimeMillis()));
    }

    @Override
    public int getMemoryLimitInMB() {
        return Integer.parseInt(System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
    }

    @Override
    public LambdaLogger getLogger() {
        return log;
    }

    @Override
    public String getTenantId() {
        return tenant;
    }

    @Override
    public String getXrayTraceId() {
        return trace;
    }
}
