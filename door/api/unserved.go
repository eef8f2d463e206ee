package api

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"strings"

	"kiln/door/auth"
	"kiln/door/lambda"
)

// Service is a small neighbour on the same port: another service of AWS, as far as
// clients of Lambda need it. Who asks was found out before, and the body was held to
// the signature.
type Service interface {
	ServeAWS(w http.ResponseWriter, r *http.Request, who auth.Identity, requestID string)
}

// serviceOf gives the service that a request is signed for, "" when it is not.
func serviceOf(r *http.Request) string {
	service, _ := auth.ServiceOf(r) // a malformed signature is refused when it is read for what it says
	return service
}

// queryErrors are the names that errors of signatures have in services that speak XML.
var queryErrors = map[string]string{
	lambda.UnrecognizedClientException: "InvalidClientTokenId", lambda.InvalidSignatureException: "SignatureDoesNotMatch", lambda.MissingAuthenticationTokenException: "MissingAuthenticationToken",
	lambda.IncompleteSignatureException: "IncompleteSignature", lambda.ExpiredTokenException: "ExpiredToken", lambda.AccessDeniedException: "AccessDenied",
}

// writeForeignError answers with an error in the form that the service has which a
// request is for: XML, or JSON for those that name a target.
func writeForeignError(w http.ResponseWriter, c *call, err error) {
	var e *lambda.Error
	switch {
	case !errors.As(err, &e) || serviceOf(c.request) == "lambda":
		lambda.WriteError(w, err)
		return
	case c.request.Header.Get("X-Amz-Target") != "":
		jsonError(w, e)
		return
	}
	code, status := queryErrors[e.Code], http.StatusForbidden
	if code == "" {
		code = e.Code
	}
	if code == e.Code || code == "IncompleteSignature" {
		status = http.StatusBadRequest
	}
	xmlError(w, status, code, e.Message, c.id)
}

// jsonError sends an error in the form of the services whose requests have a target:
// clients read its type from the body.
func jsonError(w http.ResponseWriter, e *lambda.Error) {
	status := http.StatusForbidden
	if e.Code == lambda.IncompleteSignatureException || queryErrors[e.Code] == "" {
		status = http.StatusBadRequest
	}
	body, err := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.Code, e.Message})
	if err != nil {
		lambda.WriteError(w, err)
		return
	}
	w.Header()["X-Amzn-Errortype"] = []string{e.Code}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone; there is nobody to tell
}

// xmlError sends an error as XML.
func xmlError(w http.ResponseWriter, status int, code, text, id string) {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>")
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	b.WriteString("</Message></Error><RequestId>" + id + "</RequestId></ErrorResponse>")
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the caller has gone; there is nobody to tell
}

// unserved answers a request that no row takes: it names the service that was meant,
// so that whoever pointed a client of another service here sees it at once.
func (s *Server) unserved(w http.ResponseWriter, r *http.Request, c *call) {
	if neighbour := s.o.Services[c.Service]; neighbour != nil {
		neighbour.ServeAWS(w, r, c.Identity, c.id)
		return
	}
	target := r.Header.Get("X-Amz-Target")
	action := r.URL.Query().Get("Action")
	service := c.Service
	if name, _, ok := strings.Cut(target, "."); service == "" && ok {
		service = name
	}
	if service == "" && target == "" && action == "" {
		lambda.WriteError(w, &lambda.Error{Code: lambda.UnknownOperationException,
			Message: "kiln serves the AWS Lambda API at this address; nothing is at " + clip(r.URL.EscapedPath())})
		return
	}
	text := "kiln serves AWS Lambda only; this request is for " + clip(orUnknown(service))
	if operation := clip(target + action); operation != "" {
		text += " (" + operation + ")"
	}
	if target != "" || service == "lambda" || strings.Contains(r.Header.Get("Content-Type"), "json") {
		lambda.WriteError(w, &lambda.Error{Code: lambda.NotImplementedException, Message: text})
		return
	}
	// The other protocols of AWS read errors as XML.
	xmlError(w, http.StatusNotImplemented, "NotImplemented", text, c.id)
}

// orUnknown names a service for a sentence.
func orUnknown(service string) string {
	if service == "" {
		return "another service"
	}
	return "the service " + service
}
