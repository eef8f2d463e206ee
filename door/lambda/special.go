package lambda

import (
	"strings"
)

// maxName is the longest name of a function; the model allows the length of an ARN.
const maxName = 64

// special checks what CreateFunction answers with InvalidParameterValueException though
// it reads like a broken constraint.
func (v *CreateFunctionRequest) special() error {
	if name := bareName(*v.FunctionName); len(name) > maxName {
		return &Error{Code: InvalidParameterValueException, Message: "1 validation error detected: Value '" + name +
			"' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"}
	}
	return knownRuntime(v.Runtime)
}

// special checks the runtime as CreateFunction does.
func (v *UpdateFunctionConfigurationRequest) special() error { return knownRuntime(v.Runtime) }

// knownRuntime refuses a runtime that is neither an identifier nor an ARN, with the
// service's own exception and list.
func knownRuntime(runtime *string) error {
	if runtime == nil || ruleRuntime.listed(*runtime) || strings.HasPrefix(*runtime, "arn:") {
		return nil
	}
	return &Error{Code: InvalidParameterValueException, Message: "Value " + *runtime +
		" at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: " + ruleRuntime.enumText + " or be a valid ARN"}
}

// bareName cuts the name out of everything that may stand for a function.
func bareName(s string) string {
	if _, after, ok := strings.Cut(s, "function:"); ok {
		s = after
	} else if i := strings.IndexByte(s, ':'); i == 12 && allDigits(s[:i]) {
		s = s[i+1:]
	}
	name, _, _ := strings.Cut(s, ":")
	return name
}
