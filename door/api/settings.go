package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kiln"
	"kiln/door/lambda"
)

// reservedVariables cannot be set by a function: the environment sets them.
var reservedVariables = map[string]bool{
	"_HANDLER": true, "_X_AMZN_TRACE_ID": true, "AWS_DEFAULT_REGION": true, "AWS_REGION": true, "AWS_EXECUTION_ENV": true,
	"AWS_LAMBDA_FUNCTION_NAME": true, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true, "AWS_LAMBDA_FUNCTION_VERSION": true,
	"AWS_LAMBDA_INITIALIZATION_TYPE": true, "AWS_LAMBDA_LOG_GROUP_NAME": true, "AWS_LAMBDA_LOG_STREAM_NAME": true,
	"AWS_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true, "AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true,
	"AWS_LAMBDA_RUNTIME_API": true, "LAMBDA_TASK_ROOT": true, "LAMBDA_RUNTIME_DIR": true, "AWS_LAMBDA_MAX_CONCURRENCY": true,
	"AWS_LAMBDA_METADATA_API": true, "AWS_LAMBDA_METADATA_TOKEN": true,
}

// The tags by which a function has what Lambda has no member for.
const (
	networkTag = "kiln:network" // none: without outbound network
	cpuTag     = "kiln:cpu"     // another division of the processor than the server's
	sigtermTag = "kiln:sigterm" // on: SIGTERM at its end, without an extension that asks for it
	debugTag   = "kiln:debug"   // on: an address for a debugger, and a timeout that waits for it
)

// outbound says whether the tags of a function leave it its outbound network.
func outbound(tags map[string]string) (bool, error) {
	switch v, given := tags[networkTag]; {
	case !given || v == "outbound":
		return true, nil
	case v == "none":
		return false, nil
	default:
		return false, invalid("The tag " + networkTag + " is none or outbound: " + clip(v))
	}
}

// cpuMode gives how the tags of a function divide the processor; "" is the server's
// way.
func cpuMode(tags map[string]string) (string, error) {
	v, given := tags[cpuTag]
	if given && v != kiln.CPUStrict && v != kiln.CPUBurst {
		return "", invalid("The tag " + cpuTag + " is strict or burst: " + clip(v))
	}
	return v, nil
}

// onOff reads a tag that is on or off; it is off where it is not given.
func onOff(tags map[string]string, tag string) (bool, error) {
	switch v, given := tags[tag]; {
	case !given || v == "off":
		return false, nil
	case v == "on":
		return true, nil
	default:
		return false, invalid("The tag " + tag + " is on or off: " + clip(v))
	}
}

// tagSettings gives what the tags of a function say of its configuration.
func tagSettings(tags map[string]string) (set func(*kiln.Config), err error) {
	out, err := outbound(tags)
	if err != nil {
		return nil, err
	}
	term, err := onOff(tags, sigtermTag)
	if err != nil {
		return nil, err
	}
	debug, err := onOff(tags, debugTag)
	if err != nil {
		return nil, err
	}
	cpu, err := cpuMode(tags)
	if err != nil {
		return nil, err
	}
	return func(c *kiln.Config) { c.NoOutbound, c.SigTERM, c.Debug, c.CPUMode = !out, term, debug, cpu }, nil
}

// maxTags is how many tags a function may have.
const maxTags = 50

// size refuses a number that the model allows for other kinds of functions only. The
// model's own bounds were checked before.
func size(member string, v *int32, most int) error {
	if v != nil && int(*v) > most {
		return invalid("'" + member + "' value failed to satisfy constraint: Member must have value less than or equal to " + strconv.Itoa(most))
	}
	return nil
}

// sizes checks memory, timeout and /tmp. The model's 32,768 MB and 5,400 s are those
// of instances that kiln does not have; kiln keeps the bounds of ordinary functions.
func sizes(memory, timeout *int32, storage *lambda.EphemeralStorage) error {
	if err := size("MemorySize", memory, kiln.MaxMemoryMB); err != nil {
		return err
	}
	if err := size("Timeout", timeout, int(kiln.MaxTimeout/time.Second)); err != nil {
		return err
	}
	if storage != nil {
		return size("EphemeralStorage.Size", storage.Size, kiln.MaxStorageMB)
	}
	return nil
}

// environment checks the variables of a function and gives them: nil when the member
// is absent, not nil when it is there and empty, since answers differ by that.
func environment(e *lambda.Environment) (map[string]string, error) {
	if e == nil {
		return nil, nil
	}
	if len(e.Variables) == 0 {
		return map[string]string{}, nil
	}
	var reserved []string
	for name, v := range e.Variables {
		if reservedVariables[name] {
			reserved = append(reserved, name)
		}
		if strings.IndexByte(v, 0) >= 0 {
			return nil, invalid("The value of the environment variable " + name + " contains a NUL character, which no process can be given.")
		}
	}
	if reserved != nil {
		slices.Sort(reserved)
		return nil, invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: " + strings.Join(reserved, ", "))
	}
	if measured := serialised(e.Variables); len(measured) > kiln.MaxEnvironmentSize {
		return nil, invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: " + measured)
	}
	return e.Variables, nil
}

// serialised gives the variables as the JSON text whose length is limited.
func serialised(vars map[string]string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(vars) // a map of strings always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

// architecture gives the one architecture of a list, "" for none.
func architecture(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0] // the model allows one
}

// tags checks the tags of a new function.
func tags(t map[string]string) (map[string]string, error) {
	if len(t) > maxTags {
		return nil, invalid("Number of tags exceeds resource tag limit.")
	}
	for k, v := range t {
		if n := utf8.RuneCountInString(k); n == 0 || n > 128 || utf8.RuneCountInString(v) > 256 {
			return nil, invalid("Tag keys have 1 to 128 characters and values at most 256: " + clip(k))
		}
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, invalid("Tag keys that begin with aws: are reserved: " + clip(k))
		}
	}
	return t, nil
}
