package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"kiln"
	"kiln/door/auth/policy"
	"kiln/door/lambda"
)

// permission is one statement of a function's policy as AddPermission makes it; members
// are sent in this order.
type permission struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// policyDocument is the policy of a function: statements as they were made or sent.
type policyDocument struct {
	Version   string            `json:",omitempty"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

// readPolicy reads the document of a policy, a new one from an empty text. A statement
// that stands alone becomes a list of one.
func readPolicy(document string) (*policyDocument, error) {
	if document == "" {
		return &policyDocument{Version: "2012-10-17", ID: "default"}, nil
	}
	var loose struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(document), &loose); err != nil {
		return nil, fmt.Errorf("policy in the catalog: %w", err)
	}
	d := &policyDocument{Version: loose.Version, ID: loose.ID}
	if bytes.HasPrefix(loose.Statement, []byte("[")) {
		if err := json.Unmarshal(loose.Statement, &d.Statement); err != nil {
			return nil, fmt.Errorf("policy in the catalog: %w", err)
		}
	} else {
		d.Statement = []json.RawMessage{loose.Statement}
	}
	return d, nil
}

// find gives the place of a statement, -1 when there is none.
func (d *policyDocument) find(sid string) int {
	for i, raw := range d.Statement {
		var s struct{ Sid string }
		if json.Unmarshal(raw, &s) == nil && s.Sid == sid {
			return i
		}
	}
	return -1
}

// text gives the document as it is kept and shown.
func (d *policyDocument) text() (string, error) {
	text, err := plainJSON(d)
	if err == nil && len(text) > kiln.MaxPolicySize {
		err = policyTooLong(len(text))
	}
	return text, err
}

// plainJSON writes JSON without the escapes that only HTML needs.
func plainJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func policyTooLong(size int) error {
	return &lambda.Error{Code: lambda.PolicyLengthExceededException, Message: fmt.Sprintf("The final policy size (%d) is bigger than the limit (%d).", size, kiln.MaxPolicySize)}
}

// newPermission makes the statement that a request asks for.
func newPermission(in *lambda.AddPermissionRequest, resource string) (*permission, error) {
	p := &permission{Sid: *in.StatementId, Effect: "Allow", Action: *in.Action, Resource: resource}
	who := *in.Principal
	switch {
	case who == "*":
		p.Principal = "*"
	case isService(who):
		p.Principal = map[string]string{"Service": who}
	case strings.HasPrefix(who, "arn:") && policy.IsPrincipal(who):
		p.Principal = map[string]string{"AWS": who}
	case policy.IsPrincipal(who):
		p.Principal = map[string]string{"AWS": "arn:aws:iam::" + who + ":root"}
	default:
		return nil, invalid("The provided principal was invalid. Please check the principal and try again.")
	}
	if in.FunctionUrlAuthType != nil && p.Action != "lambda:InvokeFunctionUrl" {
		return nil, invalid("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
	}
	if in.InvokedViaFunctionUrl != nil && p.Action != "lambda:InvokeFunction" {
		return nil, invalid("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")
	}
	if in.PrincipalOrgID != nil && who != "*" {
		return nil, invalid("PrincipalOrgID is only supported for the principal *")
	}
	add := func(operator, key string, v *string) {
		if v == nil || *v == "" {
			return
		}
		if p.Condition == nil {
			p.Condition = map[string]map[string]string{}
		}
		if p.Condition[operator] == nil {
			p.Condition[operator] = map[string]string{}
		}
		p.Condition[operator][key] = *v
	}
	add("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	add("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	add("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	add("StringEquals", "lambda:FunctionUrlAuthType", in.FunctionUrlAuthType)
	add("ArnLike", "AWS:SourceArn", in.SourceArn)
	if in.InvokedViaFunctionUrl != nil {
		add("Bool", "lambda:InvokedViaFunctionUrl", text(fmt.Sprint(*in.InvokedViaFunctionUrl)))
	}
	return p, nil
}

// serviceDomains are what names of services end in.
var serviceDomains = []string{".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".amazon.com", ".aws.internal"}

// isService reports whether a principal is the name of a service: labels and dots, and
// a domain of the platform's.
func isService(s string) bool {
	return !strings.HasPrefix(s, ".") && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" &&
		slices.ContainsFunc(serviceDomains, func(domain string) bool { return strings.HasSuffix(s, domain) })
}

// errNoPolicy is AWS's answer where a policy is asked for and there is none.
var errNoPolicy = &lambda.Error{Code: lambda.ResourceNotFoundException, Message: "The resource you requested does not exist."}

// policyOwner reads what a request names of whose policy it is about: a function, a
// version or an alias; $LATEST has no policy of its own.
func (c *call) policyOwner(name string, qualifier *string) (kiln.FunctionID, kiln.Qualifier, error) {
	id, q, err := c.reference(name, qualifier)
	if err == nil && q == kiln.Latest {
		err = invalid("We currently do not support adding policies for $LATEST.")
	}
	return id, q, err
}
