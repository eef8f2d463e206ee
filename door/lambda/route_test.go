package lambda_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"kiln/door/lambda"
)

// listed reads the list of operations: name, method, path, status.
func listed(t testing.TB) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../../model/operations.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		rows = append(rows, strings.Split(line, "\t"))
	}
	if n := reflect.TypeFor[lambda.Service]().NumMethod(); n != len(rows) || n != 88 {
		t.Fatalf("%d operations listed, Service has %d", len(rows), n)
	}
	return rows
}

func TestEveryListedOperationIsFoundAndAnswers501(t *testing.T) {
	for _, row := range listed(t) {
		path := strings.NewReplacer("{VersionNumber}", "1").Replace(row[2])
		for {
			before, rest, ok := strings.Cut(path, "{")
			if !ok {
				break
			}
			_, after, _ := strings.Cut(rest, "}")
			path = before + "f" + after
		}
		for _, target := range []string{path, strings.Replace(path+"/", "?", "/?", 1)} {
			if strings.Contains(target, "?") {
				target = strings.TrimSuffix(target, "/")
			}
			r := httptest.NewRequest(row[1], target, nil)
			if name, ok := lambda.Operation(r); !ok || name != row[0] {
				t.Errorf("%s %s is %q, want %s", row[1], target, name, row[0])
			}
			w := serve(lambda.Unimplemented{}, lambda.Options{}, r)
			switch w.Code {
			case 501:
				check(t, w, 501, "NotImplementedException", fmt.Sprintf(`{"Type":"Service","message":"kiln does not implement %s yet"}`, row[0]))
			case 400: // the operation needs more than a path
				if got := w.Header().Get("x-amzn-ErrorType"); got != lambda.ValidationException {
					t.Errorf("%s: %s %s", row[0], got, w.Body)
				}
			default:
				t.Errorf("%s: %d %s", row[0], w.Code, w.Body)
			}
		}
	}
}

func TestUnimplementedAnswersEveryOperation(t *testing.T) {
	v := reflect.ValueOf(lambda.Unimplemented{})
	for i := range v.NumMethod() {
		m := v.Method(i)
		args := make([]reflect.Value, m.Type().NumIn())
		for j := range args {
			args[j] = reflect.Zero(m.Type().In(j))
		}
		out := m.Call(args)
		w := httptest.NewRecorder()
		err, _ := out[len(out)-1].Interface().(error)
		lambda.WriteError(w, err)
		check(t, w, 501, "NotImplementedException", fmt.Sprintf(`{"Type":"Service","message":"kiln does not implement %s yet"}`, v.Type().Method(i).Name))
	}
}

func TestConstantQueriesTellOperationsApart(t *testing.T) {
	for target, want := range map[string]string{
		"/2018-10-31/layers":                                                "ListLayers",
		"/2018-10-31/layers/":                                               "ListLayers",
		"/2018-10-31/layers?Marker=find=LayerVersion":                       "ListLayers",
		"/2018-10-31/layers?find=LayerVersions":                             "ListLayers",
		"/2018-10-31/layers?find=LayerVersion&Arn=x":                        "GetLayerVersionByArn",
		"/2018-10-31/layers?Arn=x&find=LayerVersion":                        "GetLayerVersionByArn",
		"/2019-09-30/functions/f/provisioned-concurrency":                   "GetProvisionedConcurrencyConfig",
		"/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1":       "GetProvisionedConcurrencyConfig",
		"/2019-09-30/functions/f/provisioned-concurrency?List=ALL&Marker=m": "ListProvisionedConcurrencyConfigs",
	} {
		if got, _ := lambda.Operation(httptest.NewRequest("GET", target, nil)); got != want {
			t.Errorf("%s is %s, want %s", target, got, want)
		}
	}
}

