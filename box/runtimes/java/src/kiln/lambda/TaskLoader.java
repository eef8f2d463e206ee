package kiln.lambda;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;

/**
 * Loads the function's classes: its folder first, then the jars of its lib folder and
 * of the layers, each in the order of their names. The interfaces of Lambda come from
 * the runtime in any case, so that both sides mean the same ones.
 */
final class TaskLoader {
    private TaskLoader() {}

    static ClassLoader open(String root) throws MalformedURLException {
        ArrayList<URL> path = new ArrayList<URL>();
        path.add(url(new File(root), true));
        addJars(path, new File(root, "lib"));
        addJars(path, new File("/opt/java/lib"));
        return new URLClassLoader(path.toArray(new URL[0]), ClassLoader.getSystemClassLoader());
    }

    private static void addJars(ArrayList<URL> path, File folder) throws MalformedURLException {
        String[] names = folder.list();
        if (names == null) {
            return;
        }
        Arrays.sort(names);
        for (String name : names) {
            if (name.endsWith(".jar")) {
                path.add(url(new File(folder, name), false));
            }
        }
    }

    /** Makes an address by hand where that is safe: File.toURI costs a look at the disk. */
    private static URL url(File file, boolean folder) throws MalformedURLException {
        String path = file.getAbsolutePath();
        for (int i = 0; i < path.length(); i++) {
            char c = path.charAt(i);
            if (!(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || "/._-+$".indexOf(c) >= 0)) {
                return file.toURI().toURL();
            }
        }
        return new URL("file", null, folder && !path.endsWith("/") ? path + "/" : path);
    }
}
