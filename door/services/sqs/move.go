package sqs

import (
	"net/http"
	"strconv"

	"kiln"
)

// noResource is an ARN or a task of nothing.
func noResource(text string) error {
	return &Error{http.StatusNotFound, "ResourceNotFoundException", "ResourceNotFoundException", text}
}

// queueByARN gives the queue that an ARN names, if the action may be done with it.
func (s *Service) queueByARN(a *ask, member, arn string) (*kiln.MessageQueue, error) {
	if arn == "" {
		return nil, missing(member)
	}
	id, err := kiln.ParseQueueARN(arn)
	if err != nil {
		return nil, wrong(arn, member, "It is not the ARN of a queue.")
	}
	if err := s.may(a, id); err != nil {
		return nil, err
	}
	q, err := s.book.Queue(id)
	if err != nil {
		return nil, noResource("The resource that you specified for the " + member + " parameter doesn't exist.")
	}
	return q, nil
}

type moveRequest struct {
	SourceArn                    string
	DestinationArn               string
	MaxNumberOfMessagesPerSecond *int
}

type moveHandle struct{ TaskHandle string }

// startMove begins to bring dead letters back, or to another queue.
func (s *Service) startMove(a *ask, in *moveRequest) (*moveHandle, error) {
	source, err := s.queueByARN(a, "SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	t := kiln.MoveTask{Source: source.ID}
	isTarget := false
	for _, q := range s.book.Queues(source.ID.Scope) {
		isTarget = isTarget || q.DeadLetters == source.ID
	}
	if !isTarget {
		return nil, invalid("Source queue must be configured as a Dead Letter Queue.")
	}
	if in.DestinationArn != "" {
		to := *a
		to.action = "SendMessage"
		q, err := s.queueByARN(&to, "DestinationArn", in.DestinationArn)
		if err != nil {
			return nil, err
		}
		if q.ID.FIFO() != source.ID.FIFO() || q.ID == source.ID {
			return nil, wrong(in.DestinationArn, "DestinationArn", "The destination must be another queue of the same type.")
		}
		t.Destination = q.ID
	}
	if n := in.MaxNumberOfMessagesPerSecond; n != nil {
		if *n < 1 || *n > 500 {
			return nil, wrong(strconv.Itoa(*n), "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.")
		}
		t.PerSecond = *n
	}
	id, err := s.book.Move(t)
	if isConflict(err) {
		return nil, unsupported(err.Error())
	}
	return &moveHandle{id}, err
}

type movesRequest struct {
	SourceArn  string
	MaxResults *int
}

type moveEntry struct {
	TaskHandle                        string `json:",omitempty" xml:",omitempty"`
	Status                            string
	SourceArn                         string
	DestinationArn                    string `json:",omitempty" xml:",omitempty"`
	MaxNumberOfMessagesPerSecond      int    `json:",omitempty" xml:",omitempty"`
	ApproximateNumberOfMessagesMoved  int
	ApproximateNumberOfMessagesToMove int
	FailureReason                     string `json:",omitempty" xml:",omitempty"`
	StartedTimestamp                  int64
}

type moveList struct {
	Results []moveEntry `json:",omitempty" xml:"ListMessageMoveTasksResultEntry"`
}

func (s *Service) listMoves(a *ask, in *movesRequest) (*moveList, error) {
	q, err := s.queueByARN(a, "SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	most := 1
	if in.MaxResults != nil {
		if most = *in.MaxResults; most < 1 || most > 10 {
			return nil, wrong(strconv.Itoa(most), "MaxResults", "Must be between 1 and 10, if provided.")
		}
	}
	tasks, err := s.book.Tasks(q.ID)
	if err != nil {
		return nil, err
	}
	out := &moveList{}
	for _, t := range tasks[:min(most, len(tasks))] {
		e := moveEntry{
			Status: t.Status, SourceArn: t.Source.ARN(), MaxNumberOfMessagesPerSecond: t.PerSecond,
			ApproximateNumberOfMessagesMoved: t.Moved, ApproximateNumberOfMessagesToMove: t.All, FailureReason: t.Failure, StartedTimestamp: t.Started.UnixMilli(),
		}
		if t.Status == "RUNNING" {
			e.TaskHandle = t.ID
		}
		if t.Destination != (kiln.QueueID{}) {
			e.DestinationArn = t.Destination.ARN()
		}
		out.Results = append(out.Results, e)
	}
	return out, nil
}

type moveCount struct{ ApproximateNumberOfMessagesMoved int }

func (s *Service) cancelMove(a *ask, in *moveHandle) (*moveCount, error) {
	if in.TaskHandle == "" {
		return nil, missing("TaskHandle")
	}
	source, ok := s.book.Task(in.TaskHandle)
	if !ok {
		return nil, noResource("Task does not exist.")
	}
	if err := s.may(a, source); err != nil {
		return nil, err
	}
	t, err := s.book.CancelMove(in.TaskHandle)
	if err != nil {
		return nil, noResource("Task does not exist.")
	}
	return &moveCount{t.Moved}, nil
}
