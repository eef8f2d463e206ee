using System;
using System.IO;
using System.Text;

namespace Hello
{
    /// <summary>A function in C#: standard library only, the same assembly runs on AWS Lambda.</summary>
    public class Function
    {
        public Stream Handle(Stream input)
        {
            var text = new StreamReader(input).ReadToEnd().Trim();
            Console.WriteLine("greeting the sender of " + text);
            return new MemoryStream(Encoding.UTF8.GetBytes("{\"message\":\"Hello!\",\"event\":" + text + "}"));
        }
    }
}
