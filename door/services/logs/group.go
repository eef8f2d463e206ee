package logs

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"kiln"
	"kiln/door/services/awsjson"
)

// retentions are the numbers of days that the service takes.
var retentions = []int64{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// unsupported is the answer to a setting that would not be obeyed.
func unsupported(what string) error { return invalid("kiln does not support " + what + " yet.") }

func (s *Service) createGroup(c *awsjson.Call) (any, error) {
	var in struct {
		LogGroupName              *string
		KmsKeyID                  *string `json:"kmsKeyId"`
		Tags                      map[string]string
		LogGroupClass             *string
		DeletionProtectionEnabled bool
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	var k checks
	k.group(in.LogGroupName)
	k.word("logGroupClass", in.LogGroupClass, "STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS")
	if err := errors.Join(k.err(), checkTags(in.Tags)); err != nil {
		return nil, err
	}
	switch {
	case in.KmsKeyID != nil:
		return nil, unsupported("kmsKeyId")
	case in.LogGroupClass != nil && *in.LogGroupClass != "STANDARD":
		return nil, unsupported("the class " + *in.LogGroupClass)
	case in.DeletionProtectionEnabled:
		return nil, unsupported("deletionProtectionEnabled")
	}
	if err := s.may(c, *in.LogGroupName, ""); err != nil {
		return nil, err
	}
	return nil, found(s.store.CreateGroup(c.Who.Scope, *in.LogGroupName, in.Tags), false)
}

// aGroup reads a request that names one group and asks for the permission on it.
func (s *Service) aGroup(c *awsjson.Call) (string, error) {
	var in struct{ LogGroupName *string }
	if err := c.Read(&in); err != nil {
		return "", err
	}
	var k checks
	k.group(in.LogGroupName)
	if err := k.err(); err != nil {
		return "", err
	}
	return *in.LogGroupName, s.may(c, *in.LogGroupName, "")
}

func (s *Service) deleteGroup(c *awsjson.Call) (any, error) {
	group, err := s.aGroup(c)
	if err != nil {
		return nil, err
	}
	return nil, found(s.store.DeleteGroup(c.Who.Scope, group), false)
}

func (s *Service) putRetention(c *awsjson.Call) (any, error) {
	var in struct {
		LogGroupName    *string
		RetentionInDays *int64
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	var k checks
	k.group(in.LogGroupName)
	if in.RetentionInDays == nil {
		k.add(nil, "retentionInDays", "Member must not be null")
	} else if !slices.Contains(retentions, *in.RetentionInDays) {
		words := strings.ReplaceAll(strings.Trim(fmt.Sprint(retentions), "[]"), " ", ", ")
		k.add(*in.RetentionInDays, "retentionInDays", "Member must satisfy enum value set: ["+words+"]")
	}
	if err := k.err(); err != nil {
		return nil, err
	}
	if err := s.may(c, *in.LogGroupName, ""); err != nil {
		return nil, err
	}
	return nil, found(s.store.SetRetention(c.Who.Scope, *in.LogGroupName, int(*in.RetentionInDays)), false)
}

func (s *Service) deleteRetention(c *awsjson.Call) (any, error) {
	group, err := s.aGroup(c)
	if err != nil {
		return nil, err
	}
	return nil, found(s.store.SetRetention(c.Who.Scope, group, 0), false)
}

// group is a log group on the wire.
type group struct {
	LogGroupName      string `json:"logGroupName"`
	CreationTime      int64  `json:"creationTime"`
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
	MetricFilterCount int    `json:"metricFilterCount"`
	Arn               string `json:"arn"`
	StoredBytes       int64  `json:"storedBytes"`
	LogGroupClass     string `json:"logGroupClass"`
	LogGroupArn       string `json:"logGroupArn"`
}

func (s *Service) describeGroups(c *awsjson.Call) (any, error) {
	var in struct {
		AccountIdentifiers    []string
		LogGroupNamePrefix    *string
		LogGroupNamePattern   *string
		NextToken             *string
		Limit                 *int64
		IncludeLinkedAccounts bool
		LogGroupClass         *string
		LogGroupIdentifiers   []string
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	var k checks
	k.name("logGroupNamePrefix", in.LogGroupNamePrefix, groupName, 512, false)
	limit := int(k.number("limit", in.Limit, 1, 50, 50))
	k.word("logGroupClass", in.LogGroupClass, "STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS")
	k.names("logGroupIdentifiers", in.LogGroupIdentifiers, groupIdent, 50)
	if err := k.err(); err != nil {
		return nil, err
	}
	if in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if err := s.mayOn(c, groupARN(c.Who.Scope, "*")); err != nil {
		return nil, err
	}
	all, err := s.store.Groups(c.Who.Scope)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, id := range in.LogGroupIdentifiers {
		if name, err := groupOf(c.Who.Scope, id); err == nil {
			wanted[name] = true
		}
	}
	account := len(in.AccountIdentifiers) == 0 || slices.Contains(in.AccountIdentifiers, c.Who.Account)
	var names []string
	byName := map[string]*Group{}
	for i, g := range all {
		switch {
		case !account, in.LogGroupClass != nil && *in.LogGroupClass != "STANDARD", // no group has another class
			in.LogGroupNamePrefix != nil && !strings.HasPrefix(g.Name, *in.LogGroupNamePrefix),
			in.LogGroupNamePattern != nil && !strings.Contains(strings.ToLower(g.Name), strings.ToLower(*in.LogGroupNamePattern)),
			in.LogGroupIdentifiers != nil && !wanted[g.Name]:
			continue
		}
		names = append(names, g.Name)
		byName[g.Name] = &all[i]
	}
	names, next, err := page(names, in.NextToken, limit, true)
	if err != nil {
		return nil, err
	}
	out := struct {
		LogGroups []group `json:"logGroups"`
		NextToken string  `json:"nextToken,omitempty"`
	}{[]group{}, next}
	for _, n := range names {
		g := byName[n]
		arn := groupARN(c.Who.Scope, n)
		out.LogGroups = append(out.LogGroups, group{LogGroupName: n, CreationTime: millis(g.Created), RetentionInDays: g.Days, Arn: arn + ":*", StoredBytes: g.Bytes, LogGroupClass: "STANDARD", LogGroupArn: arn})
	}
	return out, nil
}

// page gives the names that come after the token, and the token of the rest. Where the
// names are sorted, one that is gone does not matter.
func page(names []string, token *string, limit int, sorted bool) (some []string, next string, err error) {
	if token != nil {
		last, err := readToken(*token)
		if err != nil {
			return nil, "", err
		}
		i := slices.Index(names, last)
		if sorted {
			i = sort.SearchStrings(names, last)
			if i == len(names) || names[i] != last {
				i--
			}
		} else if i < 0 {
			return nil, "", badToken()
		}
		names = names[i+1:]
	}
	if len(names) > limit {
		return names[:limit], makeToken(names[limit-1]), nil
	}
	return names, "", nil
}

// tagged reads which group an ARN of a resource names.
func (s *Service) tagged(c *awsjson.Call, arn *string) (string, error) {
	if arn == nil {
		var k checks
		k.add(nil, "resourceArn", "Member must not be null")
		return "", k.err()
	}
	if !strings.HasPrefix(*arn, "arn:") {
		return "", invalid("The ARN is not valid: " + *arn)
	}
	name, err := groupOf(c.Who.Scope, *arn)
	if err != nil {
		return "", err
	}
	return name, s.may(c, name, "")
}

// checkTags holds tags to their bounds.
func checkTags(tags map[string]string) error {
	for key, v := range tags {
		if n := len(key); n == 0 || n > 128 || len(v) > 256 {
			return invalid("Tag keys have 1 to 128 characters and values at most 256.")
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return invalid("Tag keys that begin with aws: are reserved.")
		}
	}
	return nil
}

// retag changes the tags of a group.
func (s *Service) retag(in kiln.Scope, name string, set map[string]string, remove []string) (any, error) {
	if err := checkTags(set); err != nil {
		return nil, err
	}
	err := s.store.SetTags(in, name, set, remove)
	if errors.Is(err, ErrTooMany) {
		return nil, awsjson.Fail("TooManyTagsException", "A resource can have no more than 50 tags.")
	}
	return nil, found(err, false)
}

func (s *Service) tag(c *awsjson.Call) (any, error) {
	var in struct {
		ResourceArn *string
		Tags        map[string]string
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	name, err := s.tagged(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return s.retag(c.Who.Scope, name, in.Tags, nil)
}

func (s *Service) untag(c *awsjson.Call) (any, error) {
	var in struct {
		ResourceArn *string
		TagKeys     []string
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	name, err := s.tagged(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return s.retag(c.Who.Scope, name, nil, in.TagKeys)
}

func (s *Service) listTags(c *awsjson.Call) (any, error) {
	var in struct{ ResourceArn *string }
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	name, err := s.tagged(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return s.tagsOf(c.Who.Scope, name)
}

func (s *Service) tagGroup(c *awsjson.Call) (any, error) {
	var in struct{ Tags map[string]string }
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	name, err := s.aGroup(c)
	if err != nil {
		return nil, err
	}
	return s.retag(c.Who.Scope, name, in.Tags, nil)
}

func (s *Service) untagGroup(c *awsjson.Call) (any, error) {
	var in struct{ Tags []string }
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	name, err := s.aGroup(c)
	if err != nil {
		return nil, err
	}
	return s.retag(c.Who.Scope, name, nil, in.Tags)
}

func (s *Service) listGroupTags(c *awsjson.Call) (any, error) {
	name, err := s.aGroup(c)
	if err != nil {
		return nil, err
	}
	return s.tagsOf(c.Who.Scope, name)
}

// tagsOf answers with the tags of a group.
func (s *Service) tagsOf(in kiln.Scope, name string) (any, error) {
	g, err := s.store.Group(in, name)
	if err != nil {
		return nil, found(err, false)
	}
	tags := g.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return struct {
		Tags map[string]string `json:"tags"`
	}{tags}, nil
}
