package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestEveryListThatIsServedComesInPages walks every list that the SDKs page through, in
// pages of one and of two, and wants all of it once and in the order of the whole list.
func TestEveryListThatIsServedComesInPages(t *testing.T) {
	b, err := os.ReadFile("../../model/paginators.json")
	if err != nil {
		t.Fatal(err)
	}
	var paginators struct {
		Pagination map[string]struct {
			InputToken  string `json:"input_token"`
			OutputToken string `json:"output_token"`
			LimitKey    string `json:"limit_key"`
			ResultKey   string `json:"result_key"`
		}
	}
	if err := json.Unmarshal(b, &paginators); err != nil {
		t.Fatal(err)
	}
	p, m := newPort(t), readModel(t)
	for i, f := range []string{"a", "b", "c"} {
		p.create(f, nil)
		p.do("PUT", "/2015-03-31/functions/a/configuration", fmt.Sprintf(`{"Timeout":%d}`, i+1))
		p.settle()
		wants(t, "version", p.do("POST", "/2015-03-31/functions/a/versions", "{}"), 201)
		alias := "alias" + f
		wants(t, "alias", p.do("POST", "/2015-03-31/functions/a/aliases", fmt.Sprintf(`{"Name":%q,"FunctionVersion":"%d"}`, alias, i+1)), 201)
		wants(t, "URL", p.do("POST", "/2021-10-31/functions/a/url?Qualifier="+alias, `{"AuthType":"NONE"}`), 201)
		wants(t, "events", p.do("PUT", "/2019-09-25/functions/a/event-invoke-config?Qualifier="+alias, `{"MaximumRetryAttempts":0}`), 200)
		wants(t, "provisioned", p.do("PUT", "/2019-09-30/functions/a/provisioned-concurrency?Qualifier="+alias, `{"ProvisionedConcurrentExecutions":1}`), 202)
		layer := text(t, map[string]any{"Content": map[string]any{"ZipFile": code(t, f)}})
		wants(t, "layer", p.do("POST", "/2018-10-31/layers/"+f+"/versions", layer), 201)
		wants(t, "layer version", p.do("POST", "/2018-10-31/layers/a/versions", layer), 201)
	}
	// Whose lists are tried elsewhere, with what they list.
	elsewhere := map[string]string{"ListEventSourceMappings": "engine/mapping"}
	walked := 0
	for _, operation := range slices.Sorted(maps.Keys(paginators.Pagination)) {
		by := paginators.Pagination[operation]
		get := func(query url.Values) reply {
			target := strings.NewReplacer("{FunctionName}", "a", "{LayerName}", "a").Replace(m.Operations[operation].HTTP.RequestURI)
			if len(query) > 0 {
				target += map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")] + query.Encode()
			}
			return p.do("GET", target, "")
		}
		whole := get(nil)
		if whole.status == 501 || elsewhere[operation] != "" || strings.Contains(operation, "Durable") || strings.Contains(operation, "CapacityProvider") || strings.Contains(operation, "CodeSigning") {
			continue
		}
		all, _ := wants(t, operation, whole, 200).members(t)[by.ResultKey].([]any)
		if len(all) < 3 || whole.members(t)[by.OutputToken] != nil {
			t.Errorf("%s: %d items to page through", operation, len(all))
			continue
		}
		walked++
		for _, size := range []int{1, 2, len(all)} {
			var got []any
			query := url.Values{by.LimitKey: {fmt.Sprint(size)}}
			for range len(all) + 1 {
				page := wants(t, operation, get(query), 200).members(t)
				items := page[by.ResultKey].([]any)
				got = append(got, items...)
				next, more := page[by.OutputToken].(string)
				if len(items) > size || !more && page[by.OutputToken] != nil {
					t.Errorf("%s: page of %d: %v", operation, size, page)
				}
				if !more {
					break
				}
				query.Set(by.InputToken, next)
			}
			if !reflect.DeepEqual(got, all) {
				t.Errorf("%s in pages of %d:\ngot  %v\nwant %v", operation, size, got, all)
			}
		}
		for query, exception := range map[string]string{"Marker=never+given": "InvalidParameterValueException", "Marker=MTo": "", "MaxItems=0": "ValidationException", "MaxItems=10001": "ValidationException", "MaxItems=two": "SerializationException"} {
			v, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			if got := get(v); got.header.Get("X-Amzn-Errortype") != exception {
				t.Errorf("%s?%s: got %d %s", operation, query, got.status, got.body)
			}
		}
	}
	if walked < 8 {
		t.Errorf("only %d lists were walked", walked)
	}
}
