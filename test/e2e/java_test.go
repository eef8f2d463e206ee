package e2e_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// javas gives the ready runtimes whose Java this machine has below /usr/lib/jvm, one
// of each version, with the compiler of the oldest.
func javas(t testing.TB) (identifiers []string, javac string) {
	t.Helper()
	needRoot(t)
	compilers, err := filepath.Glob("/usr/lib/jvm/*/bin/javac")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`^javac (?:1\.)?(\d+)`)
	oldest := 0
	for _, c := range compilers {
		out, err := exec.CommandContext(t.Context(), c, "-version").CombinedOutput()
		if err != nil {
			continue
		}
		m := version.FindSubmatch(out)
		if m == nil || !slices.Contains([]string{"11", "17", "21", "25"}, string(m[1])) {
			continue
		}
		if id := "java" + string(m[1]); !slices.Contains(identifiers, id) {
			identifiers = append(identifiers, id)
		}
		if major := int(m[1][0]-'0')*10 + int(m[1][1]-'0'); oldest == 0 || major < oldest {
			oldest, javac = major, c
		}
	}
	if len(identifiers) == 0 {
		t.Fatal("no JDK that a runtime names is below /usr/lib/jvm; make test installs openjdk-17-jdk-headless")
	}
	return identifiers, javac
}

const javaSource = `
package shop;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.io.File;
import java.net.NetworkInterface;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

public class Till implements RequestHandler<Till.Order, Map<String, Object>> {
    public static class Line {
        private String name;
        private int cents;
        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
        public int getCents() { return cents; }
        public void setCents(int cents) { this.cents = cents; }
    }

    public static class Order {
        private List<Line> lines;
        public List<Line> getLines() { return lines; }
        public void setLines(List<Line> lines) { this.lines = lines; }
    }

    @Override
    public Map<String, Object> handleRequest(Order order, Context context) {
        int sum = 0;
        for (Line line : order.getLines()) {
            sum += line.getCents();
        }
        if (sum < 0) {
            throw new IllegalArgumentException("a negative sum: " + sum);
        }
        Map<String, Object> bill = new TreeMap<String, Object>();
        bill.put("sum", sum);
        bill.put("first", order.getLines().get(0).getName());
        return bill;
    }

    public Map<String, Object> look(Map<String, Object> event, Context context) throws Exception {
        context.getLogger().log("looking for " + event.get("name") + "\nand more");
        System.out.println("printed \u20ac");
        Map<String, Object> seen = new TreeMap<String, Object>();
        List<String> names = new ArrayList<String>();
        for (NetworkInterface at : Collections.list(NetworkInterface.getNetworkInterfaces())) {
            names.add(at.getName());
        }
        seen.put("interfaces", names);
        javax.net.ssl.TrustManagerFactory trust = javax.net.ssl.TrustManagerFactory.getInstance(javax.net.ssl.TrustManagerFactory.getDefaultAlgorithm());
        trust.init((java.security.KeyStore) null);
        seen.put("authorities", ((javax.net.ssl.X509TrustManager) trust.getTrustManagers()[0]).getAcceptedIssuers().length > 50);
        File file = new File("/tmp/\u00fcber.txt");
        Files.write(file.toPath(), "x".getBytes(StandardCharsets.UTF_8));
        seen.put("files", new File("/tmp").list((dir, name) -> name.endsWith(".txt")));
        seen.put("java", System.getProperty("java.specification.version"));
        seen.put("core", Context.class.getClassLoader() == ClassLoader.getSystemClassLoader());
        seen.put("task", Till.class.getProtectionDomain().getCodeSource().getLocation().getPath());
        seen.put("heap", Runtime.getRuntime().maxMemory() >> 20);
        seen.put("processors", Runtime.getRuntime().availableProcessors() > 0);
        seen.put("home", System.getProperty("java.home"));
        seen.put("user", System.getProperty("user.dir"));
        seen.put("trace", System.getenv("_X_AMZN_TRACE_ID") != null && System.getProperty("com.amazonaws.xray.traceHeader") != null);
        return seen;
    }

    public String fill(String event) {
        List<byte[]> all = new ArrayList<byte[]>();
        for (;;) {
            all.add(new byte[1 << 20]);
        }
    }

    public int leave(int code) {
        System.exit(code);
        return 0;
    }
}
`

