package debian_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"kiln/box/runtimes/debian"
)

// mirror is a small Debian of our own: suites with packages that a test makes, signed
// with a key of its own, behind a server whose failures a test chooses.
type mirror struct {
	t   *testing.T
	key *openpgp.Entity
	now time.Time // when it signs; zero is really now
	url string

	mu       sync.Mutex
	files    map[string][]byte
	requests []string // "path" or "path from N"
	// meddle, when it is there, may answer a request in place of the server.
	meddle func(w http.ResponseWriter, r *http.Request, contents []byte) (done bool)
}

// newKey makes a key that signs; a lifetime of 0 is for ever.
func newKey(t *testing.T, made time.Time, lifetime uint32) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("A mirror of our own", "", "mirror@example", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: lifetime, Time: func() time.Time { return made },
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{t: t, key: newKey(t, time.Now().Add(-time.Hour), 0), files: map[string][]byte{}}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL + "/debian"
	return m
}

// ServeHTTP answers as a mirror does, parts of files included.
func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/debian/")
	m.mu.Lock()
	contents, ok := m.files[name]
	meddle := m.meddle
	note := name
	if part := r.Header.Get("Range"); part != "" {
		note += " from " + strings.TrimSuffix(strings.TrimPrefix(part, "bytes="), "-")
	}
	m.requests = append(m.requests, note)
	m.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	if meddle != nil && meddle(w, r, contents) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(contents))
}

// asked lists the requests for files of which a name begins like this.
func (m *mirror) asked(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, r := range m.requests {
		if strings.HasPrefix(r, prefix) {
			all = append(all, r)
		}
	}
	return all
}

// interfere sets what may answer in place of the server.
func (m *mirror) interfere(meddle func(w http.ResponseWriter, r *http.Request, contents []byte) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meddle = meddle
}

// pack is a package that a test describes.
type pack struct {
	name, version string
	fields        string // further lines of its description
	form          string // ending of data.tar: ".xz", ".gz", ".zst" or ""
	entries       []tar.Header
	contents      map[string]string
	raw           []byte // a .deb in place of one that is made
}

// file, link, hard and dir describe the files of a package.
func file(name, contents string, mode int64) (tar.Header, string) {
	return tar.Header{Name: name, Mode: mode, Typeflag: tar.TypeReg, Size: int64(len(contents)), ModTime: time.Unix(1700000000, 0)}, contents
}

func (p *pack) file(name, contents string, mode int64) *pack {
	h, text := file(name, contents, mode)
	if p.contents == nil {
		p.contents = map[string]string{}
	}
	p.contents[name] = text
	p.entries = append(p.entries, h)
	return p
}

func (p *pack) link(name, target string) *pack {
	p.entries = append(p.entries, tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink, Mode: 0o777})
	return p
}

func (p *pack) hard(name, target string) *pack {
	p.entries = append(p.entries, tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink, Mode: 0o644})
	return p
}

func (p *pack) dir(name string) *pack {
	p.entries = append(p.entries, tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755})
	return p
}

