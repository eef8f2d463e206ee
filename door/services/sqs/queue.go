package sqs

import (
	"maps"
	"strconv"
	"strings"

	"kiln"
)

type createQueueRequest struct {
	QueueName  string
	Attributes map[string]string `query:"Attribute"`
	Tags       map[string]string `json:"tags" query:"Tag,Key"`
}

type queueURL struct{ QueueUrl string }

// createQueue makes a queue. One that is there with the same settings is as if it were
// made.
func (s *Service) createQueue(a *ask, in *createQueueRequest) (*queueURL, error) {
	if err := checkName(in.QueueName, in.Attributes); err != nil {
		return nil, err
	}
	id := kiln.QueueID{Scope: a.who.Scope, Name: in.QueueName}
	if err := s.may(a, id); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	q := defaults(id)
	if err := s.apply(&q, in.Attributes); err != nil {
		return nil, err
	}
	q.Tags = in.Tags
	err := s.book.Create(a.ctx, q)
	if isConflict(err) {
		old, err := s.book.Queue(id)
		if err != nil {
			return nil, err
		}
		have, err := s.settingsOf(old)
		if err != nil {
			return nil, err
		}
		q.Created, q.Modified = old.Created, old.Modified
		want, err := s.settingsOf(&q)
		if err != nil {
			return nil, err
		}
		if err := same(have, want, in.Attributes); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	return &queueURL{address(a, id)}, nil
}

// oneQueue is a request that names a queue and nothing else.
type oneQueue struct{ QueueUrl string }

func (s *Service) deleteQueue(a *ask, in *oneQueue) (*none, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.book.Delete(a.ctx, q.ID)
}

type queueURLRequest struct {
	QueueName string
	Owner     string `json:"QueueOwnerAWSAccountId" query:"QueueOwnerAWSAccountId"`
}

func (s *Service) queueURL(a *ask, in *queueURLRequest) (*queueURL, error) {
	if in.QueueName == "" {
		return nil, missing("QueueName")
	}
	id := kiln.QueueID{Scope: a.who.Scope, Name: in.QueueName}
	if in.Owner != "" {
		id.Account = in.Owner
	}
	if err := s.may(a, id); err != nil {
		return nil, err
	}
	if _, err := s.book.Queue(id); err != nil {
		return nil, err
	}
	return &queueURL{address(a, id)}, nil
}

type listQueuesRequest struct {
	QueueNamePrefix string
	NextToken       string
	MaxResults      *int
}

type queueList struct {
	QueueUrls []string `json:",omitempty" xml:"QueueUrl"`
	NextToken string   `json:",omitempty" xml:",omitempty"`
}

func (s *Service) listQueues(a *ask, in *listQueuesRequest) (*queueList, error) {
	if err := s.may(a, kiln.QueueID{Scope: a.who.Scope, Name: "*"}); err != nil {
		return nil, err
	}
	urls, next, err := page(a, s.book.Queues(a.who.Scope), func(q *kiln.MessageQueue) bool { return strings.HasPrefix(q.ID.Name, in.QueueNamePrefix) }, in.NextToken, in.MaxResults)
	return &queueList{urls, next}, err
}

// page gives the URLs of queues that match, from behind the one that a token names.
func page(a *ask, all []*kiln.MessageQueue, match func(*kiln.MessageQueue) bool, token string, most *int) (urls []string, next string, err error) {
	n := 1000
	if most != nil {
		if n = *most; n < 1 || n > 1000 {
			return nil, "", wrong(strconv.Itoa(n), "MaxResults", "Must be between 1 and 1000, if provided.")
		}
	}
	last := ""
	for _, q := range all {
		if q.ID.Name <= token || !match(q) {
			continue
		}
		if len(urls) == n {
			if most == nil {
				last = "" // as on AWS, who asks for no pages gets the first thousand
			}
			return urls, last, nil
		}
		urls, last = append(urls, address(a, q.ID)), q.ID.Name
	}
	return urls, "", nil
}

type sourcesRequest struct {
	QueueUrl   string
	NextToken  string
	MaxResults *int
}

type sourceList struct {
	QueueUrls []string `json:"queueUrls" xml:"QueueUrl"`
	NextToken string   `json:",omitempty" xml:",omitempty"`
}

func (s *Service) listSources(a *ask, in *sourcesRequest) (*sourceList, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	urls, next, err := page(a, s.book.Queues(q.ID.Scope), func(from *kiln.MessageQueue) bool { return from.DeadLetters == q.ID }, in.NextToken, in.MaxResults)
	if urls == nil {
		urls = []string{}
	}
	return &sourceList{urls, next}, err
}

type getAttributesRequest struct {
	QueueUrl       string
	AttributeNames []string `query:"AttributeName"`
}

type attributeList struct {
	Attributes pairs `json:",omitempty" xml:"Attribute"`
}

func (s *Service) getAttributes(a *ask, in *getAttributesRequest) (*attributeList, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	all, err := s.settingsOf(q)
	if err != nil {
		return nil, err
	}
	some, err := chosen(all, in.AttributeNames)
	return &attributeList{some}, err
}

type setAttributesRequest struct {
	QueueUrl   string
	Attributes map[string]string `query:"Attribute"`
}

func (s *Service) setAttributes(a *ask, in *setAttributesRequest) (*none, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.book.Change(a.ctx, q.ID, func(q *kiln.MessageQueue) error { return s.apply(q, in.Attributes) })
}

func (s *Service) purge(a *ask, in *oneQueue) (*none, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.book.Purge(a.ctx, q.ID)
}

type tagRequest struct {
	QueueUrl string
	Tags     map[string]string `query:"Tag,Key"`
}

func (s *Service) tag(a *ask, in *tagRequest) (*none, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.book.Change(a.ctx, q.ID, func(q *kiln.MessageQueue) error {
		next := map[string]string{}
		maps.Copy(next, q.Tags)
		maps.Copy(next, in.Tags)
		q.Tags = next
		return checkTags(next)
	})
}

type untagRequest struct {
	QueueUrl string
	TagKeys  []string `query:"TagKey"`
}

func (s *Service) untag(a *ask, in *untagRequest) (*none, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.book.Change(a.ctx, q.ID, func(q *kiln.MessageQueue) error {
		next := maps.Clone(q.Tags)
		for _, k := range in.TagKeys {
			delete(next, k)
		}
		q.Tags = next
		return nil
	})
}

type tagList struct {
	Tags tags `json:",omitempty" xml:"Tag"`
}

func (s *Service) listTags(a *ask, in *oneQueue) (*tagList, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return &tagList{q.Tags}, nil
}
