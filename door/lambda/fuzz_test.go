package lambda

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// requestTo builds a request for whatever path and query a fuzzer makes up.
func requestTo(method, path, query, body string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
	r.Method = method
	r.URL = &url.URL{RawPath: path, RawQuery: query}
	if p, err := url.PathUnescape(path); err == nil {
		r.URL.Path = p
	}
	return r
}

func FuzzRouter(f *testing.F) {
	for _, s := range snaps(f, "requests", ".request.snap") {
		method, target, _ := strings.Cut(s.line, " ")
		path, query, _ := strings.Cut(target, "?")
		f.Add(method, path, query)
	}
	for _, path := range []string{"", "/", "//", "/%", "/2015-03-31/functions/%2e%2e/invocations", "/2015-03-31/functions/\x00/code", "/2018-10-31/layers/l/versions/-9223372036854775809"} {
		f.Add("POST", path, "&&=&a=b=c&%zz=%")
	}
	h := NewHandler(Unimplemented{}, Options{})
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := requestTo(method, path, query, "{}")
		name, known := Operation(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch code := w.Header().Get("x-amzn-ErrorType"); {
		case known && code == NotImplementedException && w.Code == 501 && strings.Contains(w.Body.String(), name):
		case known && w.Code == 400 && (code == ValidationException || code == SerializationException || code == InvalidParameterValueException):
		case !known && code == UnknownOperationException && (w.Code == 404 || w.Code == 405):
		default:
			t.Errorf("%q %q %q (operation %q): %d %s %s", method, path, query, name, w.Code, code, w.Body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("answer is not JSON: %q", w.Body)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range snaps(f, "requests", ".request.snap") {
		if s.body != "" {
			f.Add([]byte(s.body))
		}
	}
	for _, body := range []string{"", "null", "[]", `{"Timeout":1e400}`, `{"Code":{"ZipFile":"A==="}}`, `{"Environment":{"Variables":{"a":"\ud800"}}}`, "\xff", `{"a":` + strings.Repeat("[", 200)} {
		f.Add([]byte(body))
	}
	// Every input that has a JSON body reads the bytes as its own.
	var inputs []string
	for i := range operations {
		if operations[i].body == bodyJSON {
			inputs = append(inputs, operations[i].name)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range inputs {
			in := inputOf(t, op)
			c := &call{req: requestTo("POST", "/", "", ""), body: body, labels: labels{"f", "1", "1"}}
			err := in.(interface{ decode(*call) error }).decode(c)
			if err != nil {
				if e, ok := err.(*Error); !ok || e.Code != SerializationException {
					t.Fatalf("%s: %v", op, err)
				}
				continue
			}
			if trimmed := strings.Trim(string(body), " \t\r\n"); trimmed != "" && !json.Valid(body) {
				t.Fatalf("%s took what is not JSON: %q", op, body)
			}
			err = in.(interface{ Validate() error }).Validate()
			if e, ok := err.(*Error); err != nil && (!ok || e.Code != ValidationException && e.Code != InvalidParameterValueException) {
				t.Fatalf("%s: %v", op, err)
			}
		}
	})
}

func FuzzStringsSurviveEncoding(f *testing.F) {
	for _, s := range []string{"", "a\"\\\n\x00\x1f", "ü\u2028😀", "\xff\xed\xa0\x80", "<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		b := appendString(nil, s)
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		var want string
		std, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(std, &want); err != nil || got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
		d := &decoder{buf: b}
		if back := d.string(); d.err != nil || back != want || d.pos != len(b) {
			t.Errorf("read back %q (%v), want %q", back, d.err, want)
		}
	})
}

func TestDecoderReadsWhatTheStandardLibraryReads(t *testing.T) {
	for _, text := range []string{`0`, `-0`, `1.25`, `-2.5e3`, `1E+2`, `9007199254740991`} {
		var want float64
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if d := (&decoder{buf: []byte(text)}); d.float64() != want || d.err != nil || d.pos != len(text) {
			t.Errorf("%s read differently: %v", text, d.err)
		}
	}
	var want []map[string]string
	const text = ` [ {"a":"b" , "c":"\u0041"} , {} ] `
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	d := &decoder{buf: []byte(text)}
	got := decodeList(d, func(d *decoder) map[string]string { return decodeMap(d, (*decoder).string) })
	if d.err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v (%v), want %v", got, d.err, want)
	}
}
