package lambda

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"kiln/client"
)

// snap is one recorded request, answer or error.
type snap struct {
	name   string // the operation or exception
	line   string // "POST /path?query", or the status
	header http.Header
	body   string
}

// snaps reads every recording of one kind.
func snaps(t testing.TB, dir, suffix string) []snap {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "wire", dir, "*"+suffix))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recordings in %s: %v", dir, err)
	}
	var out []snap
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := snap{name: strings.TrimSuffix(filepath.Base(path), suffix), header: http.Header{}}
		rest := string(text)
		s.line, rest, _ = strings.Cut(rest, "\n")
		rest = strings.TrimPrefix(rest, map[string]string{"requests": "\n"}[dir])
		for {
			var line string
			line, rest, _ = strings.Cut(rest, "\n")
			if line == "" {
				break
			}
			name, value, _ := strings.Cut(line, ": ")
			s.header.Add(name, value)
		}
		s.body = rest
		out = append(out, s)
	}
	return out
}

// inputOf returns a new input of an operation.
func inputOf(t testing.TB, op string) any {
	t.Helper()
	m, ok := reflect.TypeFor[Service]().MethodByName(op)
	if !ok {
		t.Fatalf("Service has no operation %s", op)
	}
	return reflect.New(m.Type.In(1).Elem()).Interface()
}

// outputOf returns a new output of an operation, nil when it has none.
func outputOf(t testing.TB, op string) any {
	t.Helper()
	m, ok := reflect.TypeFor[Service]().MethodByName(op)
	if !ok {
		t.Fatalf("Service has no operation %s", op)
	}
	if m.Type.NumOut() == 1 {
		return nil
	}
	return reflect.New(m.Type.Out(0).Elem()).Interface()
}

// decoded takes a recorded request to its input, without checking constraints.
func decoded(t *testing.T, s snap) any {
	t.Helper()
	method, target, _ := strings.Cut(s.line, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(s.body))
	for name, values := range s.header {
		r.Header[name] = values
	}
	name, ok := Operation(r)
	if !ok || name != s.name {
		t.Fatalf("%s goes to operation %q, want %q", s.line, name, s.name)
	}
	c := &call{ctx: t.Context(), req: r, w: httptest.NewRecorder()}
	found := match(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, &c.labels)
	h := NewHandler(Unimplemented{}, Options{}).(*handler)
	if err := h.readBody(c, found.op); err != nil {
		t.Fatal(err)
	}
	in := inputOf(t, s.name)
	if err := in.(interface{ decode(*call) error }).decode(c); err != nil {
		t.Fatal(err)
	}
	return in
}

// unset lists the members that are absent anywhere below a value. An empty structure
// counts as present.
func unset(v reflect.Value, path string) (list []string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if v.IsNil() || v.Kind() != reflect.Pointer && v.Len() == 0 {
			return []string{path}
		}
		switch v.Kind() {
		case reflect.Pointer:
			return unset(v.Elem(), path)
		case reflect.Slice:
			for i := range v.Len() {
				list = append(list, unset(v.Index(i), path+"["+strconv.Itoa(i)+"]")...)
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				list = append(list, unset(v.MapIndex(k), path+"{"+k.String()+"}")...)
			}
		}
	case reflect.Struct:
		if _, ok := v.Interface().(time.Time); ok {
			return nil
		}
		for i := range v.NumField() {
			list = append(list, unset(v.Field(i), path+"."+v.Type().Field(i).Name)...)
		}
	case reflect.String:
		if v.Len() == 0 {
			return []string{path}
		}
	}
	return list
}

