package catalog_test

import (
	"errors"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"kiln"
)

func TestAPolicyIsKeptAndGoesWithWhatItIsOf(t *testing.T) {
	r := newRig(t)
	id := named("f")
	r.create(t, "f", "code")
	r.publish(t, "f")
	r.alias(t, "f", "live", "1")
	set := func(q kiln.Qualifier, revision, want string) (*kiln.Policy, error) {
		return r.ChangePolicy(t.Context(), id, q, revision, func(string) (string, error) { return want, nil })
	}
	has := func(q kiln.Qualifier, want string) *kiln.Policy {
		t.Helper()
		p, err := r.Policy(id, q)
		got := ""
		if p != nil {
			got = p.Document
		}
		if err != nil || got != want {
			t.Errorf("policy of %q is %q, %v; want %q", q, got, err, want)
		}
		return p
	}
	has("", "")
	for _, q := range []kiln.Qualifier{"", "1", "live"} {
		if _, err := set(q, "", "doc "+string(q)); err != nil {
			t.Fatal(err)
		}
	}
	has("$LATEST", "") // which has none of its own
	r.open(t)
	first := has("", "doc ")
	has("1", "doc 1")
	has("live", "doc live")

	if _, err := set("", "another", "x"); kiln.CodeOf(err) != kiln.Precondition {
		t.Errorf("an old revision: %v", err)
	}
	if _, err := set("live", first.RevisionID, "x"); kiln.CodeOf(err) != kiln.Precondition {
		t.Errorf("another policy's revision: %v", err)
	}
	boom := errors.New("boom")
	if _, err := r.ChangePolicy(t.Context(), id, "", first.RevisionID, func(string) (string, error) { return "x", boom }); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	has("", "doc ")
	second, err := set("", first.RevisionID, "next")
	if err != nil || second.RevisionID == first.RevisionID {
		t.Errorf("got %+v, %v", second, err)
	}
	if _, err := set("", "", ""); err != nil {
		t.Fatal(err)
	}
	has("", "")
	if _, err := set("", second.RevisionID, "x"); kiln.CodeOf(err) != kiln.Precondition {
		t.Errorf("the revision of a policy that is gone: %v", err)
	}
	for _, q := range []kiln.Qualifier{"2", "dead"} {
		if _, err := set(q, "", "x"); kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("policy of %s, which is not there: %v", q, err)
		}
		if _, err := r.Policy(id, q); kiln.CodeOf(err) != kiln.NotFound {
			t.Errorf("policy of %s, which is not there: %v", q, err)
		}
	}

	if err := r.DeleteAlias(t.Context(), id, "live"); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteVersion(t.Context(), id, "1"); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	r.alias(t, "f", "live", "$LATEST")
	has("live", "")
	if _, err := set("", "", "own"); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteFunction(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	r.create(t, "f", "code")
	has("", "")
}

// policy sets or takes away the policy of something that may be there.
func (m *machine) policy(t *rapid.T) {
	name := names.Draw(t, "name")
	q := rapid.SampledFrom([]string{"", "1", "2", "live", "beta"}).Draw(t, "qualifier")
	document := texts.Draw(t, "document")
	_, err := m.r.ChangePolicy(t.Context(), named(name), kiln.Qualifier(q), "", func(string) (string, error) { return document, nil })
	f := m.model[name]
	n, _ := strconv.Atoi(q) // 0 for a name
	if f == nil || q != "" && f.versions[n].content == "" && !has(f.aliases, q) {
		expect(t, err, kiln.NotFound)
		return
	}
	expect(t, err, "")
	if delete(f.policies, q); document != "" {
		f.policies[q] = document
	}
}

// checkPolicies compares the policies of a function, its versions and its aliases.
func (m *machine) checkPolicies(t *rapid.T, id kiln.FunctionID, f *modelFunction) {
	owners := []string{""}
	for n := range f.versions {
		owners = append(owners, strconv.Itoa(n))
	}
	for alias := range f.aliases {
		owners = append(owners, alias)
	}
	for _, q := range owners {
		p, err := m.r.Policy(id, kiln.Qualifier(q))
		expect(t, err, "")
		got := ""
		if p != nil {
			got = p.Document
			m.reached["a policy"]++
		}
		if got != f.policies[q] {
			t.Errorf("%s: the policy of %q is %q, want %q", id, q, got, f.policies[q])
		}
	}
}
