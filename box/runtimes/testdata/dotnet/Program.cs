using System;
using System.Net.Http;
using System.Text;

namespace Tests
{
    /// <summary>A function that is a program: it brings its own client of the Runtime API.</summary>
    public static class Program
    {
        public static void Main()
        {
            var root = "http://" + Environment.GetEnvironmentVariable("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/";
            using (var http = new HttpClient { Timeout = TimeSpan.FromDays(1) })
            {
                for (;;)
                {
                    var next = http.GetAsync(root + "next").Result;
                    var id = string.Join("", next.Headers.GetValues("Lambda-Runtime-Aws-Request-Id"));
                    var text = next.Content.ReadAsStringAsync().Result;
                    var body = new StringContent("{\"program\":" + text + "}", Encoding.UTF8, "application/json");
                    http.PostAsync(root + id + "/response", body).Result.Dispose();
                }
            }
        }
    }
}
