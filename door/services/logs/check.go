package logs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"kiln"
	"kiln/door/services/awsjson"
)

// The forms of the service's model.
var (
	groupName  = regexp.MustCompile(`^[\.\-_/#A-Za-z0-9]+$`)
	streamName = regexp.MustCompile(`^[^:*]*$`)
	groupIdent = regexp.MustCompile(`^[\w#+=/:,.@-]*$`)
)

// checks collects what is wrong with the members of a request.
type checks struct{ wrong []string }

// add notes that a member fails a constraint.
func (k *checks) add(value any, member, constraint string) {
	shown := "null"
	if value != nil {
		text := fmt.Sprint(value)
		if len(text) > 600 {
			text = text[:600] + "…"
		}
		shown = "'" + text + "'"
	}
	k.wrong = append(k.wrong, "Value "+shown+" at '"+member+"' failed to satisfy constraint: "+constraint)
}

// name holds a member to the form of a name. One that must be there is required.
func (k *checks) name(member string, v *string, form *regexp.Regexp, most int, required bool) {
	if v == nil {
		if required {
			k.add(nil, member, "Member must not be null")
		}
		return
	}
	if !form.MatchString(*v) {
		k.add(*v, member, "Member must satisfy regular expression pattern: "+strings.Trim(form.String(), "^$"))
	}
	if n := utf8.RuneCountInString(*v); n < 1 {
		k.add(*v, member, "Member must have length greater than or equal to 1")
	} else if n > most {
		k.add(*v, member, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
}

func (k *checks) group(v *string)  { k.name("logGroupName", v, groupName, 512, true) }
func (k *checks) stream(v *string) { k.name("logStreamName", v, streamName, 512, true) }

// names holds each of a list of names to their form, and the list to its length.
func (k *checks) names(member string, list []string, form *regexp.Regexp, most int) {
	if len(list) > most {
		k.add(list, member, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
	for i := range list {
		k.name(fmt.Sprintf("%s.%d.member", member, i+1), &list[i], form, 2048, true)
	}
}

// number holds a number to its bounds and gives it, or what it is without being sent.
func (k *checks) number(member string, v *int64, least, most, otherwise int64) int64 {
	if v == nil {
		return otherwise
	}
	if *v < least {
		k.add(*v, member, fmt.Sprintf("Member must have value greater than or equal to %d", least))
	}
	if *v > most {
		k.add(*v, member, fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
	return *v
}

// word holds a member to a set of words.
func (k *checks) word(member string, v *string, set ...string) {
	if v == nil {
		return
	}
	for _, s := range set {
		if s == *v {
			return
		}
	}
	k.add(*v, member, "Member must satisfy enum value set: ["+strings.Join(set, ", ")+"]")
}

// err gives what was found, nil for nothing.
func (k *checks) err() error {
	switch n := len(k.wrong); n {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: " + k.wrong[0])
	default:
		return invalid(fmt.Sprintf("%d validation errors detected: %s", n, strings.Join(k.wrong, "; ")))
	}
}

// invalid is an InvalidParameterException.
func invalid(text string) error { return awsjson.Fail("InvalidParameterException", text) }

// oneGroup gives the group that a request names by one of two members.
func oneGroup(k *checks, in kiln.Scope, name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", invalid("LogGroup name and LogGroup identifier are mutually exclusive parameters.")
	case identifier == nil:
		k.group(name)
		if err := k.err(); err != nil {
			return "", err
		}
		return *name, nil
	}
	k.name("logGroupIdentifier", identifier, groupIdent, 2048, true)
	if err := k.err(); err != nil {
		return "", err
	}
	return groupOf(in, *identifier)
}

// groupOf gives the name of a group that is named by its name or by its ARN, with or
// without the asterisk at its end.
func groupOf(in kiln.Scope, identifier string) (string, error) {
	if !strings.HasPrefix(identifier, "arn:") {
		if !groupName.MatchString(identifier) {
			return "", invalid("Invalid log group identifier: " + identifier)
		}
		return identifier, nil
	}
	parts := strings.SplitN(identifier, ":", 8)
	if len(parts) < 7 || parts[2] != "logs" || parts[5] != "log-group" || !groupName.MatchString(parts[6]) || len(parts) == 8 && parts[7] != "*" {
		return "", invalid("Invalid log group identifier: " + identifier)
	}
	if parts[3] != in.Region || parts[4] != in.Account {
		return "", awsjson.Fail("ResourceNotFoundException", "The specified log group does not exist.")
	}
	return parts[6], nil
}
