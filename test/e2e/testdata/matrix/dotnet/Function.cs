using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Amazon.Lambda.Core;

namespace Dotnet
{
    /// <summary>It is compiled for .NET Core 2.1 and runs on every later one.</summary>
    public class Function
    {
        public async Task<Stream> FunctionHandler(Stream input, ILambdaContext context)
        {
            var text = await new StreamReader(input).ReadToEndAsync();
            switch (Asked(text))
            {
                case "look":
                    return Answer(Look(context));
                case "fail":
                    throw new Exception("Error: some_error_msg");
                case "sleep":
                    await Task.Delay(30000);
                    break;
                case "exit":
                    Environment.Exit(3);
                    break;
                case "background":
                    new Thread(() => { throw new InvalidOperationException("nobody waits for this"); }).Start();
                    await Task.Delay(30000);
                    break;
                case "log":
                    Console.WriteLine("printed");
                    context.Logger.LogLine("a line\nof two lines");
                    context.Logger.Log("Debug", "a debug line");
                    context.Logger.Log("Information", "an info line");
                    context.Logger.Log("Warning", "a warning\nof two lines");
                    LambdaLogger.Log("a static line");
                    return Answer("\"logged\"");
            }
            return Answer(text);
        }

        /// <summary>Gives the word after "do".</summary>
        private static string Asked(string text)
        {
            var parts = text.Split('"');
            return parts.Length > 3 && parts[1] == "do" ? parts[3] : "";
        }

        private static Stream Answer(string text)
        {
            return new MemoryStream(Encoding.UTF8.GetBytes(text));
        }

        private static string Look(ILambdaContext context)
        {
            var variables = new List<string>();
            foreach (System.Collections.DictionaryEntry pair in Environment.GetEnvironmentVariables())
            {
                variables.Add(Quoted((string)pair.Key) + ":" + Quoted((string)pair.Value));
            }
            string[] members =
            {
                "aws_request_id", context.AwsRequestId, "function_name", context.FunctionName, "function_version", context.FunctionVersion,
                "invoked_function_arn", context.InvokedFunctionArn, "log_group_name", context.LogGroupName, "log_stream_name", context.LogStreamName,
                "memory_limit_in_mb", context.MemoryLimitInMB.ToString(), "remaining_time_in_millis", context.RemainingTime.TotalMilliseconds.ToString(),
            };
            var ctx = new List<string>();
            for (int i = 0; i < members.Length; i += 2)
            {
                ctx.Add(Quoted(members[i]) + ":" + Quoted(members[i + 1]));
            }
            // TLS and hashing need a library of the system.
            using (var digest = System.Security.Cryptography.SHA256.Create())
            {
                digest.ComputeHash(new byte[0]);
            }
            var home = Path.GetFileName(Path.GetDirectoryName(typeof(object).Assembly.Location));
            return "{\"ctx\":{" + string.Join(",", ctx) + "},\"environment\":{" + string.Join(",", variables) + "},\"version\":" + Quoted(home) + "}";
        }

        private static string Quoted(string text)
        {
            return "\"" + text.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\"";
        }
    }
}
