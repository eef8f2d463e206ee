using System;
using System.Collections.Generic;
using System.Reflection;

namespace Kiln.Lambda
{
    /// <summary>
    /// Objects of interfaces that only the function's own packages have: each member is
    /// answered by its name. A member of a later version that is not known here gives
    /// what its type has for nothing.
    /// </summary>
    public abstract class Named : DispatchProxy
    {
        /// <summary>Makes an object of an interface, answered by a kind of proxy.</summary>
        internal static T Make<T>(Type shape) where T : Named
        {
            var create = typeof(DispatchProxy).GetMethod("Create", 2, BindingFlags.Public | BindingFlags.Static, null, System.Type.EmptyTypes, null);
            return (T)create.MakeGenericMethod(shape, typeof(T)).Invoke(null, null);
        }

        /// <summary>Gives what a type has for nothing: null, zero.</summary>
        protected static object Nothing(Type type)
        {
            return type.IsValueType && type != typeof(void) ? Activator.CreateInstance(type) : null;
        }

        protected override object Invoke(MethodInfo method, object[] arguments)
        {
            if (method.Name.StartsWith("get_") && arguments.Length == 0)
            {
                var value = Member(method.Name.Substring(4), method.ReturnType);
                return value ?? Nothing(method.ReturnType);
            }
            return Call(method, arguments);
        }

        /// <summary>Gives the value of a property.</summary>
        protected virtual object Member(string name, Type type)
        {
            return null;
        }

        /// <summary>Answers a method that is no property.</summary>
        protected virtual object Call(MethodInfo method, object[] arguments)
        {
            return Nothing(method.ReturnType);
        }
    }

    /// <summary>What a handler gets as its context.</summary>
    public class LambdaContext : Named
    {
        private Work work;
        private Log log;
        private object serializer;
        private object logger;
        private object identity;
        private object client;

        internal void Fill(Work work, Log log, object serializer)
        {
            this.work = work;
            this.log = log;
            this.serializer = serializer;
        }

        protected override object Member(string name, Type type)
        {
            switch (name)
            {
                case "AwsRequestId":
                    return work.Header("lambda-runtime-aws-request-id");
                case "InvokedFunctionArn":
                    return work.Header("lambda-runtime-invoked-function-arn");
                case "TenantId":
                    return work.Header("lambda-runtime-aws-tenant-id");
                case "TraceId":
                    return work.Header("lambda-runtime-trace-id");
                case "FunctionName":
                    return Environment.GetEnvironmentVariable("AWS_LAMBDA_FUNCTION_NAME");
                case "FunctionVersion":
                    return Environment.GetEnvironmentVariable("AWS_LAMBDA_FUNCTION_VERSION");
                case "LogGroupName":
                    return Environment.GetEnvironmentVariable("AWS_LAMBDA_LOG_GROUP_NAME");
                case "LogStreamName":
                    return Environment.GetEnvironmentVariable("AWS_LAMBDA_LOG_STREAM_NAME");
                case "MemoryLimitInMB":
                    return int.Parse(Environment.GetEnvironmentVariable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") ?? "0");
                case "RemainingTime":
                    return Remaining();
                case "Serializer":
                    return serializer;
                case "Logger":
                    return logger ?? (logger = MakeLogger(type));
                case "Identity":
                    return identity ?? (identity = Object(type, work.Header("lambda-runtime-cognito-identity"), true));
                case "ClientContext":
                    return client ?? (client = Object(type, work.Header("lambda-runtime-client-context"), false));
            }
            return null;
        }

        private TimeSpan Remaining()
        {
            long deadline;
            if (!long.TryParse(work.Header("lambda-runtime-deadline-ms"), out deadline))
            {
                return TimeSpan.Zero;
            }
            var left = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddMilliseconds(deadline) - DateTime.UtcNow;
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }

        private object MakeLogger(Type type)
        {
            var made = Make<LambdaLogger>(type);
            made.Fill(log);
            return made;
        }

        /// <summary>Gives an object of what a header holds; null without it, unless AWS gives an empty one.</summary>
        private static object Object(Type type, string header, bool always)
        {
            if (string.IsNullOrEmpty(header) && !always)
            {
                return null;
            }
            var made = Make<Described>(type);
            made.Fill(Lambda.Json.Members(header));
            return made;
        }
    }

    /// <summary>The identity and the client context, whose members are those of an object of JSON.</summary>
    public class Described : Named
    {
        private static readonly Dictionary<string, string> Names = new Dictionary<string, string>
        {
            { "IdentityId", "cognitoIdentityId" }, { "IdentityPoolId", "cognitoIdentityPoolId" },
            { "Client", "client" }, { "Custom", "custom" }, { "Environment", "env" },
            { "AppPackageName", "app_package_name" }, { "AppTitle", "app_title" }, { "AppVersionCode", "app_version_code" },
            { "AppVersionName", "app_version_name" }, { "InstallationId", "installation_id" },
        };

        private Dictionary<string, object> members;

        internal void Fill(Dictionary<string, object> members)
        {
            this.members = members;
        }

        protected override object Member(string name, Type type)
        {
            string key;
            object value;
            if (!Names.TryGetValue(name, out key) || !members.TryGetValue(key, out value))
            {
                value = null;
            }
            var inner = value as Dictionary<string, object>;
            if (type == typeof(string))
            {
                return value as string;
            }
            if (type.IsAssignableFrom(typeof(Dictionary<string, string>)))
            {
                var texts = new Dictionary<string, string>();
                foreach (var pair in inner ?? new Dictionary<string, object>())
                {
                    texts[pair.Key] = pair.Value as string;
                }
                return texts;
            }
            if (inner == null || !type.IsInterface)
            {
                return null;
            }
            var made = Make<Described>(type);
            made.Fill(inner);
            return made;
        }
    }

    /// <summary>The logger that the context gives.</summary>
    public class LambdaLogger : Named
    {
        private const string Prefix = "Log";

        private Log log;

        internal void Fill(Log log)
        {
            this.log = log;
        }

        protected override object Call(MethodInfo method, object[] arguments)
        {
            // Log, LogLine, LogTrace … LogCritical; the plain ones may have a level first.
            int level = Log.LevelOf(method.Name.StartsWith(Prefix) ? method.Name.Substring(Prefix.Length) : "");
            int at = 0;
            if (level == Log.None && arguments.Length > 1)
            {
                level = Log.LevelOf(Convert.ToString(arguments[at++]));
            }
            Exception error = null;
            if (at < arguments.Length && method.GetParameters()[at].ParameterType == typeof(Exception))
            {
                error = (Exception)arguments[at++];
            }
            var message = at < arguments.Length ? Convert.ToString(arguments[at]) : "";
            log.Message(level, message, error, at + 1 < arguments.Length ? arguments[at + 1] as object[] : null);
            return null;
        }
    }
}