// javaPackages gives the function as a jar in lib, beside AWS's own interfaces, and as
// classes at the top of the package.
func javaPackages(t testing.TB, javac string) (jarred, loose []byte) {
	t.Helper()
	dir := t.TempDir()
	install(t, dir, "mvn", "-q", "-B", "dependency:copy", "-Dartifact=com.amazonaws:aws-lambda-java-core:1.4.0", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	core := filepath.Join(dir, "lib", "aws-lambda-java-core-1.4.0.jar")
	source := filepath.Join(dir, "Till.java")
	if err := os.WriteFile(source, []byte(javaSource), 0o644); err != nil {
		t.Fatal(err)
	}
	classes := filepath.Join(dir, "classes")
	out, err := exec.CommandContext(t.Context(), javac, "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-cp", core, "-d", classes, source).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	loose = zipDir(t, classes)
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	err = w.AddFS(os.DirFS(classes))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lib", "till.jar"), jar.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(dir, "package")
	if err := os.CopyFS(filepath.Join(both, "lib"), os.DirFS(filepath.Join(dir, "lib")).(fs.ReadDirFS)); err != nil {
		t.Fatal(err)
	}
	return zipDir(t, both), loose
}

func TestAJavaFunctionFromAJarRunsInABox(t *testing.T) {
	identifiers, javac := javas(t)
	s := start(t)
	c := s.client()
	jarred, loose := javaPackages(t, javac)
	for _, identifier := range identifiers {
		create(t, c, identifier+"-till", identifier, "shop.Till", jarred, memory(512), timeout(30))
		payload := `{"lines":[{"name":"tea","cents":250},{"name":"milk","cents":120}],"unknown":1}`
		const want = `{"first":"tea","sum":370}`
		if got := answer(t, c, identifier+"-till", payload); got != want {
			t.Fatalf("%s: got %s, want %s", identifier, got, want)
		}
		thousand(t, c, identifier+"-till", payload, want)
		out := invoke(t, c, identifier+"-till", `{"lines":[{"cents":-1}]}`)
		var failure struct {
			ErrorMessage, ErrorType string
			StackTrace              []string
		}
		if err := json.Unmarshal(out.Payload, &failure); err != nil {
			t.Fatal(err)
		}
		if failure.ErrorMessage != "a negative sum: -1" || failure.ErrorType != "java.lang.IllegalArgumentException" || len(failure.StackTrace) != 2 {
			t.Errorf("%s: got %s", identifier, out.Payload)
		}

		create(t, c, identifier+"-look", identifier, "shop.Till::look", loose, memory(512), timeout(30))
		out = invoke(t, c, identifier+"-look", `{"name":"ada"}`)
		var seen map[string]any
		if err := json.Unmarshal(out.Payload, &seen); err != nil || out.FunctionError != nil {
			t.Fatalf("%s: %v %s", identifier, err, out.Payload)
		}
		if list, ok := seen["interfaces"].([]any); !ok || !slices.Contains(list, any("lo")) {
			t.Errorf("%s: interfaces %v", identifier, seen["interfaces"])
		}
		heap, _ := seen["heap"].(float64)
		if heap < 400 || heap > 461 {
			t.Errorf("%s: a heap of %v MB", identifier, heap)
		}
		for name, want := range map[string]any{
			"authorities": true, "java": strings.TrimPrefix(identifier, "java"), "core": true,
			"task": "/var/task/", "home": "/var/lang", "user": "/var/task", "processors": true,
		} {
			if seen[name] != want {
				t.Errorf("%s: %s: got %v, want %v", identifier, name, seen[name], want)
			}
		}
		if list, ok := seen["files"].([]any); !ok || len(list) != 1 || list[0] != "über.txt" {
			t.Errorf("%s: files %v", identifier, seen["files"])
		}
		if log := tail(out); !strings.Contains(log, "looking for ada") || !strings.Contains(log, "and more") || !strings.Contains(log, "printed €\n") {
			t.Errorf("%s: log %q", identifier, log)
		}

		create(t, c, identifier+"-fill", identifier, "shop.Till::fill", loose, memory(256), timeout(30))
		out = invoke(t, c, identifier+"-fill", `""`)
		if !strings.Contains(string(out.Payload), `"errorType":"java.lang.OutOfMemoryError"`) {
			t.Errorf("%s: out of memory: %s\n%s", identifier, out.Payload, tail(out))
		}
		create(t, c, identifier+"-leave", identifier, "shop.Till::leave", loose, memory(256), timeout(30))
		out = invoke(t, c, identifier+"-leave", `3`)
		if !strings.Contains(string(out.Payload), `"errorType":"Runtime.ExitError"`) || !strings.Contains(string(out.Payload), "exit status 3") {
			t.Errorf("%s: exit: %s", identifier, out.Payload)
		}
	}
}

// TestTheInterfacesOfTheRuntimeAreThoseOfAWS compares what kiln gives packages that
// bring no interfaces with what AWS publishes, method by method.
func TestTheInterfacesOfTheRuntimeAreThoseOfAWS(t *testing.T) {
	_, javac := javas(t)
	dir := t.TempDir()
	install(t, dir, "mvn", "-q", "-B", "dependency:copy", "-Dartifact=com.amazonaws:aws-lambda-java-core:1.4.0", "-DoutputDirectory="+dir)
	theirs, ours := filepath.Join(dir, "aws-lambda-java-core-1.4.0.jar"), "../../box/runtimes/java/lib/kiln.jar"
	archive, err := zip.OpenReader(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	checked := 0
	for _, f := range archive.File {
		class, ok := strings.CutSuffix(f.Name, ".class")
		if !ok || strings.Contains(class, "$") {
			continue
		}
		checked++
		var shapes [2]string
		for i, jar := range []string{theirs, ours} {
			out, err := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(javac), "javap"), "-public", "-s", "-cp", jar, strings.ReplaceAll(class, "/", ".")).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", class, err, out)
			}
			shapes[i] = string(out)
		}
		if shapes[0] != shapes[1] {
			t.Errorf("theirs:\n%s\nours:\n%s", shapes[0], shapes[1])
		}
	}
	if checked < 12 {
		t.Errorf("only %d classes were compared", checked)
	}
}

// needJDK fails where no Java can be compiled and run.
func needJDK(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("javac"); err != nil {
		t.Fatal("no javac on the PATH; make test installs openjdk-17-jdk-headless")
	}
	javas(t)
}
