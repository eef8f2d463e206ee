package runtimes_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kiln/box/runtimes"
)

func TestJavaReadsTheStoreOfAuthoritiesThatIsMadeForIt(t *testing.T) {
	javac := compilerOf(t, jarJava)
	// A certificate that keytool makes, in a bundle with what is none.
	dir := t.TempDir()
	keytool := filepath.Join(filepath.Dir(javac), "keytool")
	run := func(arguments ...string) string {
		out, err := exec.CommandContext(t.Context(), keytool, append([]string{"-J-Duser.language=en"}, arguments...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", arguments, err, out)
		}
		return string(out)
	}
	keys := filepath.Join(dir, "keys")
	run("-genkeypair", "-alias", "a", "-keyalg", "EC", "-dname", "CN=authority", "-storepass", "changeit", "-keystore", keys)
	certificate := run("-exportcert", "-rfc", "-alias", "a", "-storepass", "changeit", "-keystore", keys)
	bundle := "# a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + certificate + certificate
	store := filepath.Join(dir, "store")
	write(t, store, string(runtimes.KeyStore([]byte(bundle))))
	list := run("-list", "-v", "-keystore", store, "-storepass", "changeit")
	if strings.Count(list, "Owner: CN=authority") != 2 || !strings.Contains(list, "Your keystore contains 2 entries") {
		t.Errorf("got %s", list)
	}
}
