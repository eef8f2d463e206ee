package image

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln"
)

// Family is the family of runtimes that are images themselves.
const Family = "image"

// defaultPath is where programs are looked for when an image does not say.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// The entries that give the box's user a name, with AWS's own.
const (
	passwdEntry = "sbx_user1051:x:${UID}:${UID}::/home/sbx_user1051:/sbin/nologin\n"
	groupEntry  = "sbx_user1051:x:${UID}:\n"
	rootPasswd  = "root:x:0:0:root:/root:/sbin/nologin\n"
	rootGroup   = "root:x:0:\n"
)

// Place gives what the environments of a version of an image are made of: the process
// that its configuration and the function's say, and the directory that it sees. It
// pulls nothing: ErrLost is that the image has to be pulled again.
func (s *Store) Place(ctx context.Context, v *kiln.Version) (kiln.Runtime, kiln.Rootfs, error) {
	i, err := s.Image(ctx, v.Package.SHA256)
	if err != nil {
		return kiln.Runtime{}, kiln.Rootfs{}, err
	}
	return i.runtime(v), i.rootfs(), nil
}

// runtime gives the process of a function. Its first argument is a path: names are
// looked up in the image, as a shell would.
func (i *Image) runtime(v *kiln.Version) kiln.Runtime {
	c := merged(i.Config, v.Config.Image)
	rt := kiln.Runtime{
		Family: Family, Root: i.Dir, Whole: true, Env: map[string]string{"PATH": defaultPath},
		Dir: path.Join("/", c.WorkingDir), Release: "image:sha256:" + i.Digest,
	}
	maps.Copy(rt.Env, variables(c.Env))
	rt.Command = append(append([]string{}, c.Entrypoint...), c.Cmd...)
	if len(rt.Command) > 0 {
		rt.Command[0] = i.program(rt.Command[0], rt.Dir, rt.Env["PATH"])
	}
	rt.Fault = i.fault(&rt)
	return rt
}

// fault says why a process can never be started.
func (i *Image) fault(rt *kiln.Runtime) *kiln.RuntimeFault {
	const entry = "Runtime.InvalidEntrypoint"
	switch {
	case len(rt.Command) == 0:
		return &kiln.RuntimeFault{Type: entry, Message: "the image has neither ENTRYPOINT nor CMD, and the function no ImageConfig"}
	case rt.Command[0] == "":
		return &kiln.RuntimeFault{Type: entry, Message: "the first word of the entry point is empty"}
	case !path.IsAbs(rt.Command[0]):
		return &kiln.RuntimeFault{Type: entry, Message: "exec: " + strconv.Quote(rt.Command[0]) + ": executable file not found in $PATH"}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, err := i.tree.dir(rt.Dir, false); err != nil {
		why := "no such file or directory"
		if !errors.Is(err, fs.ErrNotExist) {
			why = innermost(err).Error()
		}
		return &kiln.RuntimeFault{Type: "Runtime.InvalidWorkingDir", Message: "chdir " + rt.Dir + ": " + why}
	}
	return nil
}

// merged gives what an image says of itself with what the function says instead. As
// with other container engines, who replaces the entry point replaces its arguments.
func merged(c v1.Config, by kiln.ImageConfig) v1.Config {
	if len(by.EntryPoint) > 0 {
		c.Entrypoint = by.EntryPoint
	}
	if len(by.Command) > 0 {
		c.Cmd = by.Command
	}
	if by.WorkingDirectory != "" {
		c.WorkingDir = by.WorkingDirectory
	}
	return c
}

// program gives the path of a program: below the working directory, or where the
// search path has it. One that is nowhere stays a bare name.
func (i *Image) program(name, dir, search string) string {
	if path.IsAbs(name) {
		return name
	}
	if strings.Contains(name, "/") {
		return path.Join(dir, name)
	}
	for _, in := range strings.Split(search, ":") {
		if !path.IsAbs(in) {
			in = path.Join(dir, in)
		}
		if i.Executable(path.Join(in, name)) {
			return path.Join(in, name)
		}
	}
	return name
}

// Executable reports whether a name leads to a file of the image that everybody may
// execute.
func (i *Image) Executable(name string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, info, err := i.tree.walk(name, false)
	return err == nil && info != nil && info.Mode().IsRegular() && info.Mode().Perm()&0o005 == 0o005
}

// rootfs gives what the environments of an image see.
func (i *Image) rootfs() kiln.Rootfs {
	return kiln.Rootfs{
		Mounts: []kiln.RuntimeMount{{Source: i.Dir, Target: "/"}},
		Files: []kiln.RootfsFile{
			{Path: "/etc/passwd", Contents: withUser(i.passwd, rootPasswd, passwdEntry)},
			{Path: "/etc/group", Contents: withUser(i.group, rootGroup, groupEntry)},
		},
		Extensions: i.extensions,
	}
}

// withUser adds the box's user to a file of users of an image.
func withUser(own []byte, root, entry string) []byte {
	text := string(own)
	if text == "" {
		text = root
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return []byte(strings.ReplaceAll(text, "${UID}", "") + entry)
}

// Environment gives the variables that an image sets, by name.
func (i *Image) Environment() map[string]string { return variables(i.Config.Env) }

// variables reads a list of NAME=value.
func variables(list []string) map[string]string {
	all := map[string]string{}
	for _, pair := range list {
		if name, value, ok := strings.Cut(pair, "="); ok && name != "" {
			all[name] = value
		}
	}
	return all
}
