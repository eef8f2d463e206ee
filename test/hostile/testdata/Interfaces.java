import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.NetworkInterface;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A custom runtime that answers each event with what a JVM sees of the network and of threads. */
public class Interfaces {
    public static void main(String[] args) throws Exception {
        String api = "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/";
        while (true) {
            HttpURLConnection next = (HttpURLConnection) new URL(api + "next").openConnection();
            try (InputStream event = next.getInputStream()) {
                event.readAllBytes();
            }
            String id = next.getHeaderField("Lambda-Runtime-Aws-Request-Id");
            HttpURLConnection response = (HttpURLConnection) new URL(api + id + "/response").openConnection();
            response.setRequestMethod("POST");
            response.setDoOutput(true);
            try (OutputStream out = response.getOutputStream()) {
                out.write(answer().getBytes(StandardCharsets.UTF_8));
            }
            try (InputStream accepted = response.getInputStream()) {
                accepted.readAllBytes();
            }
        }
    }

    private static String answer() throws Exception {
        List<String> names = new ArrayList<>();
        for (NetworkInterface i : Collections.list(NetworkInterface.getNetworkInterfaces())) {
            names.add("\"" + i.getName() + "\"");
        }
        AtomicInteger count = new AtomicInteger();
        ExecutorService threads = Executors.newFixedThreadPool(20);
        for (int i = 0; i < 10_000; i++) {
            threads.execute(count::incrementAndGet);
        }
        threads.shutdown();
        threads.awaitTermination(30, TimeUnit.SECONDS);
        return "{\"interfaces\":[" + String.join(",", names) + "],\"threads\":" + count.get() + ",\"host\":\"" + java.net.InetAddress.getLocalHost().getHostName() + "\"}";
    }
}
