package kiln.lambda;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;

/** A growing array of bytes whose contents can be written without a copy. */
final class Bytes extends ByteArrayOutputStream {
    Bytes() {
        super(1024);
    }

    /** Adds text of Latin-1 characters. */
    void ascii(String text) {
        for (int i = 0; i < text.length(); i++) {
            write(text.charAt(i));
        }
    }

    void to(OutputStream out) throws IOException {
        out.write(buf, 0, count);
    }

    void addTo(Bytes other) {
        other.write(buf, 0, count);
    }
}
