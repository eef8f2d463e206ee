package debian

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// What maintainer scripts, and the tools that they call, would have made.
const (
	authorities  = "usr/share/ca-certificates" // what the package brings
	certificates = "etc/ssl/certs"
	bundle       = certificates + "/ca-certificates.crt"
)

// choices are commands that packages leave to a choice of the administrator. Of each
// the first program that is there is taken. /bin/sh is bash as on Amazon Linux.
var choices = []struct {
	link     string
	programs []string
}{
	{"usr/bin/sh", []string{"bash", "dash"}},
	{"usr/bin/awk", []string{"gawk", "mawk"}},
	{"usr/bin/nawk", []string{"gawk", "mawk"}},
	{"usr/bin/which", []string{"which.debianutils"}},
}

// settle makes a root of unpacked packages ready to be used.
func settle(root *os.Root) error {
	for _, dir := range []string{"etc", "usr", "usr/bin", "usr/sbin", "usr/lib"} {
		if err := ensureDir(root, dir); err != nil {
			return err
		}
	}
	for _, name := range merged {
		if info, err := root.Stat("usr/" + name); err == nil && info.IsDir() {
			if err := root.Symlink("usr/"+name, name); err != nil {
				return err
			}
		}
	}
	for _, c := range choices {
		if err := choose(root, c.link, c.programs); err != nil {
			return err
		}
	}
	return settleCertificates(root)
}

// ensureDir makes a directory with all above it unless it is there.
func ensureDir(root *os.Root, name string) error {
	if err := root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	for at := name; at != "."; at = path.Dir(at) {
		if err := root.Chmod(at, 0o755); err != nil { // the umask does not count
			return err
		}
	}
	return nil
}

// choose makes a command that no package brings a link to the first program there is.
func choose(root *os.Root, link string, programs []string) error {
	if _, err := root.Lstat(link); err == nil && link != "usr/bin/sh" {
		return nil
	}
	for _, program := range programs {
		if _, err := root.Stat(path.Join(path.Dir(link), program)); err != nil {
			continue
		}
		if err := root.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return root.Symlink(program, link)
	}
	return nil
}

// settleCertificates makes one file of all authorities, under Debian's and Amazon's
// names and where OpenSSL looks by itself, and a directory in which each is found by
// the hash of its name. A root without authorities gets none.
func settleCertificates(root *os.Root) error {
	var all strings.Builder
	links := map[string]string{} // names in the directory, and where they lead
	err := fs.WalkDir(root.FS(), authorities, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == authorities {
			return fs.SkipAll
		}
		if err != nil || !entry.Type().IsRegular() || path.Ext(name) != ".crt" {
			return err
		}
		text, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE" {
			return fmt.Errorf("%s is no certificate", name)
		}
		all.WriteString(strings.TrimRight(string(text), "\n") + "\n")
		hash, err := subjectHash(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		plain := strings.TrimSuffix(path.Base(name), ".crt") + ".pem"
		links[plain] = "/" + name
		for n := 0; ; n++ {
			if hashed := fmt.Sprintf("%08x.%d", hash, n); links[hashed] == "" {
				links[hashed] = plain
				return nil
			}
		}
	})
	if err != nil || all.Len() == 0 {
		return err
	}
	if err := ensureDir(root, certificates); err != nil {
		return err
	}
	for name, to := range links {
		if err := root.Symlink(to, path.Join(certificates, name)); err != nil {
			return err
		}
	}
	if err := root.WriteFile(bundle, []byte(all.String()), 0o644); err != nil {
		return err
	}
	if err := root.Chmod(bundle, 0o644); err != nil {
		return err
	}
	for name, to := range map[string]string{
		"etc/pki/tls/certs/ca-bundle.crt": "../../../ssl/certs/ca-certificates.crt",
		"usr/lib/ssl/cert.pem":            "/" + bundle,
	} {
		if _, err := root.Lstat(name); err == nil {
			continue
		}
		if err := ensureDir(root, path.Dir(name)); err != nil {
			return err
		}
		if err := root.Symlink(to, name); err != nil {
			return err
		}
	}
	return nil
}
