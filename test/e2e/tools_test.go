package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Deployment tools that speak the Lambda API run as they are in their registries; only
// the endpoint is theirs to set.

func TestDeploymentToolsDeployAndDeployAgain(t *testing.T) {
	t.Run("node-lambda", nodeLambda)
	if os.Getenv("KILN_TEST_FULL") != "" {
		t.Run("Ansible", ansible)
	}
}

// nodeLambda deploys twice with node-lambda.
func nodeLambda(t *testing.T) {
	node := needNode(t)
	s := start(t)
	dir := write(t, map[string]string{"index.js": "exports.handler = async (event) => ({ hello: event.name });\n", "package.json": `{"name":"fn","version":"1.0.0"}`})
	tool := t.TempDir()
	install(t, tool, "npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", tool, "node-lambda@1.3.0")
	for range 2 {
		cmd := exec.CommandContext(t.Context(), filepath.Join(tool, "node_modules", ".bin", "node-lambda"), "deploy", "-E", s.URL, "-r", "eu-west-1", "-n", "nl", "-o", "arn:aws:iam::111111111111:role/any", "-u", node, "-e", "")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=111111111111", "AWS_SECRET_ACCESS_KEY=x")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		updated(t, s.client(), "nl")
		if got := answer(t, s.client(), "nl", `{"name":"Ada"}`); got != `{"hello":"Ada"}` {
			t.Errorf("got %s", got)
		}
	}
}

// playbook deploys, deploys again, updates and deletes; NAME of a task says whether it
// must change something.
const playbook = `
- hosts: localhost
  connection: local
  gather_facts: false
  module_defaults:
    group/amazon.aws.aws: {endpoint_url: "ENDPOINT", access_key: "111111111111", secret_key: x, region: eu-west-1}
  tasks:
    - {name: changes 1, amazon.aws.lambda: {name: an, state: present, zip_file: one.zip, runtime: RUNTIME, role: "arn:aws:iam::111111111111:role/any", handler: app.handler}}
    - {name: same 1, amazon.aws.lambda: {name: an, state: present, zip_file: one.zip, runtime: RUNTIME, role: "arn:aws:iam::111111111111:role/any", handler: app.handler}}
    - {name: changes 2, amazon.aws.lambda: {name: an, state: present, zip_file: two.zip, runtime: RUNTIME, role: "arn:aws:iam::111111111111:role/any", handler: app.handler, memory_size: 256, environment_variables: {STAGE: dev}, tags: {team: a}}}
    - {name: same 2, amazon.aws.lambda: {name: an, state: present, zip_file: two.zip, runtime: RUNTIME, role: "arn:aws:iam::111111111111:role/any", handler: app.handler, memory_size: 256, environment_variables: {STAGE: dev}, tags: {team: a}}}
    - {name: changes 3, amazon.aws.lambda_alias: {function_name: an, name: live, function_version: 0, state: present}}
    - {name: same 3, amazon.aws.lambda_alias: {function_name: an, name: live, function_version: 0, state: present}}
    - {name: changes 4, amazon.aws.lambda_policy: {function_name: an, state: present, statement_id: s3, action: "lambda:InvokeFunction", principal: s3.amazonaws.com, source_arn: "arn:aws:s3:::b", source_account: "111111111111"}}
    - {name: same 4, amazon.aws.lambda_policy: {function_name: an, state: present, statement_id: s3, action: "lambda:InvokeFunction", principal: s3.amazonaws.com, source_arn: "arn:aws:s3:::b", source_account: "111111111111"}}
    - {name: same 5, amazon.aws.lambda_info: {function_name: an, query: all}}
    - {name: changes 5, amazon.aws.lambda_policy: {function_name: an, state: absent, statement_id: s3, action: "lambda:InvokeFunction", principal: s3.amazonaws.com}}
    - {name: changes 6, amazon.aws.lambda_alias: {function_name: an, name: live, state: absent}}
    - {name: changes 7, amazon.aws.lambda: {name: an, state: absent}}
    - {name: same 6, amazon.aws.lambda: {name: an, state: absent}}
`

// ansible deploys with Ansible's modules for Lambda. Their packages have 100 MB, so
// that this runs only with all tests.
func ansible(t *testing.T) {
	python := needPython(t)
	s := start(t)
	tool := t.TempDir()
	install(t, tool, pythonAbs(t), "-m", "venv", filepath.Join(tool, "venv"))
	pip := filepath.Join(tool, "venv", "bin", "pip")
	install(t, tool, pip, "install", "-q", "--disable-pip-version-check", "ansible-core==2.19.14", "boto3==1.44.5")
	install(t, tool, pip, "install", "-q", "--disable-pip-version-check", "--no-deps", "ansible==12.3.0")
	dir := write(t, map[string]string{"play.yml": strings.NewReplacer("ENDPOINT", s.URL, "RUNTIME", python).Replace(playbook)})
	for name, n := range map[string]string{"one.zip": "1", "two.zip": "2"} {
		if err := os.WriteFile(filepath.Join(dir, name), zipOf(t, file{Name: "app.py", Text: "def handler(e, c):\n    return " + n + "\n"}), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(tool, "venv", "bin", "ansible-playbook"), "-e", "ansible_python_interpreter="+filepath.Join(tool, "venv", "bin", "python"), "play.yml")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+tool, "ANSIBLE_STDOUT_CALLBACK=ansible.posix.json", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Plays []struct {
			Tasks []struct {
				Task  struct{ Name string }
				Hosts map[string]struct{ Changed bool }
			}
		}
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Plays) != 1 || len(report.Plays[0].Tasks) != 13 {
		t.Fatalf("%v in %s", err, out)
	}
	for _, task := range report.Plays[0].Tasks {
		if got, want := task.Hosts["localhost"].Changed, strings.HasPrefix(task.Task.Name, "changes"); got != want {
			t.Errorf("%s: changed is %v", task.Task.Name, got)
		}
	}
}
