package kiln

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// LayerID names a layer: the key of its versions.
type LayerID struct {
	Scope
	Name string
}

// String gives account, region and name in a form fit for logs and keys.
func (id LayerID) String() string { return id.Account + "/" + id.Region + "/" + id.Name }

// ARN gives the ARN of the layer itself.
func (id LayerID) ARN() string {
	return "arn:aws:lambda:" + id.Region + ":" + id.Account + ":layer:" + id.Name
}

// VersionARN gives the ARN of a version of the layer.
func (id LayerID) VersionARN(number int) string { return id.ARN() + ":" + strconv.Itoa(number) }

// LayerVersion is files that functions share, numbered and immutable; only who may
// use it changes. Functions that have it go on having it when it is deleted.
type LayerVersion struct {
	Layer         LayerID
	Number        int
	Package       Package
	Description   string
	License       string
	Runtimes      []string // that it says it is for; nothing is held to them
	Architectures []string
	Created       time.Time
	Policy        LayerPolicy
}

// ARN gives the ARN of the version.
func (v *LayerVersion) ARN() string { return v.Layer.VersionARN(v.Number) }

// LayerPolicy says which other accounts may use a layer version. RevisionID changes
// with every change and is "" where there was none.
type LayerPolicy struct {
	Statements []LayerStatement
	RevisionID string
}

// LayerStatement is one permission.
type LayerStatement struct {
	ID           string // of the statement, as its writer named it
	Action       string // lambda:GetLayerVersion
	Principal    string // twelve digits, the ARN of an account's root, or *
	Organization string // only accounts of this organization; "" is any
}

// Document gives the statement as IAM writes it, for the layer version of an ARN.
func (s LayerStatement) Document(resource string) json.RawMessage {
	doc := struct {
		Sid       string
		Effect    string
		Principal any
		Action    string
		Resource  string
		Condition map[string]map[string]string `json:",omitempty"`
	}{Sid: s.ID, Effect: "Allow", Principal: s.Principal, Action: s.Action, Resource: resource}
	if s.Principal != "*" {
		arn := s.Principal
		if isAccount(arn) {
			arn = "arn:aws:iam::" + arn + ":root"
		}
		doc.Principal = map[string]string{"AWS": arn}
	}
	if s.Organization != "" {
		doc.Condition = map[string]map[string]string{"StringEquals": {"aws:PrincipalOrgID": s.Organization}}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic("kiln: statement cannot be encoded: " + err.Error()) // only texts are in it
	}
	return text
}

// PolicyDocument gives all that the policy says as one IAM document, "" when it says
// nothing.
func (v *LayerVersion) PolicyDocument() string {
	if len(v.Policy.Statements) == 0 {
		return ""
	}
	doc := struct {
		Version   string
		Id        string
		Statement []json.RawMessage
	}{Version: "2012-10-17", Id: "default"}
	for _, s := range v.Policy.Statements {
		doc.Statement = append(doc.Statement, s.Document(v.ARN()))
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic("kiln: policy cannot be encoded: " + err.Error()) // its statements are JSON
	}
	return string(text)
}

// SharedWith reports whether an account may use the version: its own always, another
// one when a statement names it. Kiln knows no organizations, so that a statement
// that is bound to one lets nobody in.
func (v *LayerVersion) SharedWith(account string) bool {
	if account == v.Layer.Account {
		return true
	}
	for _, s := range v.Policy.Statements {
		named := s.Principal == "*" || s.Principal == account || strings.HasSuffix(s.Principal, ":iam::"+account+":root")
		if named && s.Organization == "" {
			return true
		}
	}
	return false
}

// LayerUse is a layer version that a function has. The package is settled when the
// configuration is set, so that a layer version that is deleted goes on working.
type LayerUse struct {
	ARN     string
	Package Package
}

// LayersDigest names what the packages of layers make together, in their order: equal
// lists of packages have equal digests. It is "" for none, and the package's own for
// one.
func LayersDigest(list []LayerUse) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0].Package.SHA256
	}
	sum := sha256.New()
	sum.Write([]byte("layers"))
	for _, l := range list {
		sum.Write([]byte("\n" + l.Package.SHA256))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// ParseLayerARN reads the ARN of a layer version, or, with number 0, of a layer.
func ParseLayerARN(arn string) (id LayerID, number int, ok bool) {
	parts := strings.Split(arn, ":")
	if len(parts) < 7 || len(parts) > 8 || parts[0] != "arn" || parts[2] != "lambda" || parts[5] != "layer" || !isAccount(parts[4]) || parts[3] == "" || !IsName(parts[6]) {
		return LayerID{}, 0, false
	}
	id = LayerID{Scope: Scope{Account: parts[4], Region: parts[3]}, Name: parts[6]}
	if len(parts) == 7 {
		return id, 0, true
	}
	number, err := strconv.Atoi(parts[7])
	if err != nil || number < 1 || strconv.Itoa(number) != parts[7] {
		return LayerID{}, 0, false
	}
	return id, number, true
}
