using System;
using System.IO;

namespace Kiln.Lambda
{
    /// <summary>
    /// The Runtime API client of kiln for .NET Core 2.1 and later: loads the handler, asks
    /// for invocations, calls the handler and posts what it returned or threw. It knows
    /// AWS's packages by the names of their types only, since each function brings its own
    /// version of them.
    /// </summary>
    public static class Program
    {
        public static int Main(string[] arguments)
        {
            if (arguments.Length == 1 && arguments[0] == "--probe")
            {
                return Probe();
            }
            if (Environment.GetEnvironmentVariable("KILN_HEAP") != null)
            {
                // Set for the collector by the script that started this.
                foreach (var name in new[] { "KILN_HEAP", "COMPlus_GCHeapHardLimit", "DOTNET_GCHeapHardLimit" })
                {
                    Environment.SetEnvironmentVariable(name, null);
                }
            }
            var log = Log.Open();
            try
            {
                return Run(log);
            }
            catch (Gone error)
            {
                Console.Error.WriteLine("the Runtime API is gone: " + error.Message);
                return 1;
            }
        }

        /// <summary>Loads what functions expect, to prove that this .NET works here.</summary>
        private static int Probe()
        {
            using (var digest = System.Security.Cryptography.SHA256.Create())
            {
                digest.ComputeHash(new byte[0]);
            }
            using (new System.Net.Http.HttpClient())
            {
                return 0;
            }
        }

        /// <summary>Serves invocations until the environment is over, and gives the exit code.</summary>
        private static int Run(Log log)
        {
            var api = new Api(Environment.GetEnvironmentVariable("AWS_LAMBDA_RUNTIME_API"));
            Handler handler;
            try
            {
                handler = Handler.Load(Environment.GetEnvironmentVariable("_HANDLER") ?? "", log);
            }
            catch (Exception error)
            {
                var fault = new Fault(error);
                log.Error(fault);
                log.Flush();
                api.PostAlone("/init/error", fault.Json(), fault.Headers(null));
                return 1;
            }
            for (;;)
            {
                Serve(api, handler, log);
            }
        }

        private static void Serve(Api api, Handler handler, Log log)
        {
            var work = api.Next();
            var id = work.Header("lambda-runtime-aws-request-id");
            var attempt = work.Header("lambda-runtime-invocation-id");
            log.Begin(id, work.Header("lambda-runtime-trace-id"), work.Header("lambda-runtime-aws-tenant-id"));
            Environment.SetEnvironmentVariable("_X_AMZN_TRACE_ID", work.Header("lambda-runtime-trace-id"));
            var answer = new MemoryStream();
            Fault fault = null;
            try
            {
                handler.Call(work, answer, log);
            }
            catch (Exception error)
            {
                fault = new Fault(error);
                log.Error(fault);
            }
            log.Flush();
            if (fault == null)
            {
                api.Post("/invocation/" + id + "/response", answer, Api.Echo("Content-Type: application/json\r\n", attempt));
            }
            else
            {
                api.Post("/invocation/" + id + "/error", fault.Json(), fault.Headers(attempt));
            }
        }
    }
}
