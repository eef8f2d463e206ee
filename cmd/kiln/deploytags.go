package main

import (
	"context"

	"kiln/client"
)

// atCreation are the settings of a function that Lambda's API has no member for. They go
// by tags of its creation, and nothing changes them afterwards.
func (f *function) atCreation() []tagged {
	return []tagged{
		{"cpu", "kiln:cpu", f.CPU, "the server's way"},
		{"network", "kiln:network", f.Network, "outbound"},
		{"sigterm", "kiln:sigterm", f.SigTERM, "off"},
	}
}

// tagged is one such setting: what is wanted ("" is nothing), and what a function has
// without the tag.
type tagged struct{ key, tag, want, otherwise string }

// tags gives the tags that the function is created with, nil for none.
func (f *function) tags() map[string]string {
	var out map[string]string
	for _, s := range f.atCreation() {
		if s.want == "" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[s.tag] = s.want
	}
	return out
}

// keepsTags refuses to go on when the function that exists was created with other
// settings than it should have: no call of Lambda's API changes them.
func (d *deployment) keepsTags(ctx context.Context) error {
	f := d.function
	if f.tags() == nil {
		return nil
	}
	got, err := d.GetFunction(ctx, &client.GetFunctionRequest{FunctionName: f.Name})
	if err != nil {
		return err
	}
	for _, s := range f.atCreation() {
		have, given := got.Tags[s.tag]
		if !given {
			have = s.otherwise
		}
		if s.want != "" && s.want != have {
			return usagef("%s was created with %s: %s, and %s is asked for: only creation sets it; delete the function first (kiln rm %s)", f.Name, s.key, have, s.want, f.Name)
		}
	}
	return nil
}

// settleLayers turns the layers that the user named into ARNs of versions.
func (d *deployment) settleLayers(ctx context.Context) error {
	for i, text := range d.function.Layers {
		arn, err := d.layerARN(ctx, text)
		if err != nil {
			return err
		}
		d.function.Layers[i] = arn
	}
	return nil
}
