package kiln.lambda;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The Runtime API over one raw connection. It never interprets what it carries. An
 * outcome and the question for the next invocation leave in one write.
 */
final class Api {
    private static final String ROOT = "/2018-06-01/runtime";

    private final String host;
    private final InputStream in;
    private final OutputStream out;
    private final byte[] ask;
    private byte[] buffer = new byte[16 << 10];
    private int start;
    private int end;
    private int owed;

    /** The Runtime API closed the connection: the environment is over. */
    static final class Gone extends RuntimeException {
        private static final long serialVersionUID = 1;

        Gone(String message) {
            super(message);
        }
    }

    /** One answer of the Runtime API. */
    static final class Answer {
        int status;
        byte[] body;
        private String[] headers = new String[16]; // names in lower case, each before its value
        private int count;

        private void add(String name, String value) {
            if (count == headers.length) {
                headers = Arrays.copyOf(headers, 2 * count);
            }
            headers[count++] = name;
            headers[count++] = value;
        }

        /** Gives the value of a header; null when it was not sent. */
        String header(String name) {
            for (int i = 0; i < count; i += 2) {
                if (headers[i].equals(name)) {
                    return headers[i + 1];
                }
            }
            return null;
        }
    }

    /** Connects, once for the life of the environment. */
    Api(String address) throws IOException {
        host = address;
        int colon = address.lastIndexOf(':');
        String name = address.substring(0, colon);
        if (name.startsWith("[")) {
            name = name.substring(1, name.length() - 1);
        }
        // Without a word on proxies Java would read its settings for one. A channel would be
        // closed by an interrupt that the function left behind.
        Socket socket = new Socket(Proxy.NO_PROXY);
        socket.connect(new InetSocketAddress(InetAddress.getByName(name), Integer.parseInt(address.substring(colon + 1))));
        socket.setTcpNoDelay(true);
        in = socket.getInputStream();
        out = socket.getOutputStream();
        ask = ("GET " + ROOT + "/invocation/next HTTP/1.1\r\nHost: " + host + "\r\n\r\n").getBytes(StandardCharsets.ISO_8859_1);
    }

    /**
     * Waits for the next invocation. When an outcome is still on its way, the question
     * is too, and the API's word on the outcome changes nothing here: what it refused
     * it has made into an error for the caller.
     */
    Answer next() {
        try {
            if (owed == 0) {
                out.write(ask);
            }
            while (owed > 0) {
                owed--;
                answer();
            }
            Answer answer = answer();
            if (answer.status != 200) {
                throw new Gone("status " + answer.status);
            }
            return answer;
        } catch (IOException error) {
            throw new Gone(error.getMessage());
        }
    }

    /** Posts the outcome of an invocation and asks for the next one. */
    void post(String path, Bytes body, String headers) {
        try {
            Bytes request = request(path, body, headers);
            request.write(ask, 0, ask.length);
            request.to(out);
            owed++;
        } catch (IOException error) {
            throw new Gone(error.getMessage());
        }
    }

    /** Posts and waits for the answer. */
    void postAlone(String path, Bytes body, String headers) {
        try {
            request(path, body, headers).to(out);
            answer();
        } catch (IOException error) {
            throw new Gone(error.getMessage());
        }
    }

    private Bytes request(String path, Bytes body, String headers) {
        Bytes request = new Bytes();
        request.ascii("POST " + ROOT + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "Content-Length: " + body.size() + "\r\n\r\n");
        body.addTo(request);
        return request;
    }

    /** Gives text as it may stand in a header line. */
    static String headerSafe(String text) {
        StringBuilder safe = new StringBuilder();
        for (int i = 0; i < text.length() && i < 256; i++) {
            char c = text.charAt(i);
            safe.append(c >= ' ' && c <= '~' ? c : '?');
        }
        return safe.toString();
    }

    private Answer answer() throws IOException {
        Answer answer;
        boolean chunked = false;
        int length = 0;
        do {
            answer = new Answer();
            String first = line();
            int space = first.indexOf(' ');
            answer.status = Integer.parseInt(first.substring(space + 1, space + 4));
            for (String line = line(); !line.isEmpty(); line = line()) {
                int colon = line.indexOf(':');
                if (colon > 0) {
                    answer.add(lower(line.substring(0, colon)), line.substring(colon + 1).trim());
                }
            }
        } while (answer.status < 200);
        String value = answer.header("transfer-encoding");
        chunked = value != null && lower(value).contains("chunked");
        if (chunked) {
            answer.body = chunks();
            return answer;
        }
        value = answer.header("content-length");
        if (value != null) {
            length = Integer.parseInt(value);
        }
        answer.body = new byte[length];
        exactly(answer.body, 0, length);
        return answer;
    }

    private static String lower(String text) {
        char[] letters = text.toCharArray();
        for (int i = 0; i < letters.length; i++) {
            if (letters[i] >= 'A' && letters[i] <= 'Z') {
                letters[i] += 'a' - 'A';
            }
        }
        return new String(letters);
    }

    /** Takes a line off the stream, without its end. */
    private String line() throws IOException {
        int at = start;
        for (;;) {
            while (at < end) {
                if (buffer[at++] == '\n') {
                    int last = at - 1 > start && buffer[at - 2] == '\r' ? at - 2 : at - 1;
                    String line = new String(buffer, start, last - start, StandardCharsets.UTF_8);
                    start = at;
                    return line;
                }
            }
            int waiting = end - start;
            if (start > 0) {
                System.arraycopy(buffer, start, buffer, 0, waiting);
            } else if (end == buffer.length) {
                buffer = Arrays.copyOf(buffer, 2 * buffer.length);
            }
            start = 0;
            end = waiting;
            at = waiting;
            end += some(buffer, end, buffer.length - end);
        }
    }

    /** Takes bytes off the stream. */
    private void exactly(byte[] into, int from, int length) throws IOException {
        int have = Math.min(length, end - start);
        System.arraycopy(buffer, start, into, from, have);
        start += have;
        while (have < length) {
            have += some(into, from + have, length - have);
        }
    }

    private int some(byte[] into, int from, int length) throws IOException {
        int n = in.read(into, from, length);
        if (n < 0) {
            throw new Gone("end of stream");
        }
        return n;
    }

    /** Takes a body in chunks off the stream. */
    private byte[] chunks() throws IOException {
        Bytes body = new Bytes();
        for (;;) {
            String line = line();
            int semicolon = line.indexOf(';');
            int size = Integer.parseInt((semicolon < 0 ? line : line.substring(0, semicolon)).trim(), 16);
            if (size == 0) {
                while (!line().isEmpty()) {
                    continue; // a trailer
                }
                return body.toByteArray();
            }
            byte[] chunk = new byte[size];
            exactly(chunk, 0, size);
            body.write(chunk, 0, size);
            line();
        }
    }
}
