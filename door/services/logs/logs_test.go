package logs_test

import (
	"bufio"
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/auth/accounts"
	"kiln/door/services/logs"
)

var home = kiln.Scope{Account: "111111111111", Region: "us-east-1"}

// shelf is a store of accounts in memory.
type shelf struct {
	mu   sync.Mutex
	last uint64
}

func (s *shelf) Scan(context.Context, string, func(accounts.Record) error) error { return nil }

func (s *shelf) Commit(_ context.Context, writes []accounts.Write) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]uint64, len(writes))
	for i := range writes {
		s.last++
		out[i] = s.last
	}
	return out, nil
}

// book is a store of logs that has one group with one stream and one record.
type book struct{}

func none(what string) error { return kiln.Errorf(kiln.NotFound, "%s", what) }

func (book) Groups(kiln.Scope) ([]logs.Group, error) { return []logs.Group{{Name: "g"}}, nil }
func (book) Group(_ kiln.Scope, group string) (logs.Group, error) {
	if group != "g" {
		return logs.Group{}, none(group)
	}
	return logs.Group{Name: "g"}, nil
}
func (book) CreateGroup(_ kiln.Scope, group string, _ map[string]string) error {
	switch group {
	case "g":
		return logs.ErrExists
	case "full":
		return logs.ErrTooMany
	}
	return nil
}
func (book) DeleteGroup(_ kiln.Scope, group string) error {
	if group != "g" {
		return none(group)
	}
	return nil
}
func (book) SetRetention(kiln.Scope, string, int) error                    { return nil }
func (book) SetTags(kiln.Scope, string, map[string]string, []string) error { return logs.ErrTooMany }
func (book) Streams(kiln.Scope, string) ([]logs.Stream, error) {
	return []logs.Stream{{Name: "s"}}, nil
}
func (book) CreateStream(kiln.Scope, string, string) error      { return none("g") }
func (book) DeleteStream(kiln.Scope, string, string) error      { return none("s") }
func (book) Put(kiln.Scope, string, string, []logs.Entry) error { return nil }
func (book) Look(logs.Window) (*logs.View, error) {
	return &logs.View{Records: []logs.Record{{Text: "hello", Stream: "s", Line: true}}}, nil
}
func (book) Follow(ctx context.Context, _ kiln.Scope, _ string) iter.Seq[logs.Record] {
	return func(yield func(logs.Record) bool) {
		if yield(logs.Record{Text: "live", Stream: "s"}) {
			<-ctx.Done()
		}
	}
}

// rig is the service, asked by somebody.
type rig struct {
	*logs.Service
	t   *testing.T
	who auth.Identity
}

func newRig(t *testing.T, keys *accounts.Book) *rig {
	var o auth.Options
	if keys != nil {
		o.Keys = keys
	}
	gate, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{logs.New(logs.Options{Store: book{}, Gate: gate, Log: slog.New(slog.DiscardHandler)}), t, auth.Identity{Scope: home}}
}

// wants sends a request and checks status and a part of the answer.
func (r *rig) wants(status int, part, action, body string) {
	r.t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("X-Amz-Target", "Logs_20140328."+action)
	w := httptest.NewRecorder()
	r.ServeAWS(w, req, r.who, "id-1")
	if w.Code != status || !strings.Contains(w.Body.String(), part) {
		r.t.Errorf("%s %s: got %d %s, want %d with %s", action, body, w.Code, w.Body, status, part)
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/x-amz-json-1.1" {
		r.t.Errorf("%s: content type %q", action, kind)
	}
}

