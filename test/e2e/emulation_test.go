package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// foreignELF is how a program of the architecture that this machine is not begins, with
// nothing behind it.
func foreignELF() (architecture types.Architecture, program []byte) {
	program = make([]byte, 64)
	copy(program, "\x7fELF\x02\x01\x01")
	program[16] = 2
	if runtime.GOARCH == "arm64" {
		program[18] = 62
		return types.ArchitectureX8664, program
	}
	program[18] = 183
	return types.ArchitectureArm64, program
}

// registerEmulator tells the kernel that a program runs those of the other architecture,
// until the test ends.
func registerEmulator(t testing.TB, program string) {
	t.Helper()
	const dir = "/proc/sys/fs/binfmt_misc"
	if _, err := os.Stat(filepath.Join(dir, "register")); err != nil {
		if err := syscall.Mount("binfmt_misc", dir, "binfmt_misc", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	name := fmt.Sprint("kiln-test-", os.Getpid())
	_, header := foreignELF()
	var magic strings.Builder
	for _, b := range header[:20] {
		fmt.Fprintf(&magic, `\x%02x`, b)
	}
	if err := os.WriteFile(filepath.Join(dir, "register"), fmt.Appendf(nil, ":%s:M::%s::%s:F", name, magic.String(), program), 0o200); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("-1"), 0o200); err != nil {
			t.Error(err)
		}
	})
}

func TestAFunctionOfTheOtherArchitectureRunsOnlyWhereItIsEmulated(t *testing.T) {
	s := start(t)
	c := s.client()
	architecture, program := foreignELF()
	other := func(in *lambda.CreateFunctionInput) { in.Architectures = []types.Architecture{architecture} }
	create(t, c, "other", "provided.al2023", "bootstrap", zipOf(t, file{Name: "bootstrap", Text: string(program), Mode: 0o755}), other)
	create(t, c, "other-python", needPython(t), "app.handler", zipOf(t, file{Name: "app.py", Text: "def handler(e, c): return 1\n"}), other)
	refused := func(name, want string) {
		t.Helper()
		_, err := c.Invoke(within(t, time.Minute), &lambda.InvokeInput{FunctionName: aws.String(name)}, func(o *lambda.Options) { o.RetryMaxAttempts = 1 })
		var e smithy.APIError
		if !errors.As(err, &e) || e.ErrorCode() != "InvalidRuntimeException" || !strings.Contains(e.ErrorMessage(), want) {
			t.Errorf("%s: got %v, want an InvalidRuntimeException that says %q", name, err, want)
		}
	}
	refused("other", "not "+string(architecture)+": create the function with architecture")
	refused("other-python", "not "+string(architecture)+": create the function with architecture")

	// The emulator of this test takes the program's place: it is a function itself.
	emulator := filepath.Join(t.TempDir(), "emulator")
	if err := os.WriteFile(emulator, built.GoProgram(t, "testdata/gofn"), 0o755); err != nil {
		t.Fatal(err)
	}
	registerEmulator(t, emulator)
	want := `{"arn":"arn:aws:lambda:eu-west-1:111111111111:function:other","deadline":true,"function":"other","hello":"WORLD","root":"/var/task"}`
	if got := answer(t, c, "other", `{"name":"world"}`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	refused("other-python", "has interpreters of")
}
