package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const (
	urlPath         = "/2021-10-31/functions/hello/url"
	permissionsPath = "POST /2015-03-31/functions/hello/policy"
	helloURL        = "http://abc.lambda-url.us-east-1.localhost:4566/"
)

func urlConfig(mode string) map[string]any {
	return map[string]any{"FunctionUrl": helloURL, "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:hello", "AuthType": "NONE", "InvokeMode": mode,
		"CreationTime": "2026-01-01T00:00:00.000000Z", "LastModifiedTime": "2026-01-01T00:00:00.000000Z"}
}

func TestURLCreatePrintsTheAddressAndLetsEverybodyIn(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{
		"POST " + urlPath: says(201, "", urlConfig("RESPONSE_STREAM")),
		permissionsPath:   says(409, "ResourceConflictException", map[string]any{"Type": "User", "message": "there already"}),
	})
	env := []string{"KILN_ENDPOINT=" + f.URL}
	got := runKiln(t, env, "", "url", "create", "hello", "--stream", "--allow-origin", "https://a.example", "--allow-origin", "https://b.example")
	if got.code != 0 || got.out != helloURL+"\n" {
		t.Fatalf("got %+v", got)
	}
	if body := asJSON(t, f.body(t, "POST "+urlPath)); body != `{"AuthType":"NONE","Cors":{"AllowHeaders":["*"],"AllowMethods":["*"],"AllowOrigins":["https://a.example","https://b.example"]},"InvokeMode":"RESPONSE_STREAM"}` {
		t.Errorf("sent %s", body)
	}
	if body := asJSON(t, f.body(t, permissionsPath)); body != `{"Action":"lambda:InvokeFunction","InvokedViaFunctionUrl":true,"Principal":"*","StatementId":"FunctionURLInvokeAllowPublicAccess"}` {
		t.Errorf("sent %s", body)
	}
	if n := strings.Count(strings.Join(f.lines(), "\n"), permissionsPath); n != 2 {
		t.Errorf("%d permissions were added", n)
	}

	f = fakeServer(t, map[string]http.HandlerFunc{"POST " + urlPath: says(201, "", urlConfig("BUFFERED"))})
	if got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "url", "create", "hello", "--auth", "AWS_IAM"); got.code != 0 || slices.Contains(f.lines(), permissionsPath) {
		t.Errorf("got %+v after %v", got, f.lines())
	}
	if got := runKiln(t, env, "", "url", "create", "hello", "--auth", "SOME"); got.code != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestURLLsAndRm(t *testing.T) {
	f := fakeServer(t, map[string]http.HandlerFunc{
		"GET " + urlPath + "s": says(200, "", map[string]any{"FunctionUrlConfigs": []any{urlConfig("BUFFERED")}}),
		"DELETE " + urlPath:    says(204, "", ""),
		"DELETE /2015-03-31/functions/hello/policy/FunctionURLAllowPublicAccess": says(204, "", ""),
	})
	env := []string{"KILN_ENDPOINT=" + f.URL}
	if got := runKiln(t, env, "", "url", "ls", "hello"); got.code != 0 || !strings.Contains(got.out, helloURL) || !strings.Contains(got.out, "BUFFERED") {
		t.Errorf("got %+v", got)
	}
	if got := runKiln(t, env, "", "url", "rm", "hello"); got.code != 0 { // the second permission was not there
		t.Errorf("got %+v", got)
	}
	want := "DELETE /2015-03-31/functions/hello/policy/FunctionURLInvokeAllowPublicAccess"
	if lines := f.lines(); lines[len(lines)-1] != want {
		t.Errorf("asked %v", lines)
	}
}

// TestDeployBringsTheURLUpToDate deploys with a url of function.yaml over what there is.
func TestDeployBringsTheURLUpToDate(t *testing.T) {
	for name, c := range map[string]struct {
		wish string
		have string // the mode of the address that there is; "" is none
		want []string
		told bool
	}{
		"new":     {"stream", "", []string{"POST " + urlPath, permissionsPath, permissionsPath}, true},
		"same":    {"buffered", "BUFFERED", nil, true},
		"another": {"stream", "BUFFERED", []string{"PUT " + urlPath}, true},
		"away":    {"off", "BUFFERED", []string{"DELETE " + urlPath, "DELETE /2015-03-31/functions/hello/policy/FunctionURLAllowPublicAccess", "DELETE /2015-03-31/functions/hello/policy/FunctionURLInvokeAllowPublicAccess"}, false},
		"none":    {"off", "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := serverWithRuntimes(t, map[string]http.HandlerFunc{
				"POST " + urlPath: says(201, "", urlConfig("RESPONSE_STREAM")), "PUT " + urlPath: says(200, "", urlConfig("RESPONSE_STREAM")), "DELETE " + urlPath: says(204, "", ""),
				permissionsPath: says(201, "", map[string]any{"Statement": "{}"}),
			})
			if c.have != "" {
				f.answers["GET "+urlPath] = says(200, "", urlConfig(c.have))
			}
			f.answers[createPath] = f.becomes(201, active(nil))
			got := runKiln(t, []string{"KILN_ENDPOINT=" + f.URL}, "", "deploy", pythonFolder(t, "url: "+c.wish+"\n"))
			if got.code != 0 || strings.Contains(got.talk, "curl "+helloURL) != c.told {
				t.Fatalf("got %+v", got)
			}
			var changes []string
			for _, line := range f.lines() {
				if strings.Contains(line, "/url") && !strings.HasPrefix(line, "GET ") || strings.Contains(line, "/policy") {
					changes = append(changes, line)
				}
			}
			if !slices.Equal(changes, c.want) {
				t.Errorf("asked %v\nwant  %v", changes, c.want)
			}
		})
	}
	if got := runKiln(t, nil, "", "deploy", pythonFolder(t, "url: yes\n")); got.code != 2 || !strings.Contains(got.talk, "buffered, stream or off is expected") {
		t.Errorf("got %+v", got)
	}
}
