package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// The files of /etc that are the same for every environment.
const (
	hostsFile    = "127.0.0.1 localhost localhost.localdomain sandbox.localdomain sandbox\n::1 localhost localhost.localdomain\n"
	nsswitchFile = "passwd: files\ngroup: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n"
	resolvFile   = "# this environment has no name server\n"
)

// The files that differ by the user id of an environment, with AWS's user name.
const (
	passwdFile = "root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:${UID}:${UID}::/home/sbx_user1051:/sbin/nologin\n"
	groupFile  = "root:x:0:\nsbx_user1051:x:${UID}:\n"
)

// copied are files and directories of the host's /etc that programs of the host
// need to work at all: the linker's cache, Debian's choice among programs, the
// certificates of the public authorities, the names of ports and protocols. They
// are copied, not shown, because each mount costs every cold start; a change of
// them is seen after the server's next start.
var copied = []string{
	"etc/ld.so.cache", "etc/alternatives", "etc/services", "etc/protocols",
	"etc/ssl/certs", "etc/ssl/openssl.cnf", "etc/pki/tls/certs", "etc/pki/ca-trust/extracted",
}

// maxCopied is the size above which a file of the host is not copied.
const maxCopied = 16 << 20

// fillEtc writes /etc into the root of a base.
func (c *Cache) fillEtc(host string, root *os.Root) error {
	resolv := c.resolv
	if resolv == nil {
		resolv = []byte(resolvFile)
	}
	for name, text := range map[string][]byte{
		"etc/hosts": []byte(hostsFile), "etc/nsswitch.conf": []byte(nsswitchFile), "etc/resolv.conf": resolv,
		"etc/passwd": nil, "etc/group": nil, // written for each box
	} {
		if err := makeFile(root, name, text); err != nil {
			return err
		}
	}
	for _, name := range copied {
		if err := copyFromHost(host, root, name, name); err != nil {
			return fmt.Errorf("copy /%s: %w", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(host, "usr/lib/os-release")); err == nil {
		if err := root.Symlink("../usr/lib/os-release", "etc/os-release"); err != nil {
			return err
		}
	}
	return amazonBundle(root)
}

// amazonBundle gives the certificates the name that they have on Amazon Linux,
// where they have another one here.
func amazonBundle(root *os.Root) error {
	const debian, amazon = "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"
	if _, err := root.Stat(debian); err != nil {
		return nil // no bundle, or one that is called otherwise
	}
	if _, err := root.Lstat(amazon); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDir(root, path.Dir(amazon)); err != nil {
		return err
	}
	return root.Symlink("/"+debian, amazon)
}

// copyFromHost copies a file or directory of the host that everybody may read.
// Links to what can be seen inside stay links; others are followed. What is not
// there, or not for everybody, is left out.
func copyFromHost(host string, root *os.Root, from, to string) error {
	source := filepath.Join(host, from)
	for range maxHops {
		info, err := os.Lstat(source)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case info.Mode().Type() != fs.ModeSymlink:
			return copyPlain(host, root, source, info, to)
		}
		link, err := os.Readlink(source)
		switch {
		case err != nil:
			return err
		case staysVisible(link):
			if err := makeDir(root, path.Dir(to)); err != nil {
				return err
			}
			return root.Symlink(link, to)
		case path.IsAbs(link):
			source = filepath.Join(host, link)
		default:
			source = filepath.Join(filepath.Dir(source), link)
		}
	}
	return nil // links in a circle lead nowhere
}

// copyPlain copies a file, or a directory with all that is in it.
func copyPlain(host string, root *os.Root, source string, info fs.FileInfo, to string) error {
	switch {
	case info.Mode().Perm()&0o004 == 0:
		return nil
	case info.Mode().IsRegular():
		if info.Size() > maxCopied {
			return nil
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		return makeFile(root, to, text)
	case !info.IsDir():
		return nil
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	if err := makeDir(root, to); err != nil {
		return err
	}
	inside, err := filepath.Rel(host, source)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyFromHost(host, root, path.Join(inside, e.Name()), path.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// staysVisible reports whether the target of a link can be seen from inside: a
// neighbour, or something below /usr that no mask hides.
func staysVisible(link string) bool {
	if !path.IsAbs(link) {
		return path.Base(link) == link
	}
	clean := path.Clean(link)
	within := func(dir string) bool { return len(clean) > len(dir) && clean[:len(dir)+1] == dir+"/" }
	return within("/bin") || within("/etc/alternatives") || within("/usr") && !within("/usr/local")
}
