package kiln.lambda;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogFormat;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Constructor;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.Locale;
import java.util.TimeZone;

/**
 * The function's log: the standard streams, and the logger that the context gives.
 * Messages of the logger keep their boundaries: as frames where there is a telemetry
 * descriptor, else as one line each.
 */
final class Log implements LambdaLogger {
    /** The type of a frame with a time; the second bit says text, the level follows. */
    private static final int FRAME = 0xa55a0001;

    private final OutputStream frames; // null: to the standard output
    private final LogFormat format;
    private final LogLevel least;
    private Lines out;
    private Lines err;
    private volatile Context context;

    private Log(OutputStream frames, LogFormat format, LogLevel least) {
        this.frames = frames;
        this.format = format;
        this.least = least;
    }

    static Log open() {
        return new Log(
                telemetry(System.getenv("_LAMBDA_TELEMETRY_LOG_FD")),
                LogFormat.fromString(System.getenv("AWS_LAMBDA_LOG_FORMAT")),
                LogLevel.fromString(System.getenv("AWS_LAMBDA_LOG_LEVEL")));
    }

    /** Opens the telemetry descriptor, which Java has no call for; null when it cannot. */
    private static OutputStream telemetry(String number) {
        if (number == null || number.isEmpty()) {
            return null;
        }
        try {
            Constructor<FileDescriptor> make = FileDescriptor.class.getDeclaredConstructor(int.class);
            make.setAccessible(true);
            return new FileOutputStream(make.newInstance(Integer.parseInt(number)));
        } catch (ReflectiveOperationException | RuntimeException error) {
            return null;
        }
    }

    /** Makes both standard streams UTF-8, a line one write. */
    void takeOutput() throws IOException {
        out = new Lines(new FileOutputStream(FileDescriptor.out));
        err = new Lines(new FileOutputStream(FileDescriptor.err));
        System.setOut(new PrintStream(out, false, "UTF-8"));
        System.setErr(new PrintStream(err, false, "UTF-8"));
        Runtime.getRuntime().addShutdownHook(new Thread("kiln-flush") {
            @Override
            public void run() {
                Log.this.flush();
            }
        });
    }

    /** Lets messages name the invocation that has begun. */
    void begin(Context context) {
        this.context = context;
    }

    /** Brings everything that was printed on its way, lines without an end too. */
    void flush() {
        System.out.flush(); // the function may have put another stream there
        System.err.flush();
        if (out != null) {
            out.flush();
            err.flush();
        }
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message, LogLevel level) {
        if (level != LogLevel.UNDEFINED && level.ordinal() < least.ordinal()) {
            return;
        }
        String text = message == null ? "null" : message;
        if (format == LogFormat.JSON) {
            text = structured(text, level);
        } else if (level != LogLevel.UNDEFINED) {
            text = "[" + level + "] " + text;
        }
        write(text.getBytes(StandardCharsets.UTF_8), level);
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        if (level == LogLevel.UNDEFINED || level.ordinal() >= least.ordinal()) {
            write(message == null ? "null".getBytes(StandardCharsets.UTF_8) : message, level);
        }
    }

    /** Writes an error of the function or of its loading. */
    void error(String report) {
        log(report, format == LogFormat.JSON ? LogLevel.ERROR : LogLevel.UNDEFINED);
    }

    private String structured(String message, LogLevel level) {
        SimpleDateFormat time = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", Locale.ROOT);
        time.setTimeZone(TimeZone.getTimeZone("UTC"));
        JsonWriter json = new JsonWriter();
        json.begin('{');
        json.member("timestamp", time.format(new Date()));
        json.member("message", message);
        json.member("level", level.name());
        Context current = context;
        if (current != null) {
            json.member("AWSRequestId", current.getAwsRequestId());
            if (current.getTenantId() != null) {
                json.member("tenantId", current.getTenantId());
            }
        }
        json.end('}');
        return json.text() + "\n";
    }

    private void write(byte[] message, LogLevel level) {
        if (frames == null) {
            writeLine(message);
            return;
        }
        int kind = FRAME | level.ordinal() << 2 | (format == LogFormat.JSON ? 0 : 2);
        ByteBuffer frame = ByteBuffer.allocate(16 + message.length);
        frame.putInt(kind).putInt(message.length).putLong(System.currentTimeMillis() * 1000).put(message);
        try {
            synchronized (frames) {
                frames.write(frame.array());
            }
        } catch (IOException error) {
            return; // nobody reads the log any more
        }
    }

    /** Writes a message as one line: line feeds within become carriage returns. */
    private void writeLine(byte[] message) {
        int length = message.length;
        if (length > 0 && message[length - 1] == '\n') {
            length--;
        }
        byte[] line = new byte[length + 1];
        for (int i = 0; i < length; i++) {
            line[i] = message[i] == '\n' ? (byte) '\r' : message[i];
        }
        line[length] = '\n';
        if (out == null) {
            System.out.write(line, 0, line.length);
            return;
        }
        out.write(line, 0, line.length);
    }

    /** A stream that passes whole lines on, each with one write. */
    private static final class Lines extends OutputStream {
        private final FileOutputStream to;
        private final Bytes held = new Bytes();

        Lines(FileOutputStream to) {
            this.to = to;
        }

        @Override
        public synchronized void write(int b) {
            held.write(b);
            if (b == '\n' || held.size() >= 8 << 10) {
                flush();
            }
        }

        @Override
        public synchronized void write(byte[] bytes, int from, int length) {
            int last = from + length;
            while (last > from && bytes[last - 1] != '\n') {
                last--;
            }
            if (last > from) {
                try {
                    if (held.size() == 0) {
                        to.write(bytes, from, last - from);
                    } else {
                        held.write(bytes, from, last - from);
                        flush();
                    }
                } catch (IOException error) {
                    held.reset(); // nobody reads the log any more
                }
            }
            held.write(bytes, last, from + length - last);
            if (held.size() >= 8 << 10) {
                flush();
            }
        }

        @Override
        public synchronized void flush() {
            try {
                held.to(to);
            } catch (IOException error) {
                held.reset(); // nobody reads the log any more
            }
            held.reset();
        }
    }
}
