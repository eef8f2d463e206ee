package api

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strings"

	"kiln/door/lambda"
)

// unserved answers a request that no row takes: it names the service that was meant,
// so that whoever pointed a client of another service here sees it at once.
func (s *Server) unserved(w http.ResponseWriter, r *http.Request, c *call) {
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
	var b bytes.Buffer
	b.WriteString(xml.Header + "<ErrorResponse><Error><Type>Sender</Type><Code>NotImplemented</Code><Message>")
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	b.WriteString("</Message></Error><RequestId>" + c.id + "</RequestId></ErrorResponse>")
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusNotImplemented)
	_, _ = w.Write(b.Bytes()) // the caller has gone; there is nobody to tell
}

// orUnknown names a service for a sentence.
func orUnknown(service string) string {
	if service == "" {
		return "another service"
	}
	return "the service " + service
}
