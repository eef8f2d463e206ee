package runtimes

import (
	"archive/zip"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

// javaQuestion makes any Java say what it is, on its standard error.
var javaQuestion = []string{"-XshowSettings:properties", "-version"}

// javaProbe runs a class of the bootstrap that loads what functions expect.
var javaProbe = []string{"-Xmx64m", "-XX:Flags=" + runtimeDir + "/lib/jvm.flags", "-cp", runtimeDir + "/lib/kiln.jar", "kiln.lambda.Probe"}

// javaModules are modules that every function may expect; a Java that was cut down
// to what one program needs has fewer.
var javaModules = []string{
	"java.base", "java.desktop", "java.instrument", "java.logging", "java.management", "java.naming",
	"java.net.http", "java.security.sasl", "java.sql", "java.xml", "jdk.crypto.ec", "jdk.unsupported",
}

// askJava makes a candidate say what it is. One of another root cannot be started by
// that root's linker, since it looks for its home beside the program that runs: the
// file that lies in its home answers for it.
func askJava(ctx context.Context, p program) (*answer, error) {
	var properties map[string]string
	if p.root == "" {
		_, text, err := outputs(ctx, asSelf, p, javaQuestion...)
		if err != nil {
			return nil, err
		}
		properties = readProperties(string(text), " = ")
	} else {
		var err error
		if properties, err = readHome(filepath.Dir(filepath.Dir(p.path))); err != nil {
			return nil, err
		}
	}
	home, err := filepath.EvalSymlinks(properties["java.home"])
	if err != nil || properties["java.version"] == "" {
		return nil, refusal("it did not answer as an interpreter does")
	}
	said := &answer{
		Implementation: "hotspot",
		Version:        properties["java.version"],
		Program:        filepath.Join(home, "bin", "java"),
		Prefix:         home,
		Lacking:        lackingModules(home),
		Machine:        properties["os.arch"],
	}
	if strings.Contains(strings.ToLower(properties["java.vm.name"]), "openj9") {
		said.Implementation = "openj9"
	}
	if machine, ok := map[string]string{"amd64": "x86_64", "aarch64": "arm64"}[said.Machine]; ok {
		said.Machine = machine
	}
	// 1.8.0_412 is 8.0.412; 26-ea is no release.
	number, suffix, _ := strings.Cut(strings.ReplaceAll(strings.TrimPrefix(said.Version, "1."), "_", "."), "-")
	said.Version = number
	if suffix == "ea" || strings.HasPrefix(suffix, "ea.") {
		said.Flavour = "early-access"
	}
	return said, nil
}

// readHome gives the properties of a Java that is not run, from the files of its home.
func readHome(home string) (map[string]string, error) {
	properties := map[string]string{"java.home": home}
	text, err := os.ReadFile(filepath.Join(home, "release"))
	if err == nil {
		release := readProperties(string(text), "=")
		properties["java.version"] = release["JAVA_VERSION"]
		properties["os.arch"] = release["OS_ARCH"]
		properties["java.vm.name"] = release["JVM_VARIANT"]
		return properties, nil
	}
	// That of Java 8 comes without such a file; its library says the version, and a
	// folder beside it the machine.
	library, err := zip.OpenReader(filepath.Join(home, "lib", "rt.jar"))
	if err != nil {
		return nil, err
	}
	defer library.Close()
	manifest, err := fs.ReadFile(library, "META-INF/MANIFEST.MF")
	if err != nil {
		return nil, err
	}
	properties["java.version"] = readProperties(strings.ReplaceAll(string(manifest), "\r", ""), ": ")["Implementation-Version"]
	for _, machine := range []string{"amd64", "aarch64"} {
		if isDir(filepath.Join(home, "lib", machine)) {
			properties["os.arch"] = machine
		}
	}
	return properties, nil
}

// readProperties reads lines of a name and a value, which quotes may surround.
func readProperties(text, separator string) map[string]string {
	all := make(map[string]string)
	for _, line := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(line, separator); ok {
			all[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return all
}

// lackingModules gives the modules that functions expect and that a Java does not
// have. A Java that does not say which it has, such as 8, has them all.
func lackingModules(home string) []string {
	text, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		return nil
	}
	release := readProperties(string(text), "=")
	has := strings.Fields(release["MODULES"])
	if len(has) == 0 {
		return nil
	}
	var lacking []string
	for _, module := range javaModules {
		if !slices.Contains(has, module) {
			lacking = append(lacking, "the module "+module)
		}
	}
	return lacking
}

// javaMounts shows the directories that links of a Java lead to, outside of it and of
// what every box shows: Debian keeps its settings in /etc.
func javaMounts(i *interpreter) []kiln.RuntimeMount {
	var mounts []kiln.RuntimeMount
	seen := make(map[string]bool)
	for _, below := range []string{"lib", "conf"} {
		// What cannot be read is shown as it is.
		_ = filepath.WalkDir(filepath.Join(i.Prefix, below), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Type()&fs.ModeSymlink == 0 {
				return nil
			}
			target, err := os.Readlink(name)
			if err != nil || !strings.HasPrefix(target, "/etc/") || strings.HasPrefix(target, "/etc/ssl/") || strings.HasPrefix(target, "/etc/pki/") {
				return nil
			}
			// The first directory below /etc is the package's own.
			first, _, _ := strings.Cut(strings.TrimPrefix(target, "/etc/"), "/")
			dir := "/etc/" + first
			if source := filepath.Join(i.Root, dir); !seen[dir] && isDir(source) {
				seen[dir] = true
				mounts = append(mounts, kiln.RuntimeMount{Source: source, Target: dir})
			}
			return nil
		})
	}
	return mounts
}

// utf8Locale is a locale that every C library of these years has. A Java or Ruby that
// starts where LANG names one that is not installed takes text for ASCII; the
// bootstraps take the variable back.
const utf8Locale = "C.UTF-8"
