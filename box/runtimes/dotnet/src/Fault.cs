using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Text;

namespace Kiln.Lambda
{
    /// <summary>A handler that cannot be called, for a reason of the runtime's own.</summary>
    internal sealed class Unusable : Exception
    {
        internal Unusable(string message) : base(message) { }
    }

    /// <summary>What went wrong, in the words that are posted and in those that are logged.</summary>
    internal sealed class Fault
    {
        private const string Own = "Kiln.Lambda.";

        internal readonly Exception Error;

        internal Fault(Exception error)
        {
            while (error is TargetInvocationException && error.InnerException != null)
            {
                error = error.InnerException;
            }
            Error = error;
        }

        /// <summary>Gives the name of an error's type as AWS's runtime names it.</summary>
        internal static string Type(Exception error)
        {
            return error is Unusable ? "LambdaValidationException" : error.GetType().Name;
        }

        /// <summary>Gives the error as it is posted.</summary>
        internal MemoryStream Json()
        {
            var text = new StringBuilder();
            Describe(text, Error, 0);
            var bytes = new UTF8Encoding(false).GetBytes(text.ToString());
            return new MemoryStream(bytes, 0, bytes.Length, false, true);
        }

        private static void Describe(StringBuilder text, Exception error, int depth)
        {
            text.Append("{\"errorType\":");
            Lambda.Json.Quote(text, Type(error));
            text.Append(",\"errorMessage\":");
            Lambda.Json.Quote(text, error.Message);
            var frames = Frames(error);
            if (frames.Count > 0)
            {
                text.Append(",\"stackTrace\":[");
                for (int i = 0; i < frames.Count; i++)
                {
                    text.Append(i == 0 ? "" : ",");
                    Lambda.Json.Quote(text, frames[i]);
                }
                text.Append(']');
            }
            var several = error as AggregateException;
            if (several != null && depth < 20)
            {
                text.Append(",\"causes\":[");
                for (int i = 0; i < several.InnerExceptions.Count; i++)
                {
                    text.Append(i == 0 ? "" : ",");
                    Describe(text, several.InnerExceptions[i], depth + 1);
                }
                text.Append(']');
            }
            else if (error.InnerException != null && depth < 20)
            {
                text.Append(",\"cause\":");
                Describe(text, error.InnerException, depth + 1);
            }
            text.Append('}');
        }

        /// <summary>Gives the stack without the runtime's own frames.</summary>
        private static List<string> Frames(Exception error)
        {
            var frames = new List<string>();
            foreach (var line in (error.StackTrace ?? "").Split('\n'))
            {
                var frame = line.Trim();
                if (frame.StartsWith("at ") && !frame.StartsWith("at " + Own))
                {
                    frames.Add(frame);
                }
            }
            return frames;
        }

        /// <summary>Gives the lines that the runtimes before .NET 6 log.</summary>
        internal string Report()
        {
            var text = new StringBuilder(Error.Message + ": " + Type(Error));
            foreach (var frame in Frames(Error))
            {
                text.Append("\n   ").Append(frame);
            }
            return text.ToString();
        }

        /// <summary>Gives the header lines of the posted error.</summary>
        internal string Headers(string attempt)
        {
            var type = new StringBuilder();
            foreach (var c in Type(Error))
            {
                type.Append(c > ' ' && c < 0x7f ? c : '?');
            }
            return Api.Echo("Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: " + type + "\r\n", attempt);
        }
    }
}
