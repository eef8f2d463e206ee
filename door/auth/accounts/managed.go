package accounts

import (
	"context"
	"strings"
	"time"

	"kiln"
	"kiln/door/auth/policy"
)

// awsAccount is whose managed policies are there for all accounts.
const awsAccount = "aws"

// Managed is a policy that can be attached to many users and roles.
type Managed struct {
	Account     string    `json:"-"`
	Name        string    `json:"-"`
	ID          string    `json:"id"`
	Path        string    `json:"path"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Description string    `json:"description,omitempty"`
	Document    string    `json:"document"`
	Version     int       `json:"version"`
	parsed      *policy.Document
}

// ARN gives the ARN of the policy.
func (m *Managed) ARN() string { return "arn:aws:iam::" + m.Account + ":policy" + m.Path + m.Name }

func (m *Managed) parse() (err error) {
	m.parsed, err = policy.Parse(policy.Identity, []byte(m.Document))
	return err
}

// CreatePolicy makes a managed policy.
func (b *Book) CreatePolicy(ctx context.Context, m Managed) (*Managed, error) {
	if m.Path == "" {
		m.Path = "/"
	}
	if !isName(m.Name, 128) || !isPath(m.Path) {
		return nil, kiln.Errorf(kiln.Invalid, "The specified value for policyName or path is invalid.")
	}
	if len(m.Document) > maxPolicy {
		return nil, kiln.Errorf(kiln.Quota, "Cannot exceed quota for PolicySize: %d", maxPolicy)
	}
	m.ID, m.Created, m.Version = newID("ANPA"), b.time(), 1
	m.Updated = m.Created
	if err := m.parse(); err != nil {
		return nil, err
	}
	return &m, b.change(ctx, func(next *state, put func(string, any)) error {
		n := name{m.Account, m.Name}
		if next.policies[n] != nil {
			return kiln.Errorf(kiln.Conflict, "A policy called %s already exists. Duplicate names are not allowed.", m.Name)
		}
		next.policies[n] = &m
		put("policy/"+m.Account+"/"+encode(m.Name), &m)
		return nil
	})
}

// Policy gives a managed policy by its ARN: of an account, or one of AWS's own.
func (b *Book) Policy(arn string) (*Managed, error) {
	if m := b.now.Load().managed(arn); m != nil {
		return m, nil
	}
	return nil, noPolicy(arn)
}

// Policies gives the managed policies of an account by name.
func (b *Book) Policies(account string) []*Managed { return sorted(b.now.Load().policies, account) }

// Attachments counts to how many users and roles a managed policy is attached.
func (b *Book) Attachments(arn string) int { return b.now.Load().attachments(arn) }

func (s *state) attachments(arn string) (n int) {
	count := func(list []string) {
		for _, a := range list {
			if a == arn {
				n++
			}
		}
	}
	for _, u := range s.users {
		count(u.Attached)
	}
	for _, r := range s.roles {
		count(r.Attached)
	}
	return n
}

// DeletePolicy takes a managed policy away that is attached to nobody.
func (b *Book) DeletePolicy(ctx context.Context, account, arn string) error {
	return b.change(ctx, func(next *state, put func(string, any)) error {
		m := next.managed(arn)
		if m == nil || m.Account != account {
			return noPolicy(arn)
		}
		if next.attachments(arn) > 0 {
			return &kiln.Error{Code: kiln.Conflict, Reason: InUse, Message: "Cannot delete a policy attached to entities."}
		}
		delete(next.policies, name{m.Account, m.Name})
		put("policy/"+m.Account+"/"+encode(m.Name), nil)
		return nil
	})
}

// managed finds a managed policy by its ARN, nil when there is none.
func (s *state) managed(arn string) *Managed {
	if m := aws[arn]; m != nil {
		return m
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return nil
	}
	m := s.policies[name{parts[4], parts[5][strings.LastIndexByte(parts[5], '/')+1:]}]
	if m == nil || m.ARN() != arn {
		return nil
	}
	return m
}

func noPolicy(arn string) error {
	return kiln.Errorf(kiln.NotFound, "Policy %s does not exist or is not attachable.", arn)
}

// aws are the policies of AWS that functions and those who deploy them are given, as
// far as they are about what kiln has, by ARN.
var aws = func() map[string]*Managed {
	const (
		logs    = `"logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"`
		network = `"ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSubnets","ec2:DeleteNetworkInterface","ec2:AssignPrivateIpAddresses","ec2:UnassignPrivateIpAddresses"`
	)
	table := map[string]*Managed{}
	for arn, statement := range map[string]string{
		"AdministratorAccess":                                   `"Action":"*"`,
		"PowerUserAccess":                                       `"NotAction":["iam:*","organizations:*","account:*"]`,
		"ReadOnlyAccess":                                        `"Action":["lambda:Get*","lambda:List*","logs:Get*","logs:Describe*","logs:Filter*","logs:StartLiveTail","iam:Get*","iam:List*","kiln:Get*"]`,
		"AWSLambda_FullAccess":                                  `"Action":["lambda:*","kiln:GetFunctions","kiln:ChangeFunctions","kiln:GetLogs","kiln:GetRuntimes","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy","iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles","iam:PassRole","logs:DescribeLogGroups","logs:DescribeLogStreams","logs:FilterLogEvents","logs:GetLogEvents","logs:StartLiveTail"]`,
		"AWSLambda_ReadOnlyAccess":                              `"Action":["lambda:Get*","kiln:GetFunctions","kiln:GetLogs","kiln:GetRuntimes","lambda:List*","iam:GetPolicy","iam:GetPolicyVersion","iam:GetRole","iam:GetRolePolicy","iam:ListAttachedRolePolicies","iam:ListRolePolicies","iam:ListRoles","logs:DescribeLogGroups","logs:FilterLogEvents","logs:GetLogEvents"]`,
		"service-role/AWSLambdaRole":                            `"Action":["lambda:InvokeFunction"]`,
		"service-role/AWSLambdaBasicExecutionRole":              `"Action":[` + logs + `]`,
		"service-role/AWSLambdaVPCAccessExecutionRole":          `"Action":[` + logs + `,` + network + `]`,
		"service-role/AWSLambdaSQSQueueExecutionRole":           `"Action":["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes",` + logs + `]`,
		"service-role/AWSLambdaKinesisExecutionRole":            `"Action":["kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords","kinesis:GetShardIterator","kinesis:ListShards","kinesis:ListStreams","kinesis:SubscribeToShard",` + logs + `]`,
		"service-role/AWSLambdaDynamoDBExecutionRole":           `"Action":["dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:ListStreams",` + logs + `]`,
		"service-role/AWSLambdaBasicDurableExecutionRolePolicy": `"Action":["lambda:CheckpointDurableExecution","lambda:GetDurableExecutionState",` + logs + `]`,
	} {
		i := strings.LastIndexByte(arn, '/') + 1
		m := &Managed{Account: awsAccount, Name: arn[i:], Path: "/" + arn[:i], ID: "ANPAKILN" + arn[i:], Version: 1,
			Created: time.Date(2015, 2, 6, 0, 0, 0, 0, time.UTC), Updated: time.Date(2015, 2, 6, 0, 0, 0, 0, time.UTC),
			Document: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + statement + `,"Resource":"*"}]}`}
		if err := m.parse(); err != nil {
			panic("accounts: " + arn + ": " + err.Error()) // the test of this table would have failed
		}
		table[m.ARN()] = m
	}
	return table
}()

// ManagedByAWS gives the policies that are there for all accounts.
func ManagedByAWS() []*Managed {
	out := make([]*Managed, 0, len(aws))
	for _, m := range aws {
		out = append(out, m)
	}
	return out
}