func TestARequestThatIsWrongIsToldSoInAWSWords(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		part, action, body string
	}{
		{`{"__type":"ResourceAlreadyExistsException","message":"The specified log group already exists"}`, "CreateLogGroup", `{"logGroupName":"g"}`},
		{`"LimitExceededException"`, "CreateLogGroup", `{"logGroupName":"full"}`},
		{`1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not be null`, "CreateLogGroup", ``},
		{`2 validation errors detected: Value '' at 'logGroupName'`, "CreateLogGroup", `{"logGroupName":""}`},
		{`Member must have length less than or equal to 512`, "CreateLogGroup", `{"logGroupName":"` + strings.Repeat("x", 513) + `"}`},
		{`deletionProtectionEnabled`, "CreateLogGroup", `{"logGroupName":"a","deletionProtectionEnabled":true}`},
		{`"SerializationException"`, "CreateLogGroup", `{"logGroupName":7}`},
		{`"SerializationException"`, "CreateLogGroup", `[`},
		{`"SerializationException"`, "CreateLogGroup", `{} {}`},
		{`"ResourceNotFoundException","message":"The specified log group does not exist."`, "DeleteLogGroup", `{"logGroupName":"h"}`},
		{`"The specified log group does not exist."`, "CreateLogStream", `{"logGroupName":"h","logStreamName":"s"}`},
		{`"The specified log stream does not exist."`, "DeleteLogStream", `{"logGroupName":"g","logStreamName":"t"}`},
		{`at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*`, "DeleteLogStream", `{"logGroupName":"g","logStreamName":"a:b"}`},
		{`Member must have value less than or equal to 50`, "DescribeLogGroups", `{"limit":51}`},
		{`The specified nextToken is invalid.`, "DescribeLogGroups", `{"nextToken":"*"}`},
		{`mutually exclusive`, "DescribeLogGroups", `{"logGroupNamePrefix":"a","logGroupNamePattern":"b"}`},
		{`mutually exclusive`, "GetLogEvents", `{"logGroupName":"g","logGroupIdentifier":"g","logStreamName":"s"}`},
		{`The specified nextToken is invalid.`, "GetLogEvents", `{"logGroupName":"g","logStreamName":"s","nextToken":"f/1"}`},
		{`Member must have value greater than or equal to 0`, "GetLogEvents", `{"logGroupName":"g","logStreamName":"s","startTime":-1}`},
		{`"The specified log group does not exist."`, "FilterLogEvents", `{"logGroupIdentifier":"arn:aws:logs:us-east-1:222222222222:log-group:g"}`},
		{`Invalid log group identifier`, "FilterLogEvents", `{"logGroupIdentifier":"arn:aws:s3:::g"}`},
		{`startFromHead`, "FilterLogEvents", `{"logGroupName":"g","startFromHead":false}`},
		{`Member must have length greater than or equal to 1`, "PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[]}`},
		{`'logEvents.1.member.timestamp'`, "PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"message":"x"}]}`},
		{`Log event too large: 262145 bytes exceeds limit of 262144`, "PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1,"message":"` + strings.Repeat("x", 262145) + `"}]}`},
		{`cannot span more than 24 hours`, "PutLogEvents", `{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1,"message":"x"},{"timestamp":99999999,"message":"x"}]}`},
		{`"TooManyTagsException"`, "TagResource", `{"resourceArn":"arn:aws:logs:us-east-1:111111111111:log-group:g","tags":{"a":"b"}}`},
		{`must be an ARN`, "StartLiveTail", `{"logGroupIdentifiers":["g"]}`},
	} {
		r.wants(400, c.part, c.action, c.body)
	}
	r.wants(501, "kiln does not have the action StartQuery yet", "StartQuery", "{}")
	r.wants(413, "RequestEntityTooLargeException", "PutLogEvents", strings.Repeat(" ", 9<<20))
	r.wants(200, `"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":0},"rejectedEntityInfo":{"errorType":"UnsupportedLogGroupType"}`, "PutLogEvents",
		`{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":9999999999999,"message":"x"}],"entity":{}}`)
	r.wants(200, `{"events":[{"timestamp":-62135596800000,"message":"hello\n","ingestionTime":-62135596800000}],"nextForwardToken":"f/`+strings.Repeat("0", 40)+`"`, "GetLogEvents", `{"logGroupName":"g","logStreamName":"s"}`)
}

func TestLogsNeedPermissionsWhereSignaturesAreChecked(t *testing.T) {
	keys, err := accounts.Open(t.Context(), accounts.Options{Store: &shelf{}})
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := keys.CreateUser(t.Context(), home.Account, "ann")
	if err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:logs:us-east-1:111111111111:log-group:g:"
	if err := keys.PutUserPolicy(t.Context(), home.Account, "ann", "p",
		`{"Statement":[{"Effect":"Allow","Action":"logs:FilterLogEvents","Resource":"`+arn+`*"},{"Effect":"Allow","Action":"logs:GetLogEvents","Resource":"`+arn+`log-stream:s"}]}`); err != nil {
		t.Fatal(err)
	}
	k, err := keys.Key(c.AccessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, keys)
	r.who = auth.Identity{Scope: home, AccessKey: c.AccessKeyID, Principal: k.Caller.ARN, Caller: k.Caller}
	r.wants(200, "hello", "FilterLogEvents", `{"logGroupName":"g"}`)
	r.wants(200, "hello", "GetLogEvents", `{"logGroupName":"g","logStreamName":"s"}`)
	const denied = `{"__type":"AccessDeniedException","message":"User: arn:aws:iam::111111111111:user/ann is not authorized to perform: logs:`
	r.wants(400, denied+`GetLogEvents on resource: `+arn+`log-stream:t because no identity-based policy allows the logs:GetLogEvents action"}`, "GetLogEvents", `{"logGroupName":"g","logStreamName":"t"}`)
	r.wants(400, denied+`FilterLogEvents on resource: arn:aws:logs:us-east-1:111111111111:log-group:h:*`, "FilterLogEvents", `{"logGroupName":"h"}`)
	r.wants(400, denied+`DeleteLogGroup`, "DeleteLogGroup", `{"logGroupName":"g"}`)
	r.wants(400, denied+`DescribeLogGroups`, "DescribeLogGroups", `{}`)
	r.wants(400, denied+`TagResource`, "TagResource", `{"resourceArn":"arn:aws:logs:us-east-1:111111111111:log-group:g","tags":{"a":"b"}}`)
	r.wants(400, denied+`StartLiveTail`, "StartLiveTail", `{"logGroupIdentifiers":["arn:aws:logs:us-east-1:111111111111:log-group:g"]}`)
}

// session begins a session; what it says is read up to a text.
func (r *rig) session(ctx context.Context, url, until string) (status int, rest *bufio.Reader, end func() error) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"logGroupIdentifiers":["arn:aws:logs:us-east-1:111111111111:log-group:g"]}`))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "Logs_20140328.StartLiveTail")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	in := bufio.NewReader(resp.Body)
	for text := ""; resp.StatusCode == 200 && !strings.Contains(text, until); {
		b, err := in.ReadByte()
		if err != nil {
			r.t.Fatalf("%v after %q", err, text)
		}
		text += string(b)
	}
	return resp.StatusCode, in, resp.Body.Close
}

func TestSessionsAreBoundedAndEndWithTheServer(t *testing.T) {
	r := newRig(t, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.ServeAWS(w, req, r.who, "id-1") }))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const begun, shown = `"sessionId"`, `"message":"live"`
	_, first, _ := r.session(ctx, s.URL, shown)
	all := []*bufio.Reader{first}
	var ends []func() error
	for range 14 {
		status, in, end := r.session(ctx, s.URL, begun)
		if status != 200 {
			t.Fatalf("status %d", status)
		}
		all, ends = append(all, in), append(ends, end)
	}
	status, in, _ := r.session(ctx, s.URL, begun)
	if body, err := io.ReadAll(in); status != 400 || !strings.Contains(string(body), "LimitExceededException") {
		t.Errorf("one more: %d %s, %v", status, body, err)
	}
	if err := ends[13](); err != nil {
		t.Fatal(err)
	}
	all = all[:14]
	for status = 0; status != 200; { // the server learns of it with its next update
		if status, in, _ = r.session(ctx, s.URL, begun); status == 200 {
			all = append(all, in)
		}
	}
	r.Drain()
	for _, in := range all {
		if rest, err := io.ReadAll(in); err != nil || !strings.Contains(string(rest), "SessionStreamingException") {
			t.Errorf("got %q, %v", rest, err)
		}
	}
}
