package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"kiln/test/harness"
)

// accessPoint is the ARN of an access point of the account of the tests.
const accessPoint = "arn:aws:elasticfilesystem:" + harness.Region + ":" + harness.Account + ":access-point/fsap-0123456789abcdef0"

// sharer appends to a file of the shared file system, and says what it is there.
const sharer = `
import os
def handler(event, context):
    path = event.get("path", "/mnt/common/notes")
    try:
        if "write" in event:
            with open(path, "a") as f:
                f.write(event["write"])
        return {"text": open(path).read(), "mine": os.stat(path).st_uid == os.getuid()}
    except OSError as e:
        return {"error": e.strerror}
`

// at puts the shared file system at a place.
func at(path string) settings {
	return func(in *lambda.CreateFunctionInput) {
		in.FileSystemConfigs = []types.FileSystemConfig{{Arn: aws.String(accessPoint), LocalMountPath: aws.String(path)}}
	}
}

func TestEnvironmentsShareTheFilesOfADirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: shows a directory with another owner")
	}
	dir := filepath.Join(t.TempDir(), "common")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 4321, 4322); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	s := built.StartIn(t, data, "--file-systems", accessPoint+"="+dir)
	c, ctx := s.Client(), t.Context()
	code := zipOf(t, file{Name: "app.py", Text: sharer})
	harness.Create(t, c, "writer", needPython(t), "app.handler", code, at("/mnt/common"))
	harness.Create(t, c, "reader", python(), "app.handler", code, at("/mnt/other"))
	harness.Create(t, c, "stranger", python(), "app.handler", code)

	answer(t, c, "writer", `{"write":"one "}`)
	if got := answer(t, c, "reader", `{"path":"/mnt/other/notes","write":"two "}`); got != `{"text": "one two ", "mine": true}` {
		t.Errorf("the other environment answers %s", got)
	}
	if got := answer(t, c, "writer", `{}`); got != `{"text": "one two ", "mine": true}` {
		t.Errorf("the first environment reads %s", got)
	}
	if got := answer(t, c, "stranger", `{}`); got != `{"error": "No such file or directory"}` {
		t.Errorf("a function without the file system answers %s", got)
	}
	if got := answer(t, c, "writer", `{"path":"/mnt/beside","write":"x"}`); got != `{"error": "Read-only file system"}` {
		t.Errorf("beside the file system: %s", got)
	}
	notes := filepath.Join(dir, "notes")
	var st syscall.Stat_t
	if err := syscall.Stat(notes, &st); err != nil || st.Uid != 4321 || st.Gid != 4322 {
		t.Errorf("on this machine the file belongs to %d:%d, %v", st.Uid, st.Gid, err)
	}

	// A version keeps what $LATEST gives up.
	if _, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("writer")}); err != nil {
		t.Fatal(err)
	}
	v, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("writer"), FileSystemConfigs: []types.FileSystemConfig{}})
	if err != nil || len(v.FileSystemConfigs) != 0 {
		t.Fatalf("got %v, %v", v, err)
	}
	updated(t, c, "writer")
	if got := answer(t, c, "writer", `{}`); got != `{"error": "No such file or directory"}` {
		t.Errorf("without it $LATEST answers %s", got)
	}
	old, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("writer"), Qualifier: aws.String("1")})
	if err != nil || len(old.FileSystemConfigs) != 1 || *old.FileSystemConfigs[0].Arn != accessPoint || *old.FileSystemConfigs[0].LocalMountPath != "/mnt/common" {
		t.Errorf("version 1 is %+v, %v", old, err)
	}
	if got := answer(t, c, "writer:1", `{}`); got != `{"text": "one two ", "mine": true}` {
		t.Errorf("version 1 answers %s", got)
	}

	// A server that has the file system no more refuses the calls, and nothing else.
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	s = built.StartIn(t, data)
	_, err = s.Client().Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("reader")})
	if code, text := apiError(t, err); code != "EFSMountFailureException" || !strings.Contains(text, accessPoint) {
		t.Errorf("got %s: %s", code, text)
	}
}

func TestADirectoryThatCannotBeSharedStopsTheServerAtItsStart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: shows a directory with another owner")
	}
	dir := t.TempDir() // root's
	s, err := built.Launch(harness.Options{Data: t.TempDir(), Args: []string{"--file-systems", accessPoint + "=" + dir}})
	if err == nil {
		t.Fatal(s.Stop(), "the server runs")
	}
	if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "chown") {
		t.Errorf("got %v", err)
	}
}
