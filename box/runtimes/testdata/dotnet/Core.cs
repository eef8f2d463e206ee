using System;
using System.Collections.Generic;
using System.IO;

// Types of the names and shapes of AWS's package Amazon.Lambda.Core, which a function
// brings: the bootstrap knows it by name only.
[assembly: System.Reflection.AssemblyVersion("1.0.0.0")]

namespace Amazon.Lambda.Core
{
    public interface ILambdaLogger
    {
        void Log(string message);
        void LogLine(string message);
        // A later version of the package has these, with a body of their own.
        void Log(string level, string message);
        void LogWarning(string message, params object[] args);
        void LogError(Exception exception, string message, params object[] args);
    }

    public interface ICognitoIdentity
    {
        string IdentityId { get; }
        string IdentityPoolId { get; }
    }

    public interface IClientApplication
    {
        string AppTitle { get; }
        string InstallationId { get; }
    }

    public interface IClientContext
    {
        IDictionary<string, string> Environment { get; }
        IClientApplication Client { get; }
        IDictionary<string, string> Custom { get; }
    }

    public interface ILambdaContext
    {
        string AwsRequestId { get; }
        IClientContext ClientContext { get; }
        string FunctionName { get; }
        string FunctionVersion { get; }
        ICognitoIdentity Identity { get; }
        string InvokedFunctionArn { get; }
        ILambdaLogger Logger { get; }
        string LogGroupName { get; }
        string LogStreamName { get; }
        int MemoryLimitInMB { get; }
        TimeSpan RemainingTime { get; }
        string TenantId { get; }
        // What no version of the package has yet.
        int NotYetKnown { get; }
    }

    public interface ILambdaSerializer
    {
        T Deserialize<T>(Stream requestStream);
        void Serialize<T>(T response, Stream responseStream);
    }

    [AttributeUsage(AttributeTargets.Method | AttributeTargets.Assembly)]
    public sealed class LambdaSerializerAttribute : Attribute
    {
        public Type SerializerType { get; set; }

        public LambdaSerializerAttribute(Type serializerType)
        {
            SerializerType = serializerType;
        }
    }

    public static class LambdaLogger
    {
        private static Action<string> _loggingAction = message => Console.WriteLine("not installed: " + message);
        private static Action<string, string, object[]> _loggingWithLevelAction = (level, message, args) => Console.WriteLine("not installed: " + message);

        public static void Log(string message)
        {
            _loggingAction(message);
        }

        public static void Log(string level, string message, params object[] args)
        {
            _loggingWithLevelAction(level, message, args);
        }
    }
}
