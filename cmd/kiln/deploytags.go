package main

import (
	"context"

	"kiln/client"
)

// byTags are the settings of a function that Lambda's API has no member for: kiln reads
// them from its tags.
func (f *function) byTags() []tagged {
	return []tagged{
		{"cpu", "kiln:cpu", f.CPU, "the server's way"},
		{"debug", "kiln:debug", f.Debug, "off"},
		{"network", "kiln:network", f.Network, "outbound"},
		{"sigterm", "kiln:sigterm", f.SigTERM, "off"},
	}
}

// tagged is one such setting: what is wanted ("" is nothing), and what a function has
// without the tag.
type tagged struct{ key, tag, want, otherwise string }

// tags gives the tags that the function should have, nil for none.
func (f *function) tags() map[string]string {
	var out map[string]string
	for _, s := range f.byTags() {
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

// retag gives the function that exists the tags that are asked for and that it lacks, and
// says whether there were any. The server changes what it runs by them.
func (d *deployment) retag(ctx context.Context) (changed bool, err error) {
	f := d.function
	if f.tags() == nil {
		return false, nil
	}
	got, err := d.GetFunction(ctx, &client.GetFunctionRequest{FunctionName: f.Name})
	if err != nil {
		return false, err
	}
	lacks := map[string]string{}
	for _, s := range f.byTags() {
		have, given := got.Tags[s.tag]
		if !given {
			have = s.otherwise
		}
		if s.want != "" && s.want != have {
			lacks[s.tag] = s.want
		}
	}
	if len(lacks) == 0 || got.Configuration == nil {
		return false, nil
	}
	return true, d.TagResource(ctx, &client.TagResourceRequest{Resource: value(got.Configuration.FunctionArn), Tags: lacks})
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
