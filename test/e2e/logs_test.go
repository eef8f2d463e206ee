package e2e_test

import "testing"

func TestBoto3FindsWhatFunctionsWrote(t *testing.T) {
	s := start(t)
	client(t, s, pythonClient(t), "testdata/logs_boto.py", needPython(t))
}

func TestTheAWSCommandLineReadsAndWritesLogs(t *testing.T) {
	s := start(t)
	pythonClient(t)
	client(t, s, "bash", "testdata/logs_cli.sh")
}
