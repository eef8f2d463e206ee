package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"kiln"
	"kiln/box/environment"
	"kiln/box/sandbox"
	"kiln/telemetry"
)

// Limits of every box that no configuration changes. They are AWS's.
const (
	boxPIDs      = 1024
	boxOpenFiles = 1024
	boxHostname  = "localhost" // a name that every resolver inside knows
)

// Rootfs puts the read-only files of a version in place, once for all its
// environments.
type Rootfs interface {
	Prepare(ctx context.Context, v *kiln.Version, rt kiln.Runtime) (kiln.Rootfs, error)
}

// Runtimes finds what serves a runtime identifier on this machine.
type Runtimes interface {
	Runtime(ctx context.Context, identifier, arch string) (kiln.Runtime, error)
}

// Images puts container images in place.
type Images interface {
	// Place gives what the environments of a version are made of. Its image was brought
	// here before.
	Place(ctx context.Context, v *kiln.Version) (kiln.Runtime, kiln.Rootfs, error)
}

// BuilderOptions is what a Builder is made of.
type BuilderOptions struct {
	Runtimes Runtimes
	Rootfs   Rootfs
	Images   Images // nil runs none
	Driver   sandbox.Driver
	Sink     telemetry.Sink
	// CPU is the mode of functions that ask for none; "" is kiln.CPUBurst.
	CPU string
	// InitTimeout is the limit of a first init; 0 is AWS's.
	InitTimeout time.Duration
	// Inside is kiln's own API for the processes of every environment; nil is none.
	Inside *environment.Inside
	Stream kiln.StreamLimits // of streamed answers
	// FileSystems and Networks are what versions name and the server has.
	FileSystems kiln.FileSystems
	Networks    kiln.Networks
	Logger      *slog.Logger
}

// Builder launches environments in sandboxes of one driver.
type Builder struct{ o BuilderOptions }

var _ Launcher = (*Builder)(nil)

