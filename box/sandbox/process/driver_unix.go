//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"kiln/box/sandbox"
)

// Driver makes boxes that are no more than a directory and some process groups.
type Driver struct {
	dir string

	mu     sync.Mutex
	boxes  map[string]*box
	closed bool
}

var _ sandbox.Driver = (*Driver)(nil)

// New prepares the directory of boxes.
func New(options Options) (*Driver, error) {
	if !filepath.IsAbs(options.Dir) {
		return nil, fmt.Errorf("sandbox driver process: directory %q: want an absolute path", options.Dir)
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox driver process: %w", err)
	}
	return &Driver{dir: options.Dir, boxes: map[string]*box{}}, nil
}

// Name is the word by which configuration asks for this driver.
func (d *Driver) Name() string { return "process" }

// Capabilities are none: nothing here is enforced.
func (d *Driver) Capabilities() sandbox.Capabilities { return sandbox.Capabilities{} }

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// Create makes the directories of a box and writes its files there.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !idPattern.MatchString(spec.ID) {
		return nil, fmt.Errorf("sandbox id %q: want [a-z0-9-]{1,64}", spec.ID)
	}
	if len(spec.Mounts) == 0 || spec.Mounts[0].Target != "/" {
		return nil, fmt.Errorf("sandbox %s: the first mount must have the target /", spec.ID)
	}
	if len(spec.Shares) > 0 {
		return nil, fmt.Errorf("sandbox %s: %w: the driver process shares none", spec.ID, sandbox.ErrShare)
	}
	x := newBox(d, spec)
	if err := d.register(x); err != nil {
		return nil, err
	}
	if err := x.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("create sandbox %s: %w", spec.ID, err), x.Destroy())
	}
	return x, nil
}

// register takes the box's name.
func (d *Driver) register(x *box) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("sandbox driver process is closed")
	}
	if d.boxes[x.spec.ID] != nil {
		return fmt.Errorf("sandbox %s exists already", x.spec.ID)
	}
	d.boxes[x.spec.ID] = x
	return nil
}

// forget gives the box's name free.
func (d *Driver) forget(x *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, x.spec.ID)
}

// Close destroys every box.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	var boxes []*box
	for _, x := range d.boxes {
		boxes = append(boxes, x)
	}
	d.mu.Unlock()
	var errs []error
	for _, x := range boxes {
		errs = append(errs, x.Destroy())
	}
	return errors.Join(errs...)
}
