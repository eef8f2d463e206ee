using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Kiln.Lambda
{
    /// <summary>
    /// The little JSON that the runtime itself needs: strings of errors and of the log, and
    /// the client context. Events and answers are the function's serializer's.
    /// </summary>
    internal sealed class Json
    {
        private readonly string text;
        private int at;

        private Json(string text)
        {
            this.text = text;
        }

        /// <summary>Gives the members of an object; an empty one for anything else.</summary>
        internal static Dictionary<string, object> Members(string text)
        {
            if (string.IsNullOrEmpty(text))
            {
                return new Dictionary<string, object>();
            }
            return new Json(text).Value() as Dictionary<string, object> ?? new Dictionary<string, object>();
        }

        /// <summary>Writes a string with its quotes.</summary>
        internal static void Quote(StringBuilder to, string value)
        {
            to.Append('"');
            foreach (var c in value ?? "")
            {
                if (c == '"' || c == '\\')
                {
                    to.Append('\\').Append(c);
                }
                else if (c < ' ' || char.IsSurrogate(c) || c == 0x7f)
                {
                    to.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                }
                else
                {
                    to.Append(c);
                }
            }
            to.Append('"');
        }

        private char Peek()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at]))
            {
                at++;
            }
            return at < text.Length ? text[at] : '\0';
        }

        /// <summary>Takes a character if it is the next one.</summary>
        private bool Next(char c)
        {
            if (Peek() != c)
            {
                return false;
            }
            at++;
            return true;
        }

        private object Value()
        {
            switch (Peek())
            {
                case '{':
                    return Object();
                case '[':
                    return List();
                case '"':
                    return String();
            }
            int from = at;
            while (at < text.Length && ",]}".IndexOf(text[at]) < 0 && !char.IsWhiteSpace(text[at]))
            {
                at++;
            }
            var word = text.Substring(from, at - from);
            return word == "null" ? null : word;
        }

        private Dictionary<string, object> Object()
        {
            var members = new Dictionary<string, object>();
            at++;
            while (Peek() == '"')
            {
                var name = String();
                Next(':');
                members[name] = Value();
                if (!Next(','))
                {
                    break;
                }
            }
            Next('}');
            return members;
        }

        private List<object> List()
        {
            var all = new List<object>();
            at++;
            while (Peek() != ']' && Peek() != '\0')
            {
                all.Add(Value());
                if (!Next(','))
                {
                    break;
                }
            }
            Next(']');
            return all;
        }

        private string String()
        {
            var value = new StringBuilder();
            for (at++; at < text.Length && text[at] != '"'; at++)
            {
                if (text[at] != '\\' || at + 1 == text.Length)
                {
                    value.Append(text[at]);
                    continue;
                }
                at++;
                int plain = "bfnrt".IndexOf(text[at]);
                int code;
                if (text[at] == 'u' && at + 4 < text.Length && int.TryParse(text.Substring(at + 1, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out code))
                {
                    value.Append((char)code);
                    at += 4;
                }
                else
                {
                    value.Append(plain < 0 ? text[at] : "\b\f\n\r\t"[plain]);
                }
            }
            at++;
            return value.ToString();
        }
    }
}
