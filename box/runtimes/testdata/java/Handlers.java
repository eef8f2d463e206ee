package test;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Date;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** The handlers that the tests call. */
public class Handlers {
    public static class Echo implements RequestHandler<Object, Object> {
        @Override
        public Object handleRequest(Object event, Context context) {
            return event;
        }
    }

    public static class Stream implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            byte[] piece = new byte[8192];
            for (int n = in.read(piece); n >= 0; n = in.read(piece)) {
                out.write(piece, 0, n);
            }
        }
    }

    public static class Text implements RequestHandler<String, String> {
        @Override
        public String handleRequest(String event, Context context) {
            return event == null ? "nothing" : new StringBuilder(event).reverse().toString();
        }
    }

    public static class Numbers implements RequestHandler<List<Integer>, Integer> {
        @Override
        public Integer handleRequest(List<Integer> numbers, Context context) {
            int sum = 0;
            for (Integer number : numbers) {
                sum += number;
            }
            return sum;
        }
    }

    public static class Nothing implements RequestHandler<Map<String, String>, Void> {
        @Override
        public Void handleRequest(Map<String, String> event, Context context) {
            return null;
        }
    }

    public enum Colour { RED, GREEN }

    public static class Order {
        private String customer;
        private List<Item> items;
        private Map<Colour, List<Long>> stock;
        private boolean urgent;
        private Optional<String> note = Optional.empty();
        private Date placed;
        private double[] rates;
        private final List<String> seen = new ArrayList<String>();
        public BigDecimal total;
        public transient String skipped = "x";
        public Box<Item> box;
        public LocalDate due;
        public Instant at;
        public byte[] raw;
        public Set<String> tags;
        public EnumMap<Colour, Integer> counts;
        public char letter;
        public Integer none;

        public String getCustomer() { return customer; }
        public void setCustomer(String customer) { this.customer = customer; }
        public List<Item> getItems() { return items; }
        public void setItems(List<Item> items) { this.items = items; }
        public Map<Colour, List<Long>> getStock() { return stock; }
        public void setStock(Map<Colour, List<Long>> stock) { this.stock = stock; }
        public boolean isUrgent() { return urgent; }
        public void setUrgent(boolean urgent) { this.urgent = urgent; }
        public Optional<String> getNote() { return note; }
        public void setNote(Optional<String> note) { this.note = note; }
        public Date getPlaced() { return placed; }
        public void setPlaced(Date placed) { this.placed = placed; }
        public double[] getRates() { return rates; }
        public void setRates(double[] rates) { this.rates = rates; }
        public String getURL() { return "http://" + customer; }
    }

    public static class Item {
        private String name;
        private int count;
        private Colour colour;

        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
        public int getCount() { return count; }
        public void setCount(int count) { this.count = count; }
        public Colour getColour() { return colour; }
        public void setColour(Colour colour) { this.colour = colour; }
    }

    public static class Box<T> {
        private T content;

        public T getContent() { return content; }
        public void setContent(T content) { this.content = content; }
    }

    public static class Orders implements RequestHandler<Order, Map<String, Object>> {
        @Override
        public Map<String, Object> handleRequest(Order order, Context context) {
            Map<String, Object> found = new TreeMap<String, Object>();
            found.put("order", new TreeMap<String, Object>(java.util.Collections.singletonMap("it", order)));
            found.put("first", order.getItems().get(0).getClass().getSimpleName());
            found.put("stock", order.getStock().get(Colour.RED).get(0).getClass().getSimpleName());
            found.put("box", order.box.getContent().getCount() + 1);
            found.put("null", null);
            return found;
        }
    }

    public abstract static class Base<A, B extends List<A>> implements RequestHandler<B, A> {
        @Override
        public A handleRequest(B event, Context context) {
            return event.get(0);
        }
    }

    /** A handler whose types are said by a superclass. */
    public static class Derived extends Base<Item, List<Item>> {}

    /** A handler whose work is done by a default method of an interface. */
    public interface Defaults extends RequestHandler<Item, String> {
        @Override
        default String handleRequest(Item item, Context context) {
            return "default " + item.getName();
        }
    }

    public static class WithDefaults implements Defaults {}

    public static class Raw<T> implements RequestHandler<T, T> {
        @Override
        public T handleRequest(T event, Context context) {
            return event;
        }
    }

    public static class Methods implements RequestHandler<Map<String, Object>, String> {
        public String plain(Item item) { return "item " + item.getName(); }
        public Item both(Item item, Context context) {
            item.setCount(context.getMemoryLimitInMB());
            return item;
        }
        public static int fixed(int number) { return number + 1; }
        public String none() { return "none"; }
        public String only(Context context) { return context.getFunctionName(); }
        public void silent(Map<String, Object> event) {}
        public void streams(InputStream in, OutputStream out) throws IOException { out.write(in.read()); }
        public void writes(OutputStream out, Context context) throws IOException { out.write('1'); }
        public void three(InputStream in, OutputStream out, Context context) throws IOException { out.write('3'); }
        public String many(String a) { return "one"; }
        public String many(String a, Context context) { return "two"; }
        public String many(String a, String b, Context context) { return "three"; }
        public String wrong(Context context, String a) { return "wrong"; }
        @Override
        public String handleRequest(Map<String, Object> event, Context context) { return "INTERFACE"; }
        public String handleRequestCustom(Map<String, Object> event, Context context) { return "CUSTOM"; }
    }

    public static class Throws implements RequestHandler<Map<String, Object>, String> {
        @Override
        public String handleRequest(Map<String, Object> event, Context context) {
            if (event.containsKey("msg")) {
                throw new RuntimeException("Error: " + event.get("msg"));
            }
            try {
                throw new IOException("no \"good\"");
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }

        public String checked(String event) throws Exception { throw new Exception(); }

        public String memory(String event) {
            List<byte[]> all = new ArrayList<byte[]>();
            for (;;) {
                all.add(new byte[64 << 20]);
            }
        }

        public String leave(int code) {
            System.out.print("last");
            System.exit(code);
            return null;
        }

        public Object circle(String event) {
            List<Object> circle = new ArrayList<Object>();
            circle.add(circle);
            return circle;
        }
    }

    public static class Broken {
        static final int VALUE = Integer.parseInt("x");
        public String handle(String event) { return "" + VALUE; }
    }

    public static class Unmade implements RequestHandler<String, String> {
        public Unmade() { throw new IllegalArgumentException("not today"); }
        @Override
        public String handleRequest(String event, Context context) { return event; }
    }

    public static class Closed implements RequestHandler<String, String> {
        Closed() {}
        @Override
        public String handleRequest(String event, Context context) { return event; }
    }

    public static class Logs implements RequestHandler<String, String> {
        static {
            System.out.println("loading \u20ac");
        }

        @Override
        public String handleRequest(String event, Context context) {
            LambdaLogger log = context.getLogger();
            System.out.println("out");
            System.err.println("err");
            log.log("plain\nof two lines");
            log.log("shown", LogLevel.WARN);
            log.log("hidden", LogLevel.DEBUG);
            log.log("bytes".getBytes());
            LambdaRuntime.getLogger().log("by the runtime");
            System.out.print("no end");
            return event;
        }
    }

    public static class Introspection implements RequestHandler<Map<String, Object>, Map<String, Object>> {
        @Override
        public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
            Map<String, Object> known = new LinkedHashMap<String, Object>();
            known.put("aws_request_id", context.getAwsRequestId());
            known.put("function_name", context.getFunctionName());
            known.put("function_version", context.getFunctionVersion());
            known.put("invoked_function_arn", context.getInvokedFunctionArn());
            known.put("log_group_name", context.getLogGroupName());
            known.put("log_stream_name", context.getLogStreamName());
            known.put("memory_limit_in_mb", String.valueOf(context.getMemoryLimitInMB()));
            known.put("remaining_time_in_millis", context.getRemainingTimeInMillis());
            Map<String, Object> more = new LinkedHashMap<String, Object>();
            more.put("tenant", context.getTenantId());
            more.put("trace", context.getXrayTraceId());
            more.put("property", System.getProperty("com.amazonaws.xray.traceHeader"));
            more.put("variable", System.getenv("_X_AMZN_TRACE_ID"));
            more.put("encoding", System.getProperty("file.encoding"));
            if (context.getClientContext() != null) {
                more.put("custom", context.getClientContext().getCustom());
                more.put("env", context.getClientContext().getEnvironment());
                more.put("app", context.getClientContext().getClient().getAppTitle());
            }
            if (context.getIdentity() != null) {
                more.put("identity", context.getIdentity().getIdentityId());
            }
            Map<String, Object> all = new LinkedHashMap<String, Object>();
            all.put("ctx", known);
            all.put("environment", new TreeMap<String, String>(System.getenv()));
            all.put("more", more);
            return all;
        }
    }

    public static class Resources implements RequestHandler<String, List<String>> {
        @Override
        public List<String> handleRequest(String name, Context context) {
            List<String> places = new ArrayList<String>();
            try {
                for (java.net.URL place : java.util.Collections.list(Thread.currentThread().getContextClassLoader().getResources(name))) {
                    places.add(place.toString());
                }
            } catch (IOException error) {
                places.add(error.toString());
            }
            return places;
        }
    }
}