// deb makes the package.
func (p *pack) deb(t *testing.T) []byte {
	t.Helper()
	if p.raw != nil {
		return p.raw
	}
	var data bytes.Buffer
	packed := compressor(t, &data, p.form)
	w := tar.NewWriter(packed)
	for _, h := range p.entries {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, p.contents[h.Name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	return ar("debian-binary", "2.0\n", "control.tar.gz", "odd", "data.tar"+p.form, data.String())
}

// ar makes an archive of names and contents by turns.
func ar(things ...string) []byte {
	out := bytes.NewBufferString("!<arch>\n")
	for i := 0; i < len(things); i += 2 {
		fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", things[i], 0, 0, 0, "100644", len(things[i+1]))
		out.WriteString(things[i+1])
		if len(things[i+1])%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func compressor(t *testing.T, out io.Writer, form string) io.WriteCloser {
	t.Helper()
	var w io.WriteCloser
	var err error
	switch form {
	case ".gz":
		w = gzip.NewWriter(out)
	case ".xz":
		w, err = xz.NewWriter(out)
	case ".zst":
		w, err = zstd.NewWriter(out)
	default:
		w = plain{out}
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

type plain struct{ io.Writer }

// Close has nothing to end.
func (plain) Close() error { return nil }

// suite is one suite of a mirror, to be published.
type suite struct {
	name, codename string
	fields         string // further lines of its index
	form           string // of the list of packages: ".xz" or ".gz"
	packages       []*pack
}

// publish puts a suite on the mirror and signs it.
func (m *mirror) publish(s suite) {
	m.t.Helper()
	var list strings.Builder
	for _, p := range s.packages {
		deb := p.deb(m.t)
		name := "pool/main/" + p.name + "_" + p.version + ".deb"
		m.put(name, deb)
		fmt.Fprintf(&list, "Package: %s\nVersion: %s\nArchitecture: %s\nFilename: %s\nSize: %d\nSHA256: %s\n%sDescription: of a test\n more of it\n\n",
			p.name, p.version, runtime.GOARCH, name, len(deb), digest(deb), p.fields)
	}
	if s.form == "" {
		s.form = ".xz"
	}
	if s.codename == "" {
		s.codename = s.name
	}
	var packed bytes.Buffer
	w := compressor(m.t, &packed, s.form)
	if _, err := io.WriteString(w, list.String()); err != nil {
		m.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		m.t.Fatal(err)
	}
	names := "main/binary-" + runtime.GOARCH + "/Packages" + s.form
	m.put("dists/"+s.name+"/"+names, packed.Bytes())
	index := fmt.Sprintf("Origin: Debian\nSuite: some-%s\nCodename: %s\n%sSHA256:\n %s %d %s\n", s.codename, s.codename, s.fields, digest(packed.Bytes()), packed.Len(), names)
	m.put("dists/"+s.name+"/InRelease", signAt(m.t, m.key, index, m.now))
}

func (m *mirror) put(name string, contents []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = contents
}

func (m *mirror) get(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files[name]
}

// sign makes a text one that bears the signature of a key.
func sign(t *testing.T, key *openpgp.Entity, text string) []byte {
	t.Helper()
	return signAt(t, key, text, time.Time{})
}

func signAt(t *testing.T, key *openpgp.Entity, text string, now time.Time) []byte {
	t.Helper()
	config := &packet.Config{}
	if !now.IsZero() {
		config.Time = func() time.Time { return now }
	}
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, key.PrivateKey, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// keyText gives the public part of keys, in armour or not.
func keyText(t *testing.T, armoured bool, keys ...*openpgp.Entity) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = plain{&out}
	if armoured {
		var err error
		if w, err = armor.Encode(&out, openpgp.PublicKeyType, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range keys {
		if err := key.Serialize(w); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// host makes the root directory of a machine with these files.
func host(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		place := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens Debian as a machine has it that knows the mirror and its key.
func (m *mirror) open(o debian.Options) *debian.Archive {
	m.t.Helper()
	if o.Host == "" {
		o.Host = host(m.t, map[string]string{
			"etc/apt/sources.list":                          "deb " + m.url + " trixie main\n",
			"usr/share/keyrings/debian-archive-keyring.gpg": keyText(m.t, false, m.key),
		})
	}
	return open(m.t, o)
}

func open(t *testing.T, o debian.Options) *debian.Archive {
	t.Helper()
	if o.Downloads == "" {
		o.Downloads = filepath.Join(t.TempDir(), "downloads")
	}
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	a, err := debian.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// build makes a root of packages of trixie and gives it.
func build(t *testing.T, a *debian.Archive, names ...string) (string, error) {
	t.Helper()
	plan, err := a.Plan(t.Context(), debian.Request{Suite: "trixie", Packages: names})
	if err != nil {
		return "", err
	}
	dir := t.TempDir()
	return dir, plan.Fill(t.Context(), dir, func(int64, int64) {})
}

// namesOf lists the packages of a plan.
func namesOf(p *debian.Plan) string {
	var names []string
	for _, q := range p.Packages() {
		names = append(names, q.Name+"="+q.Version)
	}
	return strings.Join(names, " ")
}

// tree describes everything below a directory, one line each.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		line := info.Mode().String() + " " + rel
		switch {
		case info.Mode()&os.ModeSymlink != 0:
			to, err := os.Readlink(name)
			if err != nil {
				return err
			}
			line += " -> " + to
		case info.Mode().IsRegular():
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			line += " " + string(text)
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// signTwice makes a text one that bears two signatures.
func signTwice(t *testing.T, text string, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var private []*packet.PrivateKey
	for _, key := range keys {
		private = append(private, key.PrivateKey)
	}
	var out bytes.Buffer
	w, err := clearsign.EncodeMulti(&out, private, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// line gives the line of trixie's index that names the list of packages.
func line(m *mirror) string {
	name := "main/binary-" + runtime.GOARCH + "/Packages.xz"
	list := m.get("dists/trixie/" + name)
	return fmt.Sprintf(" %s %d %s\n", digest(list), len(list), name)
}

func hexOf(text []byte) string { return hex.EncodeToString(text) }

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
