package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"kiln/test/harness"
)

// Group D: the function looks for what it can reach. All servers of these tests run
// in a network that plays the host; nothing leaves it. What is asserted does not
// depend on whether functions have outbound connections.

// unreachable are the answers to a connection that nobody took.
var unreachable = []string{"ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "EACCES", "EPERM", "timeout", "EADDRNOTAVAIL", "EINVAL"}

func TestD01AddressesOfTheHostAndOfMetadataAreOutOfReach(t *testing.T) {
	w := newWorld(t)
	var listeners []*listener
	var addresses []string
	for _, a := range []string{metadata4 + ":80", "[" + metadata6 + "]:80", credents4 + ":80", host4 + ":8080", "[" + host6 + "]:8080", docker4 + ":2375", "127.0.0.1:8081", "[::1]:8081"} {
		listeners = append(listeners, w.host.listen(t, a))
		addresses = append(addresses, a)
	}
	w.mustReach(t, addresses, "from the host")
	x := w.serve(t).trial(t)
	name := x.attacker(t, "")
	r := x.ask(t, name, event{Do: "dial", Dial: addresses, Text: "from inside", Millis: 1500})
	r.refused(t, unreachable, nil)
	// The gateway and every other way to the host, on the ports that are open there.
	var more []string
	for _, host := range append([]string{"0.0.0.0", "[::]", "localhost", "169.254.77.1", router4, "[::ffff:127.0.0.1]", "[::ffff:" + metadata4 + "]"}, gatewaysOf(r)...) {
		for _, port := range []string{"80", "8080", "8081", "2375"} {
			more = append(more, host+":"+port)
		}
	}
	for address, got := range x.ask(t, name, event{Do: "dial", Dial: more, Text: "from inside", Millis: 1500}).Results {
		if got == "ok" {
			t.Errorf("%s can be reached", address)
		}
	}
	// Who comes last is heard last.
	w.mustReach(t, addresses, "at last")
	for _, l := range listeners {
		if err := within(30*time.Second, func() bool { return slices.Contains(l.heard(), "at last") }); err != nil {
			t.Errorf("the listener on %s does not hear: %q", l.Addr(), l.heard())
		}
		for _, text := range l.heard() {
			if text != "from the host" && text != "at last" {
				t.Errorf("the listener on %s heard %q", l.Addr(), text)
			}
		}
	}
}

// gatewaysOf gives addresses of gateways that a function knows of; an environment
// without outbound connections knows none.
func gatewaysOf(r report) []string {
	var all []string
	for name, text := range r.Texts {
		if strings.HasPrefix(name, "gateway") {
			all = append(all, text)
		}
	}
	return all
}

func TestD02TheServersOwnListenersAreOutOfReach(t *testing.T) {
	w := newWorld(t)
	p := w.serve(t, "--console", "127.0.0.1:0")
	x := p.trial(t)
	var lock struct{ Endpoint, Console string }
	text, err := os.ReadFile(filepath.Join(p.server.Data, "kiln.lock"))
	if err != nil || json.Unmarshal(text, &lock) != nil || lock.Console == "" {
		t.Fatalf("the lock does not say where the console is: %v %s", err, text)
	}
	port := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return u.Port()
	}
	api, console := port(lock.Endpoint), port(lock.Console)
	w.mustReach(t, []string{"127.0.0.1:" + api, "127.0.0.1:" + console}, "")
	secret := "/_kiln/v1/environments"
	if r := w.control(t, event{Do: "api", Paths: []string{lock.Endpoint + secret, lock.Console + "/"}, Millis: 2000}); r.Results[lock.Endpoint+secret] != "200" || r.Results[lock.Console+"/"] != "200" {
		t.Errorf("on the host the server's own routes answer %v", r.Results)
	}

	name := x.attacker(t, "")
	hosts := []string{"127.0.0.1", "[::1]", "0.0.0.0", "[::]", "localhost", host4, docker4, "[" + host6 + "]", "169.254.77.1"}
	var dials []string
	for _, host := range hosts {
		for _, port := range []string{console, "4222", "6060", "9002"} {
			dials = append(dials, host+":"+port)
		}
	}
	for address, got := range x.ask(t, name, event{Do: "dial", Dial: dials, Millis: 1500}).Results {
		if got == "ok" {
			t.Errorf("%s can be reached", address)
		}
	}
	// The API may be reached, as the function's own role, at the address that it has
	// outside; what is the server's own may not.
	var urls []string
	for _, host := range hosts {
		for _, path := range []string{secret, "/_kiln/v1/runtimes", "/_kiln/v1/logs?function=neighbour", "/metrics", "/debug/pprof/"} {
			urls = append(urls, "http://"+host+":"+api+path)
		}
	}
	r := x.ask(t, name, event{Do: "api", Paths: urls, Millis: 1500})
	if len(r.Results) != len(urls) {
		t.Errorf("%d of %d addresses were tried", len(r.Results), len(urls))
	}
	for u, got := range r.Results {
		if got == "200" || strings.Contains(r.Texts[u], neighbour) {
			t.Errorf("%s answers %s: %.200s", u, got, r.Texts[u])
		}
	}
}

