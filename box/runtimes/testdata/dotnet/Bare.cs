using System.IO;

namespace Tests
{
    /// <summary>An assembly without a serializer.</summary>
    public static class Bare
    {
        public static Stream Bytes(Stream input)
        {
            return input;
        }

        public static string Text(string input)
        {
            return input;
        }
    }
}