// convert copies a value into the same shape of the other package.
func convert(from, to reflect.Value) {
	switch {
	case from.Type() == reflect.TypeFor[time.Time]() && to.Type() == reflect.TypeFor[client.Time]():
		to.Set(reflect.ValueOf(client.Time{Time: from.Interface().(time.Time)}))
		return
	case from.Type() == reflect.TypeFor[client.Time]() && to.Type() == reflect.TypeFor[time.Time]():
		to.Set(reflect.ValueOf(from.Interface().(client.Time).Time))
		return
	}
	switch from.Kind() {
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
			convert(from.Elem(), to.Elem())
		}
	case reflect.Slice:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			convert(from.Index(i), to.Index(i))
		}
	case reflect.Map:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeMap(to.Type()))
		for _, k := range from.MapKeys() {
			v := reflect.New(to.Type().Elem()).Elem()
			convert(from.MapIndex(k), v)
			to.SetMapIndex(k, v)
		}
	case reflect.Struct:
		for i := range from.NumField() {
			convert(from.Field(i), to.FieldByName(from.Type().Field(i).Name))
		}
	default:
		to.Set(from)
	}
}

// roundTripper answers every request of a client by itself.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// callClient calls an operation of the client by name.
func callClient(t *testing.T, answer roundTripper, op string, in any) (out any, err error) {
	t.Helper()
	c, err := client.New("http://kiln.test", client.WithHTTPClient(&http.Client{Transport: answer}))
	if err != nil {
		t.Fatal(err)
	}
	m := reflect.ValueOf(c).MethodByName(op)
	arg := reflect.New(m.Type().In(1).Elem())
	if in != nil {
		convert(reflect.ValueOf(in).Elem(), arg.Elem())
	}
	results := m.Call([]reflect.Value{reflect.ValueOf(t.Context()), arg})
	if len(results) == 2 && !results[0].IsNil() {
		out = results[0].Interface()
	}
	err, _ = results[len(results)-1].Interface().(error)
	return out, err
}

// fill gives every string of a path a value, so that a client has something to call.
func fill(in any) any {
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			f.SetString("x")
		}
	}
	return in
}

func TestEveryRecordedRequestDecodesIntoItsOperationWithEveryMember(t *testing.T) {
	for _, s := range snaps(t, "requests", ".request.snap") {
		t.Run(s.name, func(t *testing.T) {
			in := decoded(t, s)
			if missing := unset(reflect.ValueOf(in), s.name); len(missing) > 0 {
				t.Errorf("not set: %s", strings.Join(missing, ", "))
			}
		})
	}
}

func TestClientSendsEveryRecordedRequest(t *testing.T) {
	for _, s := range snaps(t, "requests", ".request.snap") {
		t.Run(s.name, func(t *testing.T) {
			sent := false
			stop := errors.New("seen enough")
			_, err := callClient(t, func(r *http.Request) (*http.Response, error) {
				sent = true
				if got := r.Method + " " + r.URL.RequestURI(); got != s.line {
					t.Errorf("got  %s\nwant %s", got, s.line)
				}
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Fatal(err)
				}
				if string(body) != s.body {
					t.Errorf("body\ngot  %s\nwant %s", body, s.body)
				}
				r.Header.Del("User-Agent")
				if !reflect.DeepEqual(r.Header, s.header) {
					t.Errorf("header\ngot  %v\nwant %v", r.Header, s.header)
				}
				return nil, stop
			}, s.name, decoded(t, s))
			if !sent || !errors.Is(err, stop) {
				t.Errorf("sent %v, error %v", sent, err)
			}
		})
	}
}