func TestD05NobodyAnswersForAnother(t *testing.T) {
	x := common(t).trial(t)
	victim, thief := x.attacker(t, "victim"), x.attacker(t, "thief")
	for _, f := range []string{victim, thief} {
		if err := x.ping(f); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		r := x.ask(t, victim, event{Do: "work", Millis: 2500, Limit: 4 * mega})
		if r.Numbers["to"] == 0 {
			t.Errorf("the victim's caller got %v", r)
		}
	})
	defer all.Wait()
	// The id of the request that the victim serves now.
	started := regexp.MustCompile(`START RequestId: ([0-9a-f-]{36})`)
	var id string
	err := within(20*time.Second, func() bool {
		log := x.logOf(t, victim)
		starts := started.FindAllStringSubmatch(log, -1)
		if len(starts) == 0 || strings.Contains(log, "END RequestId: "+starts[len(starts)-1][1]) {
			return false
		}
		id = starts[len(starts)-1][1]
		return true
	})
	if err != nil {
		t.Fatal("the victim's request was not seen")
	}
	r := x.ask(t, thief, event{Do: "impersonate", Paths: []string{id}})
	for _, verb := range []string{"response", "error"} {
		if status := r.Numbers[verb+" "+id]; status < 400 || status > 499 {
			t.Errorf("a forged %s got status %d, want a 4xx", verb, status)
		}
	}
	if r.Texts["own"] == id {
		t.Error("the thief attacked itself")
	}
}

func TestD07SecretsOfOneEnvironmentAreNotThoseOfAnother(t *testing.T) {
	x := common(t).trial(t)
	one, other := x.attacker(t, "one"), x.attacker(t, "other")
	a, b := x.ask(t, one, event{Do: "identity"}), x.ask(t, other, event{Do: "identity"})
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		if a.Texts[name] == b.Texts[name] || a.Numbers[name] < 20 {
			t.Errorf("%s: two functions have the same, or one of %d bytes", name, a.Numbers[name])
		}
	}
	if a.Numbers["uid"] == b.Numbers["uid"] || a.Numbers["uid"] == 0 {
		t.Errorf("two functions are the users %d and %d", a.Numbers["uid"], b.Numbers["uid"])
	}
	// Two environments of one function, at the same time.
	seen := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			out := x.call(t, one, event{Do: "work", Millis: 300, Limit: 4 * mega})
			reportOf(t, out.Payload)
		})
	}
	all.Wait()
	for range 4 {
		all.Go(func() {
			r := x.ask(t, one, event{Do: "identity"})
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprint(r.Numbers["uid"], r.Texts["AWS_SECRET_ACCESS_KEY"])] = true
		})
	}
	all.Wait()
	uids := map[string]bool{}
	for s := range seen {
		uids[strings.Fields(s)[0]] = true
	}
	if len(uids) != len(seen) {
		t.Errorf("environments share a user or a secret: %v", seen)
	}
}