func TestWhatNoOperationTakesIsAnsweredInTheServicesForm(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/2015-03-31", 404, ""},
		{"GET", "/2015-03-31/functions/f/invocations/x", 404, ""},
		{"GET", "/2015-03-31/functions//", 404, ""},
		{"POST", "/2015-03-31/functions//invocations", 404, ""},
		{"GET", "//2015-03-31/functions", 404, ""},
		{"GET", "/2015-03-31/Functions", 404, ""},
		{"GET", "/2099-01-01/functions", 404, ""},
		{"DELETE", "/2015-03-31/functions/", 405, "GET, POST"},
		{"GET", invokePath, 405, "POST"},
		{"invoke", invokePath, 405, "POST"},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.URL.Path = c.path
		w := serve(lambda.Unimplemented{}, lambda.Options{}, r)
		if w.Code != c.status || w.Header().Get("x-amzn-ErrorType") != lambda.UnknownOperationException || w.Header().Get("Allow") != c.allow ||
			!strings.HasPrefix(w.Body.String(), `{"Message":"`) {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, w.Code, w.Header(), w.Body)
		}
	}
}

func TestLabelsAreUnescapedExactlyOnce(t *testing.T) {
	for escaped, want := range map[string]string{
		"plain":        "plain",
		"a%3Ab":        "a:b",
		"a:b":          "a:b",
		"a%2Fb":        "a/b",
		"a%252Fb":      "a%2Fb",
		"%C3%BC":       "ü",
		"a+b":          "a+b",
		"a%20b":        "a b",
		"%24LATEST":    "$LATEST",
		"%7Efoo%2e%2E": "~foo..",
	} {
		svc := fake{policy: func(in *lambda.GetResourcePolicyRequest) (*lambda.GetResourcePolicyResponse, error) {
			return &lambda.GetResourcePolicyResponse{Policy: &in.ResourceArn}, nil
		}}
		w := serve(svc, lambda.Options{}, httptest.NewRequest("GET", "/2026-07-09/resource-policy/"+escaped, nil))
		check(t, w, 200, "", `{"Policy":"`+want+`"}`)
	}
}

func TestQueriesAreUnescapedAndTyped(t *testing.T) {
	for query, want := range map[string]string{
		"MaxItems=x":                 `{"Message":"STRING_VALUE can not be converted to an Integer"}`,
		"MaxItems=":                  `{"Message":"STRING_VALUE can not be converted to an Integer"}`,
		"MaxItems=99999999999":       `{"Message":"STRING_VALUE can not be converted to an Integer"}`,
		"ReverseOrder=maybe":         `{"Message":"STRING_VALUE can not be converted to a Boolean"}`,
		"StartedAfter=yesterday":     `{"Message":"STRING_VALUE can not be converted to a Date"}`,
		"Marker=%zz":                 `{"Message":"query has an invalid escape"}`,
		"MaxItems=1001":              `{"message":"1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 1000"}`,
		"Max%49tems=1001":            `{"message":"1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 1000"}`,
		"Qualifier=a%20b":            `{"message":"1 validation error detected: Value 'a b' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"}`,
		"Qualifier=a+b":              `{"message":"1 validation error detected: Value 'a b' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"}`,
		"Statuses=RUNNING&Statuses=": `{"message":"1 validation error detected: Value '[RUNNING, ]' at 'statuses' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [RUNNING, SUCCEEDED, FAILED, TIMED_OUT, STOPPED], Member must not be null]"}`,
		"StartedAfter=2024-01-02T03%3A04%3A05.678Z&ReverseOrder=TRUE": `{"Type":"Service","message":"kiln does not implement ListDurableExecutionsByFunction yet"}`,
	} {
		w := serve(lambda.Unimplemented{}, lambda.Options{}, httptest.NewRequest("GET", "/2025-12-01/functions/f/durable-executions?"+query, nil))
		if got := w.Body.String(); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", query, got, want)
		}
	}
}

func TestALabelThatIsNoNumberIsRefused(t *testing.T) {
	w := serve(lambda.Unimplemented{}, lambda.Options{}, httptest.NewRequest("GET", "/2018-10-31/layers/l/versions/one", nil))
	check(t, w, 400, lambda.SerializationException, `{"Message":"STRING_VALUE can not be converted to a Long"}`)
}
