package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"kiln"
)

// layerRecord is a layer as it is stored.
type layerRecord struct {
	Last int `json:"last"`
}

// layerVersionRecord is a layer version as it is stored.
type layerVersionRecord struct {
	SHA256        string                 `json:"sha256"`
	Size          int64                  `json:"size"`
	Unzipped      int64                  `json:"unzipped"`
	Description   string                 `json:"description,omitempty"`
	License       string                 `json:"license,omitempty"`
	Runtimes      []string               `json:"runtimes,omitempty"`
	Architectures []string               `json:"architectures,omitempty"`
	Created       time.Time              `json:"created"`
	Statements    []layerStatementRecord `json:"statements,omitempty"`
	Revision      string                 `json:"revisionId,omitempty"` // of the policy
}

type layerStatementRecord struct {
	ID           string `json:"id"`
	Action       string `json:"action"`
	Principal    string `json:"principal"`
	Organization string `json:"organization,omitempty"`
}

// layerUse is a layer of a version as it is stored.
type layerUse struct {
	ARN      string `json:"arn"`
	SHA256   string `json:"sha256"`
	Size     int64  `json:"size"`
	Unzipped int64  `json:"unzipped"`
}

func layerKey(id kiln.LayerID) string { return "n/" + id.String() }

func layerVersionKey(id kiln.LayerID, number int) string {
	return fmt.Sprintf("l/%s/%010d", id, number)
}

// layersOf gives the layers of a configuration as they are stored, nil for none.
func layersOf(list []kiln.LayerUse) []layerUse {
	var out []layerUse
	for _, use := range list {
		out = append(out, layerUse{use.ARN, use.Package.SHA256, use.Package.Size, use.Package.UnzippedSize})
	}
	return out
}

// layerUses is layersOf turned back.
func layerUses(list []layerUse) []kiln.LayerUse {
	var out []kiln.LayerUse
	for _, l := range list {
		out = append(out, kiln.LayerUse{ARN: l.ARN, Package: kiln.Package{SHA256: l.SHA256, Size: l.Size, UnzippedSize: l.Unzipped}})
	}
	return out
}

func (p *plate) value() []byte {
	v := p.version
	r := layerVersionRecord{
		SHA256: v.Package.SHA256, Size: v.Package.Size, Unzipped: v.Package.UnzippedSize, Description: v.Description, License: v.License,
		Runtimes: v.Runtimes, Architectures: v.Architectures, Created: v.Created, Revision: v.Policy.RevisionID,
	}
	for _, s := range v.Policy.Statements {
		r.Statements = append(r.Statements, layerStatementRecord(s))
	}
	return encode(r)
}

// layerPart is one record of a layer: of the layer itself, or of a version.
type layerPart struct {
	id     kiln.LayerID
	last   int
	plate  *plate // nil is the layer itself
	stored uint64
}

// decodeLayer reads the record of a layer, or with a number that of a version.
func decodeLayer(r Record, id kiln.LayerID, number string) (*layerPart, error) {
	part := &layerPart{id: id, stored: r.Revision}
	if number == "" {
		var l layerRecord
		err := json.Unmarshal(r.Value, &l)
		part.last = l.Last
		return part, err
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	var s layerVersionRecord
	if err := json.Unmarshal(r.Value, &s); err != nil {
		return nil, err
	}
	v := &kiln.LayerVersion{
		Layer: id, Number: n, Package: kiln.Package{SHA256: s.SHA256, Size: s.Size, UnzippedSize: s.Unzipped},
		Description: s.Description, License: s.License, Runtimes: s.Runtimes, Architectures: s.Architectures, Created: s.Created,
		Policy: kiln.LayerPolicy{RevisionID: s.Revision},
	}
	for _, x := range s.Statements {
		v.Policy.Statements = append(v.Policy.Statements, kiln.LayerStatement(x))
	}
	part.plate = &plate{version: v, stored: r.Revision}
	return part, nil
}

// stackLayers puts layer versions on their layers. One without its layer, or with a
// number that was never given, is an error.
func stackLayers(parts []any) (map[kiln.LayerID]*stack, error) {
	stacks := map[kiln.LayerID]*stack{}
	for _, part := range parts {
		if l, ok := part.(*layerPart); ok && l.plate == nil {
			stacks[l.id] = &stack{last: l.last, stored: l.stored}
		}
	}
	for _, part := range parts {
		l, ok := part.(*layerPart)
		if !ok || l.plate == nil {
			continue
		}
		s, number := stacks[l.id], l.plate.version.Number
		if s == nil || number < 1 || number > s.last {
			return nil, fmt.Errorf("layer %s has version %d, a number that it never gave", l.id, number)
		}
		s.versions = append(s.versions, l.plate)
	}
	for _, s := range stacks {
		slices.SortFunc(s.versions, func(x, y *plate) int { return x.version.Number - y.version.Number })
	}
	return stacks, nil
}