func TestD07NoKeyMakesAFunctionSomebodyElse(t *testing.T) {
	x := common(t).trial(t)
	thief := x.attacker(t, "")
	other, secret := "222222222222", "function-of-another-account"
	owner := x.server.ClientOf(other)
	harness.Create(t, owner, secret, "provided.al2023", "bootstrap", attackerZip(t))
	t.Cleanup(func() {
		if _, err := owner.DeleteFunction(context.Background(), &lambda.DeleteFunctionInput{FunctionName: aws.String(secret)}); err != nil {
			t.Error(err)
		}
	})
	paths := []string{"/2015-03-31/functions/", "/2015-03-31/functions/" + secret, "/2015-03-31/functions/arn:aws:lambda:" + harness.Region + ":" + other + ":function:" + secret}
	// On the host, where signatures are not asked for, the key says who one is.
	outside := control(t, event{Do: "signed", Text: other, Paths: paths, Dir: harness.Region, Marker: x.server.URL})
	if outside.Results[paths[0]] != "200" || !strings.Contains(outside.Texts[paths[0]], secret) || outside.Results[paths[1]] != "200" {
		t.Fatalf("the key of the other account opens nothing on the host: %v", outside.Results)
	}
	// Inside, one's own key and token open one's own account.
	own := x.ask(t, thief, event{Do: "signed", Text: harness.Account, Token: "own", Paths: paths, Dir: harness.Region})
	if own.Texts["endpoint"] == "" || own.Results[paths[0]] != "200" || !strings.Contains(own.Texts[paths[0]], thief) || strings.Contains(own.Texts[paths[0]], secret) {
		t.Fatalf("inside, at %q, one's own key gives %v: nothing was tried", own.Texts["endpoint"], own.Results)
	}
	victim := x.attacker(t, "victim")
	token := x.ask(t, victim, event{Do: "remember"}).Texts["AWS_SESSION_TOKEN"]
	if token == "" {
		t.Fatal("the victim has no token")
	}
	for _, key := range []string{other, harness.Account, "AKIAIOSFODNN7EXAMPLE", ""} {
		for name, with := range map[string]string{"no token": "", "its own token": "own", "another's token": token, "a made-up token": "made up"} {
			r := x.ask(t, thief, event{Do: "signed", Text: key, Token: with, Paths: paths, Dir: harness.Region})
			for _, p := range paths {
				got := r.Results[p]
				if got == "" || got == "200" && strings.Contains(r.Texts[p], secret) {
					t.Errorf("with the key %q and %s, %s gave %q: %.300s", key, name, p, got, r.Texts[p])
				}
				if (name == "another's token" || name == "a made-up token") && got != "401" && got != "403" {
					t.Errorf("with the key %q and %s, %s gave %q, want 401 or 403", key, name, p, got)
				}
			}
		}
	}
}

// withoutOutbound are the flags of a server whose functions have no way out.
var withoutOutbound = []string{"--network", "none"}

func TestD09NoNameLeavesAFunctionWithoutOutbound(t *testing.T) {
	w := newWorld(t)
	packets := w.host.watch(t)
	servers := []string{host4 + ":53", router4 + ":53", "8.8.8.8:53", "127.0.0.53:53", "[" + host6 + "]:53"}
	// On the host the same questions leave traces.
	w.control(t, event{Do: "lookup", Paths: []string{"outsidecanary.example.com"}, Dial: servers, Millis: 500})
	w.control(t, event{Do: "send", Dial: []string{host4 + ":53", router4 + ":53"}, Text: "outsidetext"})
	if err := within(5*time.Second, func() bool { return packets("outsidecanary") > 0 && packets("outsidetext") > 0 }); err != nil {
		t.Fatalf("without a sandbox %d questions and %d datagrams were seen: this attack proves nothing", packets("outsidecanary"), packets("outsidetext"))
	}
	x := w.serve(t, withoutOutbound...).trial(t)
	name := x.attacker(t, "")
	r := x.ask(t, name, event{Do: "lookup", Paths: []string{"insidecanary.example.com"}, Dial: servers, Millis: 500})
	for what, got := range r.Results {
		if got == "ok" {
			t.Errorf("%s: a name was resolved", what)
		}
	}
	s := x.ask(t, name, event{Do: "send", Dial: append(servers, metadata4+":80", "255.255.255.255:53", "224.0.0.251:5353", "[ff02::fb]:5353"), Text: "insidetext"})
	if len(r.Results) < 5 || len(s.Results) < 5 {
		t.Errorf("only %d questions and %d datagrams were tried", len(r.Results), len(s.Results))
	}
	// The event that asks for it names the canary, too: it travels over loopback as
	// JSON and not as a question (the length of a label before it) or a bare datagram.
	if n := packets("\x0cinsidecanary"); n > 0 {
		t.Errorf("%d packets asked for the name", n)
	}
	if n := packets("insidetext") - packets(`"insidetext"`) - packets(`\"insidetext`); n > 0 {
		t.Errorf("%d datagrams left", n)
	}
}