func TestEveryRecordedAnswerIsReadByTheClientAndWrittenByTheServer(t *testing.T) {
	for _, s := range snaps(t, "responses", ".response.snap") {
		t.Run(s.name, func(t *testing.T) {
			status, err := strconv.Atoi(s.line)
			if err != nil {
				t.Fatal(err)
			}
			read, err := callClient(t, func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: s.header, ContentLength: int64(len(s.body)),
					Body: io.NopCloser(strings.NewReader(s.body))}, nil
			}, s.name, fill(inputOf(t, s.name)))
			if s.name == "Invoke" { // the client gives its answer another form, and decodes the log
				if err == nil || !strings.Contains(err.Error(), "log tail") {
					t.Fatalf("got error %v, want one about the log tail, which is no base64", err)
				}
				read = &client.InvocationResponse{Payload: []byte(s.body), StatusCode: new(int32(200)),
					FunctionError: new(s.header.Get("X-Amz-Function-Error")), LogResult: new(s.header.Get("X-Amz-Log-Result")),
					ExecutedVersion:     new(s.header.Get("X-Amz-Executed-Version")),
					DurableExecutionArn: new(s.header.Get("X-Amz-Durable-Execution-Arn"))}
			} else if err != nil {
				t.Fatal(err)
			}
			out := outputOf(t, s.name)
			if out == nil {
				if s.body != "" {
					t.Fatalf("operation has no output, but its answer has a body: %s", s.body)
				}
				return
			}
			if missing := unset(reflect.ValueOf(read), s.name); len(missing) > 0 {
				t.Errorf("client did not set: %s", strings.Join(missing, ", "))
			}
			convert(reflect.ValueOf(read).Elem(), reflect.ValueOf(out).Elem())
			w := httptest.NewRecorder()
			c := &call{ctx: context.Background(), w: w}
			if err := out.(interface{ write(*call, int) error }).write(c, status); err != nil {
				t.Fatal(err)
			}
			if got := w.Body.String(); w.Code != status || got != s.body {
				t.Errorf("status %d, body\ngot  %s\nwant %s", w.Code, got, s.body)
			}
			w.Header().Del("Content-Length")
			if s.name == "Invoke" {
				s.header.Set("Content-Type", "application/json") // as the service sends it; the recording is the SDK's default
			}
			if got := w.Header(); !reflect.DeepEqual(got, s.header) {
				t.Errorf("header\ngot  %v\nwant %v", got, s.header)
			}
		})
	}
}

func TestEveryRecordedErrorIsWrittenAndReadAgain(t *testing.T) {
	list := snaps(t, "responses", ".error.snap")
	if len(list) != len(exceptions) {
		t.Errorf("%d errors recorded, the table has %d", len(list), len(exceptions))
	}
	for _, s := range list {
		t.Run(s.name, func(t *testing.T) {
			// The recorder puts the exception into the body; the service has it in a header.
			want := strings.Replace(s.body, `"__type":"`+s.name+`",`, "", 1)
			e := &Error{Code: s.name, Message: "__Message__", Type: "__Type__", EC2ErrorCode: "__EC2ErrorCode__",
				Reason: "ConcurrentInvocationLimitExceeded", RetryAfter: "__RetryAfterSeconds__"}
			w := httptest.NewRecorder()
			WriteError(w, e)
			if got := w.Body.String(); got != want {
				t.Errorf("body\ngot  %s\nwant %s", got, want)
			}
			if got := strconv.Itoa(w.Code); got != s.line {
				t.Errorf("status %s, want %s", got, s.line)
			}
			if got := w.Header().Get("x-amzn-ErrorType"); got != s.name {
				t.Errorf("x-amzn-ErrorType %q, want %q", got, s.name)
			}
			if got, want := w.Header().Get("Retry-After"), s.header.Get("Retry-After"); got != want {
				t.Errorf("Retry-After %q, want %q", got, want)
			}
			for _, body := range []string{want, s.body} { // exception in the header, or in the body
				_, err := callClient(t, func(*http.Request) (*http.Response, error) {
					h := http.Header{"X-Amzn-Requestid": {"r1"}}
					if body == want {
						h = w.Header().Clone()
						h.Set("X-Amzn-Requestid", "r1")
					}
					return &http.Response{StatusCode: w.Code, Header: h, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
				}, "GetAccountSettings", nil)
				var got *client.Error
				if !errors.As(err, &got) || got.Code != s.name || got.Message != "__Message__" || got.Status != w.Code || got.RequestID != "r1" {
					t.Errorf("client read %#v", err)
				}
			}
		})
	}
}
