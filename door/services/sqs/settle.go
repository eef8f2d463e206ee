package sqs

import (
	"strconv"
	"time"

	"kiln"
)

type deleteRequest struct {
	QueueUrl      string
	ReceiptHandle string
}

func (s *Service) deleteMessage(a *ask, in *deleteRequest) (*none, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if in.ReceiptHandle == "" {
		return nil, missing("ReceiptHandle")
	}
	each, err := s.book.DeleteMessages(a.ctx, q.ID, []string{in.ReceiptHandle})
	if err != nil {
		return nil, err
	}
	return nil, each[0]
}

type deleteEntry struct{ Id, ReceiptHandle string }

type deleteBatchRequest struct {
	QueueUrl string
	Entries  []deleteEntry `query:"DeleteMessageBatchRequestEntry"`
}

type idEntry struct{ Id string }

type deletedBatch struct {
	Successful []idEntry     `json:",omitempty" xml:"DeleteMessageBatchResultEntry"`
	Failed     []failedEntry `json:",omitempty" xml:"BatchResultErrorEntry"`
}

func (s *Service) deleteBatch(a *ask, in *deleteBatchRequest) (*deletedBatch, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := idsOf(in.Entries, func(e *deleteEntry) string { return e.Id })
	if err := checkBatch("DeleteMessageBatchRequestEntry", ids); err != nil {
		return nil, err
	}
	each, err := s.book.DeleteMessages(a.ctx, q.ID, idsOf(in.Entries, func(e *deleteEntry) string { return e.ReceiptHandle }))
	if err != nil {
		return nil, err
	}
	out := &deletedBatch{}
	out.Successful, out.Failed, err = parted(ids, each)
	return out, err
}

// parted tells entries that went well from the others.
func parted(ids []string, each []error) (well []idEntry, badly []failedEntry, err error) {
	for i, err := range each {
		if err == nil {
			well = append(well, idEntry{ids[i]})
			continue
		}
		f, err := failure(ids[i], err)
		if err != nil {
			return nil, nil, err
		}
		badly = append(badly, f)
	}
	return well, badly, nil
}

type hideRequest struct {
	QueueUrl          string
	ReceiptHandle     string
	VisibilityTimeout *int
}

// hiding reads for how long a message is to be hidden.
func hiding(receipt string, seconds *int) (kiln.Hiding, error) {
	switch {
	case receipt == "":
		return kiln.Hiding{}, missing("ReceiptHandle")
	case seconds == nil:
		return kiln.Hiding{}, missing("VisibilityTimeout")
	case *seconds < 0 || *seconds > int(kiln.MaxVisibility.Seconds()):
		return kiln.Hiding{}, wrong(strconv.Itoa(*seconds), "VisibilityTimeout", "VisibilityTimeout must be an integer between 0 and 43200")
	}
	return kiln.Hiding{Receipt: receipt, For: time.Duration(*seconds) * time.Second}, nil
}

func (s *Service) hide(a *ask, in *hideRequest) (*none, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	h, err := hiding(in.ReceiptHandle, in.VisibilityTimeout)
	if err != nil {
		return nil, err
	}
	each, err := s.book.Hide(a.ctx, q.ID, []kiln.Hiding{h})
	if err != nil {
		return nil, err
	}
	return nil, each[0]
}

type hideEntry struct {
	Id                string
	ReceiptHandle     string
	VisibilityTimeout *int
}

type hideBatchRequest struct {
	QueueUrl string
	Entries  []hideEntry `query:"ChangeMessageVisibilityBatchRequestEntry"`
}

type hiddenBatch struct {
	Successful []idEntry     `json:",omitempty" xml:"ChangeMessageVisibilityBatchResultEntry"`
	Failed     []failedEntry `json:",omitempty" xml:"BatchResultErrorEntry"`
}

func (s *Service) hideBatch(a *ask, in *hideBatchRequest) (*hiddenBatch, error) {
	q, err := s.queue(a, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkBatch("ChangeMessageVisibilityBatchRequestEntry", idsOf(in.Entries, func(e *hideEntry) string { return e.Id })); err != nil {
		return nil, err
	}
	out := &hiddenBatch{}
	var list []kiln.Hiding
	var ids []string
	for i := range in.Entries {
		e := &in.Entries[i]
		h, err := hiding(e.ReceiptHandle, e.VisibilityTimeout)
		if err != nil {
			f, err := failure(e.Id, err)
			if err != nil {
				return nil, err
			}
			out.Failed = append(out.Failed, f)
			continue
		}
		list, ids = append(list, h), append(ids, e.Id)
	}
	each, err := s.book.Hide(a.ctx, q.ID, list)
	if err != nil {
		return nil, err
	}
	well, badly, err := parted(ids, each)
	out.Successful, out.Failed = well, append(out.Failed, badly...)
	return out, err
}
