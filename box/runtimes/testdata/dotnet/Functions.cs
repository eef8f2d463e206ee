using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Amazon.Lambda.Core;

[assembly: LambdaSerializer(typeof(Tests.Serializer))]

namespace Tests
{
    /// <summary>A serializer as functions bring one, of the standard library.</summary>
    public class Serializer : ILambdaSerializer
    {
        private static readonly DataContractJsonSerializerSettings Settings =
            new DataContractJsonSerializerSettings { UseSimpleDictionaryFormat = true };

        public T Deserialize<T>(Stream stream)
        {
            return (T)new DataContractJsonSerializer(typeof(T), Settings).ReadObject(stream);
        }

        public void Serialize<T>(T value, Stream stream)
        {
            new DataContractJsonSerializer(typeof(T), Settings).WriteObject(stream, value);
        }
    }

    /// <summary>Another one, for a single method.</summary>
    public class Upper : ILambdaSerializer
    {
        public T Deserialize<T>(Stream stream)
        {
            return (T)(object)new StreamReader(stream).ReadToEnd().ToUpperInvariant();
        }

        public void Serialize<T>(T value, Stream stream)
        {
            var text = new UTF8Encoding(false).GetBytes((string)(object)value);
            stream.Write(text, 0, text.Length);
        }
    }

    [DataContract]
    public class Order
    {
        [DataMember(Name = "name")]
        public string Name { get; set; }

        [DataMember(Name = "count")]
        public int Count { get; set; }
    }

    public class Function
    {
        private int calls;

        public Stream Bytes(Stream input, ILambdaContext context)
        {
            return input;
        }

        public async Task<Stream> BytesLater(Stream input)
        {
            await Task.Yield();
            return input;
        }

        public string Text(string input)
        {
            return input + "!";
        }

        public Order Object(Order order, ILambdaContext context)
        {
            return new Order { Name = order.Name + " " + context.FunctionName, Count = order.Count + ++calls };
        }

        public async Task<Order> ObjectLater(Order order)
        {
            await Task.Delay(1);
            return new Order { Name = order.Name, Count = order.Count + 1 };
        }

        public static int Static(Dictionary<string, int> numbers)
        {
            var sum = 0;
            foreach (var number in numbers.Values)
            {
                sum += number;
            }
            return sum;
        }

        public string OnlyContext(ILambdaContext context)
        {
            return context.AwsRequestId;
        }

        public string None()
        {
            return "none";
        }

        public void Nothing(string input)
        {
        }

        public async Task NothingLater(string input)
        {
            await Task.Yield();
        }

        private string Hidden(string input)
        {
            return "hidden";
        }

        [LambdaSerializer(typeof(Upper))]
        public string Own(string input)
        {
            return input;
        }

        public string Fail(string input)
        {
            throw new InvalidOperationException("Error: " + input, new ArgumentException("inner\n\"quoted\" €"));
        }

        public async Task<string> FailLater(string input)
        {
            await Task.Yield();
            throw new KeyNotFoundException(input);
        }

        public string Several(string input)
        {
            throw new AggregateException("several", new ArgumentException("one"), new FormatException("two"));
        }

        public int Read(Order order)
        {
            return order.Count;
        }

        public string Exit(string input)
        {
            Environment.Exit(3);
            return null;
        }

        public string Aside(string input)
        {
            new Thread(() => { throw new InvalidOperationException("nobody waits"); }).Start();
            Thread.Sleep(30000);
            return null;
        }

        public string Log(string input, ILambdaContext context)
        {
            Console.WriteLine("printed €\nof two lines");
            Console.Error.WriteLine("to standard error");
            Console.Write("no ");
            Console.WriteLine(12);
            LambdaLogger.Log("plain");
            LambdaLogger.Log("Debug", "hidden {n}", 1);
            context.Logger.LogLine("a line");
            context.Logger.Log("Critical", "with level");
            context.Logger.LogWarning("{count} of {what}", 2, "tea");
            context.Logger.LogError(new FormatException("bad"), "failed {0}", true);
            Console.Write("no end");
            return "logged";
        }

        public Stream Look(Stream input, ILambdaContext context)
        {
            var seen = new Dictionary<string, string>
            {
                { "id", context.AwsRequestId }, { "arn", context.InvokedFunctionArn }, { "name", context.FunctionName },
                { "version", context.FunctionVersion }, { "group", context.LogGroupName }, { "stream", context.LogStreamName },
                { "memory", context.MemoryLimitInMB.ToString() }, { "remaining", (context.RemainingTime > TimeSpan.FromSeconds(30)).ToString() },
                { "identity", context.Identity.IdentityId + "/" + context.Identity.IdentityPoolId }, { "tenant", context.TenantId },
                { "unknown", context.NotYetKnown.ToString() }, { "trace", Environment.GetEnvironmentVariable("_X_AMZN_TRACE_ID") },
                { "heap", Environment.GetEnvironmentVariable("COMPlus_GCHeapHardLimit") + Environment.GetEnvironmentVariable("DOTNET_GCHeapHardLimit") + Environment.GetEnvironmentVariable("KILN_HEAP") },
            };
            var client = context.ClientContext;
            seen["client"] = client == null ? null : client.Client.AppTitle + "/" + client.Client.InstallationId + "/" + client.Custom["k"] + "/" + client.Environment["e"];
            var output = new MemoryStream();
            new Serializer().Serialize(seen, output);
            output.Position = 0;
            return output;
        }

        public string Overloaded(string input)
        {
            return "text";
        }

        public string Overloaded(int input)
        {
            return "number";
        }

        public async void AsyncVoid(string input)
        {
            await Task.Yield();
        }

        public string Three(string a, string b, string c)
        {
            return null;
        }

        public string WrongSecond(string a, string b)
        {
            return null;
        }

        public T Generic<T>(T value)
        {
            return value;
        }
    }

    public class Derived : Function
    {
    }

    public abstract class Abstract
    {
        public string Handle(string input)
        {
            return null;
        }
    }

    public class Unmade
    {
        public Unmade()
        {
            throw new InvalidOperationException("not today");
        }

        public string Handle(string input)
        {
            return null;
        }
    }
}
