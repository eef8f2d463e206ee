package policy

import "strings"

// Principal is who asks, as it is written in policies. The zero Principal is nobody: a
// caller who did not say who it is.
type Principal struct {
	ARN     string // of the user, the root of an account or the session of a role
	Account string // that it belongs to
	Role    string // ARN of the role, for a session
	Service string // such as s3.amazonaws.com; then nothing else is set
	Type    string // as the key aws:PrincipalType has it: Account, User, AssumedRole, Anonymous
	UserID  string // as the key aws:userid has it
	Name    string // of a user, as the key aws:username has it
}

// IsRoot reports whether it is an account itself.
func (p *Principal) IsRoot() bool { return p.Type == "Account" }

// bond is how an element Principal names somebody.
type bond uint8

const (
	unnamed bond = iota
	account      // by the account, which then decides with its own policies
	direct       // itself
)

// principals is an element Principal or NotPrincipal.
type principals struct {
	everybody bool
	accounts  []string
	arns      []string
	services  []string
}

// readPrincipals reads "*" or {"AWS": …, "Service": …}. Federated and canonical users
// are read, and are nobody here.
func readPrincipals(v any) (*principals, error) {
	p := &principals{}
	if v == "*" {
		p.everybody = true
		return p, nil
	}
	kinds, ok := v.(members)
	if !ok || len(kinds) == 0 {
		return nil, malformed("Invalid principal in policy")
	}
	for _, k := range kinds {
		list, err := texts(k.value, "Principal")
		if err != nil {
			return nil, err
		}
		switch k.name {
		case "AWS":
			for _, name := range list {
				if err := p.add(name); err != nil {
					return nil, err
				}
			}
		case "Service":
			p.services = append(p.services, list...)
		case "Federated", "CanonicalUser":
		default:
			return nil, malformed("Invalid principal in policy: %q", clip(k.name))
		}
	}
	return p, nil
}

// add takes one principal of the kind AWS.
func (p *principals) add(name string) error {
	switch {
	case name == "*":
		p.everybody = true
	case isAccount(name):
		p.accounts = append(p.accounts, name)
	case isPrincipalARN(name) && strings.HasSuffix(name, ":root"):
		p.accounts = append(p.accounts, strings.Split(name, ":")[4])
	case isPrincipalARN(name):
		p.arns = append(p.arns, name)
	default:
		return malformed("Invalid principal in policy: \"AWS\":%q", clip(name))
	}
	return nil
}

// bondOf says whether and how somebody is named.
func (p *principals) bondOf(who *Principal) bond {
	if p.everybody {
		return direct
	}
	for _, s := range p.services {
		if s == who.Service || s == "*" && who.Service != "" {
			return direct
		}
	}
	for _, arn := range p.arns {
		if who.ARN != "" && (arn == who.ARN || arn == who.Role) {
			return direct
		}
	}
	for _, a := range p.accounts {
		if a == who.Account {
			if who.IsRoot() {
				return direct
			}
			return account
		}
	}
	return unnamed
}

// names reports whether a session itself is named, not its role.
func (p *principals) names(arn string) bool {
	for _, a := range p.arns {
		if a == arn {
			return true
		}
	}
	return false
}

// IsPrincipal reports whether a text can stand as an AWS principal: everybody, an
// account, or the ARN of an account, user, role or session.
func IsPrincipal(s string) bool { return s == "*" || isAccount(s) || isPrincipalARN(s) }

// isPrincipalARN reports whether s is an ARN of somebody.
func isPrincipalARN(s string) bool {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[3] != "" || !isAccount(parts[4]) || strings.ContainsAny(s, "*? ") {
		return false
	}
	kind, name, _ := strings.Cut(parts[5], "/")
	switch {
	case parts[2] == "iam" && parts[5] == "root":
		return true
	case parts[2] == "iam":
		return name != "" && (kind == "user" || kind == "role")
	case parts[2] == "sts":
		return name != "" && (kind == "assumed-role" || kind == "federated-user")
	}
	return false
}

// isAccount reports whether s is an account number.
func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }
