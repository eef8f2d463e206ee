package logs

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"kiln"
)

// aboutSuffix ends the name of the file that says what is wanted of a group.
const aboutSuffix = ".json"

// Bounds of what is said of one group.
const (
	mostStreams = 10000
	mostTags    = 50
	mostMade    = 1000 // groups of a scope that clients have made: each may fill its files
)

// about is what is known of a group besides its records. It is kept in a small file of
// its own, which is replaced as a whole.
type about struct {
	Account string              `json:"account"`
	Region  string              `json:"region"`
	Group   string              `json:"group"`
	Created time.Time           `json:"created"`
	Made    bool                `json:"made,omitempty"` // by a client
	Days    int                 `json:"days,omitempty"`
	Tags    map[string]string   `json:"tags,omitempty"`
	Streams map[string]int64    `json:"streams,omitempty"` // made by clients: when, in milliseconds since 1970
	Gone    map[string]Position `json:"gone,omitempty"`    // deleted: records before it are not shown
}

// adoptAbout takes over what a file says of its group, which may have no records.
func (fs *files) adoptAbout(filename string) {
	text, err := fs.root.ReadFile(filename)
	var a about
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	key := groupKey{kiln.Scope{Account: a.Account, Region: a.Region}, a.Group}
	if err == nil && nameOf(key)+aboutSuffix != filename {
		err = errors.New("it has another group's name")
	}
	if err != nil {
		fs.log.Warn("a file about a log group cannot be read", "file", filename, "error", err)
		return
	}
	f := fs.group(key)
	f.about = a
	fs.look(f)
}

// save writes what is said of a group.
func (fs *files) save(f *file) error {
	f.about.Account, f.about.Region, f.about.Group = f.key.Account, f.key.Region, f.key.group
	text, err := json.Marshal(&f.about)
	if err != nil {
		return err
	}
	name := f.name + aboutSuffix
	if err := fs.root.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	if err := fs.root.Rename(name+".new", name); err != nil {
		return err
	}
	f.unsaved = false
	return nil
}

// veil gives what of a group must not be seen.
func (f *file) veil(now time.Time) veil {
	v := veil{since: micro(time.Time{}, -1<<63), gone: maps.Clone(f.about.Gone)}
	if f.about.Days > 0 {
		v.since = now.AddDate(0, 0, -f.about.Days).UnixMicro()
	}
	return v
}

// retire removes the files whose newest record is older than their group keeps them,
// and begins a new file when the one that grows has half of that age, so that what is
// old does not stay for what is new in the same file.
func (fs *files) retire(now time.Time) {
	for _, f := range fs.groups {
		if f.about.Days <= 0 {
			continue
		}
		bound := now.AddDate(0, 0, -f.about.Days)
		for age := range fs.rotated + 1 {
			info, err := fs.root.Stat(f.file(age))
			if err != nil || !info.ModTime().Before(bound) {
				continue
			}
			if age == 0 {
				fs.shut(f)
				f.size, f.torn = 0, false
			}
			if err := fs.remove(f.file(age)); err != nil {
				fs.log.Error("removing old records", "group", f.key.group, "error", err)
			} else if age > 0 {
				f.old[age-1] = 0
			}
		}
		if f.size > 0 && !f.begun.IsZero() && now.Sub(f.begun) > now.Sub(bound)/2 {
			fs.rotate(f)
		}
	}
}

// made counts the groups of a scope that clients have made.
func (fs *files) made(scope kiln.Scope) int {
	n := 0
	for _, f := range fs.groups {
		if f.about.Made && f.key.Scope == scope {
			n++
		}
	}
	return n
}

// ErrExists is the answer to making what is there.
var ErrExists = errors.New("it exists already")

// ErrTooMany is the answer to making more than there may be.
var ErrTooMany = errors.New("there are too many")

// noGroup is the answer where a group is not there, noStream where a stream is not.
func noGroup(group string) error {
	return kiln.Errorf(kiln.NotFound, "the log group %s does not exist", group)
}

func noStream(stream string) error {
	return kiln.Errorf(kiln.NotFound, "the log stream %s does not exist", stream)
}