// NewBuilder makes a builder. An unknown CPU mode is an error.
func NewBuilder(o BuilderOptions) (*Builder, error) {
	switch o.CPU {
	case "":
		o.CPU = kiln.CPUBurst
	case kiln.CPUBurst, kiln.CPUStrict:
	default:
		return nil, fmt.Errorf("cpu mode %q is neither %q nor %q", o.CPU, kiln.CPUBurst, kiln.CPUStrict)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Builder{o}, nil
}

// Launch makes a box for the target's version and starts its runtime in it. It
// returns when the init has begun. Nothing is left of a launch that failed.
func (b *Builder) Launch(ctx context.Context, key kiln.EnvironmentKey, target kiln.Target) (Environment, error) {
	v := target.Version
	rt, files, err := b.place(ctx, v)
	if err != nil {
		return nil, err
	}
	id := strings.ReplaceAll(kiln.NewID(), "-", "")
	began := time.Now()
	spec := specOf(id, v, files)
	if err := b.surround(&spec, v); err != nil {
		return nil, err
	}
	box, err := b.o.Driver.Create(ctx, spec)
	if errors.Is(err, sandbox.ErrShare) {
		return nil, &kiln.Error{Code: kiln.BadMount, Message: "The function couldn't mount the file system of the access point " + v.Config.FileSystem.ARN + ".", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("making a box: %w", err)
	}
	return launched{environment.New(environment.Options{
		ID: id, Sandbox: box, Version: v, Runtime: rt, InitType: key.InitType,
		Sink: b.o.Sink, InitTimeout: b.o.InitTimeout, MilliCPU: b.quota(v.Config),
		SandboxTime: time.Since(began), Extensions: extensionsOf(files, spec), Inside: b.o.Inside, Stream: b.o.Stream, Logger: b.o.Logger,
	})}, nil
}

// extensionsOf names the files of /opt/extensions: an image has said what it brings;
// layers have not.
func extensionsOf(files kiln.Rootfs, spec sandbox.Spec) []string {
	if files.Extensions != nil {
		return files.Extensions
	}
	return environment.FindExtensions(spec.Mounts)
}

// place gives the runtime and the files of a version.
func (b *Builder) place(ctx context.Context, v *kiln.Version) (kiln.Runtime, kiln.Rootfs, error) {
	if v.Config.FromImage() {
		if b.o.Images == nil {
			return kiln.Runtime{}, kiln.Rootfs{}, kiln.Errorf(kiln.Unsupported, "This server runs no container images.")
		}
		rt, files, err := b.o.Images.Place(ctx, v)
		if err != nil {
			err = fmt.Errorf("preparing the image: %w", err)
		}
		return rt, files, err
	}
	rt, err := b.o.Runtimes.Runtime(ctx, v.Config.Runtime, v.Config.Architecture)
	if err != nil {
		return kiln.Runtime{}, kiln.Rootfs{}, fmt.Errorf("finding the runtime: %w", err)
	}
	if err := rt.CheckRelease(v); err != nil {
		return kiln.Runtime{}, kiln.Rootfs{}, err
	}
	files, err := b.o.Rootfs.Prepare(ctx, v, rt)
	if err != nil {
		return kiln.Runtime{}, kiln.Rootfs{}, fmt.Errorf("preparing the files: %w", err)
	}
	return rt, files, nil
}

// quota gives the processor time that a function may use during invocations, in
// thousandths of a processor; 0 is as much as there is.
func (b *Builder) quota(c kiln.Config) int64 {
	if cmp.Or(c.CPUMode, b.o.CPU) != kiln.CPUStrict {
		return 0
	}
	return milliCPU(c.MemoryMB)
}

// milliCPU is the share of a memory size, in thousandths of a processor.
func milliCPU(memoryMB int) int64 {
	return max(1, (int64(memoryMB)*1000+kiln.MemoryMBPerCPU/2)/kiln.MemoryMBPerCPU)
}

// weight is the share of a memory size against other boxes, as cgroups count it:
// 100 is what a process outside of all boxes has, and a box with one processor.
func weight(memoryMB int) int64 {
	return min(max(1, milliCPU(memoryMB)/10), 10000)
}

// specOf describes the box of a version. Its processor time is not limited yet:
// that begins when init is over.
func specOf(id string, v *kiln.Version, files kiln.Rootfs) sandbox.Spec {
	spec := sandbox.Spec{
		ID:           id,
		MemoryBytes:  int64(v.Config.MemoryMB) << 20,
		CPUWeight:    weight(v.Config.MemoryMB),
		PIDs:         boxPIDs,
		OpenFiles:    boxOpenFiles,
		ScratchBytes: int64(v.Config.StorageMB) << 20,
		Hostname:     boxHostname,
		Outbound:     !v.Config.NoOutbound,
	}
	for _, m := range files.Mounts {
		spec.Mounts = append(spec.Mounts, sandbox.Mount(m))
	}
	for _, f := range files.Files {
		spec.Files = append(spec.Files, sandbox.File{Path: f.Path, Contents: f.Contents, Mode: 0o644})
	}
	return spec
}

// surround gives a box what its version names of the server: a shared file system, and
// the network that lets it out or not.
func (b *Builder) surround(spec *sandbox.Spec, v *kiln.Version) error {
	out, err := b.o.Networks.Outbound(v.Config.VPC)
	if err != nil {
		return err
	}
	spec.Outbound = spec.Outbound && out
	use := v.Config.FileSystem
	if use == (kiln.FileSystemUse{}) {
		return nil
	}
	dir, err := b.o.FileSystems.Directory(use)
	if err != nil {
		return err
	}
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Target: path.Dir(use.Path)})
	spec.Shares = []sandbox.Share{{Source: dir, Target: use.Path}}
	return nil
}

// launched is an environment with the name by which an operator finds it.
type launched struct{ *environment.Environment }

var _ Environment = launched{}

// ID is the name of the environment and of its box.
func (l launched) ID() string { return l.Stamp().ID }

// InitFailed reports whether the last init of the environment has failed: no process
// runs in it.
func (l launched) InitFailed() bool { return l.State() == environment.Broken }
