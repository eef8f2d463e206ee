package url_test

import (
	"testing"

	"kiln"
)

func TestCORSIsAnsweredByTheURL(t *testing.T) {
	yes, no, age := true, false, 600
	const page = "https://page.example"
	for name, c := range map[string]struct {
		cors      kiln.CORS
		origin    string
		preflight map[string]string
		answer    map[string]string
	}{
		"star": {kiln.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"GET", "PUT"}, AllowHeaders: []string{"x-a", "x-b"}, ExposeHeaders: []string{"x-c"}, MaxAge: &age, AllowCredentials: &no}, page,
			map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET,PUT", "Access-Control-Allow-Headers": "x-a,x-b", "Access-Control-Max-Age": "600", "Access-Control-Allow-Credentials": "", "Access-Control-Expose-Headers": "", "Vary": ""},
			map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "x-c", "Access-Control-Allow-Methods": ""}},
		"named": {kiln.CORS{AllowOrigins: []string{"https://other.example", page + "/"}}, page,
			map[string]string{"Access-Control-Allow-Origin": page, "Vary": "Origin", "Access-Control-Max-Age": ""}, map[string]string{"Access-Control-Allow-Origin": page, "Vary": "Origin"}},
		"not named": {kiln.CORS{AllowOrigins: []string{"https://other.example"}, AllowMethods: []string{"*"}}, page,
			map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "", "Vary": "Origin"}, map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}},
		"credentials": {kiln.CORS{AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, AllowCredentials: &yes}, page,
			map[string]string{"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "x-a"}, map[string]string{"Access-Control-Allow-Origin": page, "Access-Control-Allow-Credentials": "true"}},
		"no origin": {kiln.CORS{AllowOrigins: []string{"*"}}, "", nil, map[string]string{"Access-Control-Allow-Origin": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.config.CORS = &c.cors
			s.returns(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"https://function.example","Access-Control-Allow-Methods":"X"}}`)
			headers := []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-a"}
			if c.origin != "" {
				headers = append(headers, "Origin", c.origin)
			}
			if c.preflight != nil {
				got := s.do("OPTIONS", "/", "", headers...)
				if got.status != 200 || got.body != "" || s.seen != nil {
					t.Errorf("preflight: got %d %q, run %v", got.status, got.body, s.seen != nil)
				}
				for h, want := range c.preflight {
					if v := got.header.Get(h); v != want {
						t.Errorf("preflight: %s is %q, want %q", h, v, want)
					}
				}
			}
			got := s.do("PUT", "/", "", headers...)
			if got.status != 200 || s.seen == nil {
				t.Errorf("got %d", got.status)
			}
			for h, want := range c.answer {
				if v := got.header.Get(h); v != want {
					t.Errorf("%s is %q, want %q", h, v, want)
				}
			}
		})
	}
}

func TestWithoutCORSTheFunctionSpeaksForItself(t *testing.T) {
	s := newSite(t)
	s.returns(`{"statusCode":204,"headers":{"Access-Control-Allow-Origin":"https://function.example"}}`)
	got := s.do("OPTIONS", "/", "", "Origin", "https://page.example", "Access-Control-Request-Method", "PUT")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "https://function.example" || s.seen == nil {
		t.Errorf("got %d %v", got.status, got.header)
	}
}

func TestUnderAPathAnAnswerIsKeptApartFromItsOrigin(t *testing.T) {
	s := newSite(t)
	s.prefix = "/_kiln/url/" + id
	s.returns(`{"statusCode":200,"headers":{"Content-Security-Policy":"default-src 'self'","Clear-Site-Data":"*","Set-Cookie":"x=y","X-A":"b"},"cookies":["a=1; Domain=localhost; Path=/p; HttpOnly","b=2","=broken"]}`)
	got := s.do("GET", "/", "")
	if csp := got.header["Content-Security-Policy"]; len(csp) != 2 || csp[1] != "sandbox" {
		t.Errorf("got %v", csp)
	}
	if got.header.Get("Clear-Site-Data") != "" || got.header.Get("X-A") != "b" {
		t.Errorf("got %v", got.header)
	}
	cookies := got.header["Set-Cookie"]
	if len(cookies) != 2 || cookies[0] != "a=1; Path="+s.prefix+"/p; HttpOnly" || cookies[1] != "b=2; Path="+s.prefix+"/" {
		t.Errorf("got %q", cookies)
	}
	s.returns("no JSON")
	if got := s.do("GET", "/", ""); got.status != 502 || got.header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("got %d %v", got.status, got.header)
	}
	s.streams("text/html", kiln.Outcome{}, "<p>")
	if got := s.do("GET", "/", ""); got.header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("got %v", got.header)
	}
}