// CreateGroup makes a group without records.
func (s *Store) CreateGroup(scope kiln.Scope, group string, tags map[string]string) error {
	return s.ask(func() error {
		key := groupKey{scope, group}
		if s.files.groups[key] != nil {
			return ErrExists
		}
		if len(tags) > mostTags || s.files.made(scope) >= mostMade {
			return ErrTooMany
		}
		f := s.files.group(key)
		f.number = base
		f.about.Created, f.about.Tags, f.about.Made = time.Now(), maps.Clone(tags), true
		if err := s.files.save(f); err != nil {
			delete(s.files.groups, key)
			return err
		}
		return nil
	})
}

// SetRetention has the records of a group shown, and kept, for so many days; 0 is for
// as long as there is room.
func (s *Store) SetRetention(scope kiln.Scope, group string, days int) error {
	return s.edit(scope, group, func(a *about) error {
		a.Days = days
		return nil
	}, func() { s.files.retire(time.Now()) })
}

// SetTags changes the tags of a group: some are set, some removed.
func (s *Store) SetTags(scope kiln.Scope, group string, set map[string]string, remove []string) error {
	return s.edit(scope, group, func(a *about) error {
		tags := maps.Clone(a.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, set)
		for _, k := range remove {
			delete(tags, k)
		}
		if len(tags) > mostTags {
			return ErrTooMany
		}
		a.Tags = tags
		return nil
	}, nil)
}

// CreateStream makes a stream without records.
func (s *Store) CreateStream(scope kiln.Scope, group, stream string) error {
	known, err := s.Streams(scope, group)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(known, func(k Stream) bool { return k.Name == stream }) {
		return ErrExists
	}
	return s.edit(scope, group, func(a *about) error {
		if _, ok := a.Streams[stream]; ok {
			return ErrExists
		}
		if len(a.Streams) >= mostStreams {
			return ErrTooMany
		}
		a.Streams = maps.Clone(a.Streams)
		if a.Streams == nil {
			a.Streams = map[string]int64{}
		}
		a.Streams[strings.Clone(stream)] = time.Now().UnixMilli()
		return nil
	}, nil)
}

// DeleteStream takes a stream away: its records are not shown any more, and their
// bytes go with the files that hold them.
func (s *Store) DeleteStream(scope kiln.Scope, group, stream string) error {
	known, err := s.Streams(scope, group)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, func(k Stream) bool { return k.Name == stream }) {
		return noStream(stream)
	}
	return s.ask(func() error {
		f := s.files.groups[groupKey{scope, group}]
		if f == nil {
			return noGroup(group)
		}
		was := f.about
		f.about.Streams, f.about.Gone = maps.Clone(was.Streams), maps.Clone(was.Gone)
		delete(f.about.Streams, stream)
		if f.about.Gone == nil {
			f.about.Gone = map[string]Position{}
		}
		oldest := f.number - int64(s.files.rotated)
		maps.DeleteFunc(f.about.Gone, func(_ string, at Position) bool { return at.File < oldest }) // its files are gone, too
		end := Position{f.number, f.size}
		if f.size == 0 { // the next record begins a file
			end = Position{f.number + 1, 0}
		}
		f.about.Gone[strings.Clone(stream)] = end
		if err := s.files.save(f); err != nil {
			f.about = was
			return err
		}
		delete(f.clients, stream)
		return nil
	})
}

// edit changes what is said of a group; when that cannot be kept it stays as it was.
func (s *Store) edit(scope kiln.Scope, group string, change func(*about) error, then func()) error {
	return s.ask(func() error {
		f := s.files.groups[groupKey{scope, group}]
		if f == nil {
			return noGroup(group)
		}
		was := f.about
		err := change(&f.about)
		if err == nil {
			err = s.files.save(f)
		}
		if err != nil {
			f.about = was
			return err
		}
		if then != nil {
			then()
		}
		return nil
	})
}

// ask has the writer do something that may fail.
func (s *Store) ask(what func() error) error {
	var err error
	if closed := s.do(func() { err = what() }); closed != nil {
		return closed
	}
	return err
}
