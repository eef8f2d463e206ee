package e2e_test

import (
	"testing"
)

func TestBoto3UsesQueues(t *testing.T) {
	s := start(t)
	client(t, s, pythonClient(t), "testdata/sqs_boto.py")
}

func TestTheAWSCommandLineAndTheOlderProtocolUseQueues(t *testing.T) {
	s := start(t)
	pythonClient(t)
	t.Setenv("KILN_TEST_SCRATCH", t.TempDir())
	client(t, s, "bash", "testdata/sqs_cli.sh")
}
