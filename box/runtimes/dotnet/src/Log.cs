using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Kiln.Lambda
{
    /// <summary>
    /// The function's log: the console, and the loggers of AWS's packages. From .NET 6 on
    /// each line carries its time, the request and its level, or is an object of JSON; the
    /// runtimes before wrote lines as they were. Messages keep their boundaries: as frames
    /// where there is a telemetry descriptor, else as one line each.
    /// </summary>
    public sealed class Log
    {
        internal const int Trace = 0, Debug = 1, Information = 2, Warning = 3, Error_ = 4, Critical = 5, None = -1;
        private const uint Frame = 0xa55a0001; // with a time; the second bit says text, the level follows
        private static readonly string[] Names = { "Trace", "Debug", "Information", "Warning", "Error", "Critical" };
        private static readonly string[] Labels = { "trce", "dbug", "info", "warn", "fail", "crit" };
        // What AWS_LAMBDA_LOG_LEVEL calls them.
        private static readonly string[] Words = { "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL" };

        private readonly Stream output;
        private readonly Stream frames; // null: to the standard output
        private readonly bool formatted;
        private readonly bool json;
        private readonly int least;
        private readonly object turn = new object();
        private string request = "";
        private string trace = "";
        private string tenant = "";

        private Log()
        {
            output = Console.OpenStandardOutput();
            frames = Telemetry(Environment.GetEnvironmentVariable("_LAMBDA_TELEMETRY_LOG_FD"));
            var name = Environment.GetEnvironmentVariable("LAMBDA_RUNTIME_NAME") ?? "";
            var format = Setting("FORMAT");
            formatted = !name.StartsWith("dotnetcore") && format != "UNFORMATTED";
            json = formatted && format == "JSON";
            least = LevelOf(Setting("LEVEL"));
            if (least == None)
            {
                least = formatted ? Information : Trace;
            }
        }

        /// <summary>Opens the log, once. From .NET 6 on the console leads to it.</summary>
        internal static Log Open()
        {
            var log = new Log();
            if (log.formatted)
            {
                Console.SetOut(new Lines(log, Information));
                Console.SetError(new Lines(log, Error_));
            }
            return log;
        }

        /// <summary>Gives a setting that AWS's runtime reads by two names, in capitals.</summary>
        private static string Setting(string name)
        {
            var value = Environment.GetEnvironmentVariable("AWS_LAMBDA_HANDLER_LOG_" + name) ?? Environment.GetEnvironmentVariable("AWS_LAMBDA_LOG_" + name);
            return (value ?? "").ToUpperInvariant();
        }

        private static Stream Telemetry(string number)
        {
            int descriptor;
            if (!int.TryParse(number, out descriptor))
            {
                return null;
            }
            try
            {
                return new FileStream(new SafeFileHandle(new IntPtr(descriptor), false), FileAccess.Write, 1);
            }
            catch (Exception error) when (error is IOException || error is ArgumentException || error is UnauthorizedAccessException)
            {
                return null;
            }
        }

        /// <summary>Gives the level of a name of either kind; None for any other text.</summary>
        internal static int LevelOf(string name)
        {
            for (int i = 0; i < Names.Length; i++)
            {
                if (string.Equals(Names[i], name, StringComparison.OrdinalIgnoreCase) || string.Equals(Words[i], name, StringComparison.OrdinalIgnoreCase))
                {
                    return i;
                }
            }
            return None;
        }

        /// <summary>Lets messages name the invocation that has begun.</summary>
        internal void Begin(string request, string trace, string tenant)
        {
            this.request = request ?? "";
            this.trace = trace ?? "";
            this.tenant = tenant ?? "";
        }

        /// <summary>Brings everything that was printed on its way; the function may have put another stream there.</summary>
        internal void Flush()
        {
            Console.Out.Flush();
            Console.Error.Flush();
        }

        /// <summary>Writes an error of the function or of its loading.</summary>
        internal void Error(Fault fault)
        {
            if (formatted)
            {
                Message(Error_, "", fault.Error, null);
            }
            else
            {
                Put(Encoding.UTF8.GetBytes(fault.Report() + "\n"), Error_);
            }
        }

        /// <summary>
        /// Writes a message with the values of its placeholders, which JSON has as members
        /// too. Without a level it is always written.
        /// </summary>
        internal void Message(int level, string message, Exception error, object[] values)
        {
            if (level != None && level < least)
            {
                return;
            }
            var template = new Template(message ?? "", values);
            string text;
            if (json)
            {
                text = Structured(level, template, error);
            }
            else
            {
                text = template.Text;
                if (error != null)
                {
                    text += (text == "" ? "" : "\n") + error;
                }
                if (formatted)
                {
                    text = Now() + "\t" + request + "\t" + (level == None ? "" : Labels[level] + "\t") + text;
                }
            }
            Put(new UTF8Encoding(false).GetBytes(text + "\n"), level);
        }

        private static string Now()
        {
            return DateTime.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        }

        private string Structured(int level, Template template, Exception error)
        {
            var text = new StringBuilder("{\"timestamp\":\"" + Now() + "\"");
            Member(text, "level", Names[level == None ? Information : level]);
            Member(text, "requestId", request);
            Member(text, "traceId", trace);
            Member(text, "tenantId", tenant);
            text.Append(",\"message\":");
            Json.Quote(text, template.Text);
            foreach (var value in template.Values)
            {
                text.Append(',');
                Json.Quote(text, value.Key);
                text.Append(':');
                Template.Append(text, value.Value);
            }
            if (error != null)
            {
                Member(text, "errorType", error.GetType().FullName);
                text.Append(",\"errorMessage\":");
                Json.Quote(text, error.Message);
                text.Append(",\"stackTrace\":[");
                var first = true;
                foreach (var line in error.ToString().Split('\n'))
                {
                    text.Append(first ? "" : ",");
                    Json.Quote(text, line.Trim());
                    first = false;
                }
                text.Append(']');
            }
            return text.Append('}').ToString();
        }

        private static void Member(StringBuilder text, string name, string value)
        {
            if (value != "")
            {
                text.Append(",\"").Append(name).Append("\":");
                Json.Quote(text, value);
            }
        }

        /// <summary>Writes one message: as a frame, or as a line in which line feeds become carriage returns.</summary>
        private void Put(byte[] message, int level)
        {
            lock (turn)
            {
                try
                {
                    if (frames == null)
                    {
                        for (int i = 0; i < message.Length - 1; i++)
                        {
                            message[i] = message[i] == '\n' ? (byte)'\r' : message[i];
                        }
                        output.Write(message, 0, message.Length);
                        output.Flush();
                        return;
                    }
                    long now = (DateTime.UtcNow - new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc)).Ticks / 10;
                    var frame = new byte[16 + message.Length];
                    Number(frame, 0, 4, Frame | (uint)(level == None ? 0 : level + 1) << 2 | (json ? 0u : 2u));
                    Number(frame, 4, 4, message.Length);
                    Number(frame, 8, 8, now);
                    Buffer.BlockCopy(message, 0, frame, 16, message.Length);
                    frames.Write(frame, 0, frame.Length);
                    frames.Flush();
                }
                catch (IOException)
                {
                    return; // nobody reads the log any more
                }
            }
        }

        private static void Number(byte[] to, int at, int size, long value)
        {
            for (int i = size - 1; i >= 0; i--, value >>= 8)
            {
                to[at + i] = (byte)value;
            }
        }

        /// <summary>
        /// A console whose lines are messages. What one call writes stays together: only
        /// an end of line that ends a call ends a message.
        /// </summary>
        private sealed class Lines : TextWriter
        {
            private readonly Log log;
            private readonly int level;
            private readonly StringBuilder held = new StringBuilder();

            internal Lines(Log log, int level) : base(CultureInfo.InvariantCulture)
            {
                this.log = log;
                this.level = level;
            }

            public override Encoding Encoding
            {
                get { return Encoding.UTF8; }
            }

            public override void Write(char value)
            {
                held.Append(value);
                if (value == '\n')
                {
                    Flush();
                }
            }

            public override void Write(string value)
            {
                held.Append(value);
                Ended();
            }

            public override void Write(char[] buffer, int index, int count)
            {
                held.Append(buffer, index, count);
                Ended();
            }

            public override void WriteLine(string value)
            {
                held.Append(value).Append('\n');
                Flush();
            }

            private void Ended()
            {
                if (held.Length > 0 && held[held.Length - 1] == '\n')
                {
                    Flush();
                }
            }

            public override void Flush()
            {
                if (held.Length == 0)
                {
                    return;
                }
                int length = held[held.Length - 1] == '\n' ? held.Length - 1 : held.Length;
                var message = held.ToString(0, length);
                held.Clear();
                log.Message(level, message, null, null);
            }
        }
    }

    /// <summary>A message with placeholders such as {count}, {0} or {price:N2}, filled in.</summary>
    internal sealed class Template
    {
        internal readonly string Text;
        internal readonly List<KeyValuePair<string, object>> Values = new List<KeyValuePair<string, object>>();

        internal Template(string template, object[] values)
        {
            if (values == null || values.Length == 0)
            {
                Text = template;
                return;
            }
            var text = new StringBuilder();
            int count = 0;
            for (int at = 0; at < template.Length; at++)
            {
                var c = template[at];
                if ((c == '{' || c == '}') && at + 1 < template.Length && template[at + 1] == c)
                {
                    text.Append(c);
                    at++;
                    continue;
                }
                int close = c == '{' ? template.IndexOf('}', at) : -1;
                if (close < 0)
                {
                    text.Append(c);
                    continue;
                }
                var placeholder = template.Substring(at + 1, close - at - 1);
                int colon = placeholder.IndexOf(':');
                var name = (colon < 0 ? placeholder : placeholder.Substring(0, colon)).Trim().TrimStart('@');
                int index;
                if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out index))
                {
                    index = count;
                }
                count++;
                at = close;
                if (index >= values.Length)
                {
                    text.Append('{').Append(placeholder).Append('}');
                    continue;
                }
                var value = values[index];
                text.AppendFormat(CultureInfo.InvariantCulture, colon < 0 ? "{0}" : "{0" + placeholder.Substring(colon) + "}", value);
                if (value != null)
                {
                    Values.Add(new KeyValuePair<string, object>(name, value));
                }
            }
            Text = text.ToString();
        }

        /// <summary>Writes a value as JSON: numbers and truth as they are, all else as text.</summary>
        internal static void Append(StringBuilder to, object value)
        {
            switch (System.Type.GetTypeCode(value.GetType()))
            {
                case TypeCode.Boolean:
                    to.Append((bool)value ? "true" : "false");
                    return;
                case TypeCode.SByte:
                case TypeCode.Byte:
                case TypeCode.Int16:
                case TypeCode.UInt16:
                case TypeCode.Int32:
                case TypeCode.UInt32:
                case TypeCode.Int64:
                case TypeCode.UInt64:
                case TypeCode.Decimal:
                    to.Append(Convert.ToString(value, CultureInfo.InvariantCulture));
                    return;
            }
            Json.Quote(to, Convert.ToString(value, CultureInfo.InvariantCulture));
        }
    }
}
