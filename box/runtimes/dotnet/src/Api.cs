using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Kiln.Lambda
{
    /// <summary>The Runtime API closed the connection: the environment is over.</summary>
    internal sealed class Gone : Exception
    {
        internal Gone(string message) : base(message) { }
    }

    /// <summary>One answer of the Runtime API.</summary>
    internal sealed class Work
    {
        internal int Status;
        internal byte[] Body;
        private readonly Dictionary<string, string> headers = new Dictionary<string, string>();

        internal void Add(string name, string value)
        {
            headers[name.ToLowerInvariant()] = value;
        }

        /// <summary>Gives the value of a header by its name in lower case; null when it was not sent.</summary>
        internal string Header(string name)
        {
            string value;
            return headers.TryGetValue(name, out value) ? value : null;
        }
    }

    /// <summary>
    /// The Runtime API over one raw connection. It never interprets what it carries. An
    /// outcome and the question for the next invocation leave in one write.
    /// </summary>
    internal sealed class Api
    {
        private const string Root = "/2018-06-01/runtime";
        private static readonly Encoding Text = new UTF8Encoding(false);

        private readonly string host;
        private readonly Socket socket;
        private readonly byte[] ask;
        private byte[] buffer = new byte[16 << 10];
        private int start;
        private int end;
        private int owed;

        /// <summary>Connects, once for the life of the environment.</summary>
        internal Api(string address)
        {
            host = address;
            int colon = address.LastIndexOf(':');
            var ip = IPAddress.Parse(address.Substring(0, colon).Trim('[', ']'));
            socket = new Socket(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            socket.Connect(new IPEndPoint(ip, int.Parse(address.Substring(colon + 1))));
            ask = Text.GetBytes("GET " + Root + "/invocation/next HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
        }

        /// <summary>
        /// Waits for the next invocation. When an outcome is still on its way, the question
        /// is too, and the API's word on the outcome changes nothing here: what it refused
        /// it has made into an error for the caller.
        /// </summary>
        internal Work Next()
        {
            if (owed == 0)
            {
                Send(ask, ask.Length);
            }
            for (; owed > 0; owed--)
            {
                Answer();
            }
            var work = Answer();
            if (work.Status != 200)
            {
                throw new Gone("status " + work.Status);
            }
            return work;
        }

        /// <summary>Posts the outcome of an invocation and asks for the next one.</summary>
        internal void Post(string path, MemoryStream body, string headers)
        {
            var request = Request(path, body, headers);
            request.Write(ask, 0, ask.Length);
            Send(request.GetBuffer(), (int)request.Length);
            owed++;
        }

        /// <summary>Posts and waits for the answer.</summary>
        internal void PostAlone(string path, MemoryStream body, string headers)
        {
            var request = Request(path, body, headers);
            Send(request.GetBuffer(), (int)request.Length);
            Answer();
        }

        /// <summary>Adds the header that says which attempt an outcome is of.</summary>
        internal static string Echo(string headers, string attempt)
        {
            return attempt == null ? headers : headers + "Lambda-Runtime-Invocation-Id: " + attempt + "\r\n";
        }

        private MemoryStream Request(string path, MemoryStream body, string headers)
        {
            var head = Text.GetBytes("POST " + Root + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "Content-Length: " + body.Length + "\r\n\r\n");
            var request = new MemoryStream(head.Length + (int)body.Length + ask.Length);
            request.Write(head, 0, head.Length);
            body.WriteTo(request);
            return request;
        }

        private void Send(byte[] data, int length)
        {
            try
            {
                for (int sent = 0; sent < length;)
                {
                    sent += socket.Send(data, sent, length - sent, SocketFlags.None);
                }
            }
            catch (SocketException error)
            {
                throw new Gone(error.Message);
            }
        }

        /// <summary>Reads more of the stream behind what is held of it.</summary>
        private void More()
        {
            if (end == buffer.Length)
            {
                var larger = start > buffer.Length / 2 ? buffer : new byte[2 * buffer.Length];
                Buffer.BlockCopy(buffer, start, larger, 0, end - start);
                end -= start;
                start = 0;
                buffer = larger;
            }
            int count;
            try
            {
                count = socket.Receive(buffer, end, buffer.Length - end, SocketFlags.None);
            }
            catch (SocketException error)
            {
                throw new Gone(error.Message);
            }
            if (count == 0)
            {
                throw new Gone("end of stream");
            }
            end += count;
        }

        private string Line()
        {
            for (int at = start; ; at++)
            {
                for (; at >= end;)
                {
                    int held = at - start;
                    More();
                    at = start + held;
                }
                if (buffer[at] == '\n')
                {
                    var line = Text.GetString(buffer, start, at - start).TrimEnd('\r');
                    start = at + 1;
                    return line;
                }
            }
        }

        private void Take(MemoryStream to, int count)
        {
            while (count > 0)
            {
                if (start == end)
                {
                    start = end = 0;
                    More();
                }
                int some = Math.Min(count, end - start);
                to.Write(buffer, start, some);
                start += some;
                count -= some;
            }
        }

        private Work Answer()
        {
            Work work;
            do
            {
                work = new Work { Status = int.Parse(Line().Split(' ')[1]) };
                for (var line = Line(); line != ""; line = Line())
                {
                    int colon = line.IndexOf(':');
                    work.Add(line.Substring(0, colon), line.Substring(colon + 1).Trim());
                }
            }
            while (work.Status < 200);
            var body = new MemoryStream();
            if ((work.Header("transfer-encoding") ?? "").IndexOf("chunked", StringComparison.OrdinalIgnoreCase) >= 0)
            {
                for (int size = Chunk(); size > 0; size = Chunk())
                {
                    Take(body, size);
                    Line();
                }
                while (Line() != "")
                {
                }
            }
            else
            {
                Take(body, int.Parse(work.Header("content-length") ?? "0"));
            }
            work.Body = body.ToArray();
            return work;
        }

        private int Chunk()
        {
            return Convert.ToInt32(Line().Split(';')[0].Trim(), 16);
        }
    }
}
