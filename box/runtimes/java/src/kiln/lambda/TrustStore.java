package kiln.lambda;

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

/**
 * Makes the authorities that a machine trusts known to a Java that came without any,
 * as Debian's does. It runs when a runtime is made ready, never in an environment.
 */
public final class TrustStore {
    private TrustStore() {}

    /** Reads a bundle of certificates and writes a store, which needs no password to be read. */
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance("JKS");
        store.load(null, null);
        int count = 0;
        try (InputStream in = new FileInputStream(arguments[0])) {
            for (Certificate authority : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                store.setCertificateEntry("authority-" + ++count, authority);
            }
        }
        try (OutputStream out = new FileOutputStream(arguments[1])) {
            store.store(out, "changeit".toCharArray());
        }
    }
}
