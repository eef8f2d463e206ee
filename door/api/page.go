package api

import (
	"encoding/base64"
	"sort"
	"strings"
)

// markerKind begins every marker, so that a marker of a later form can be told apart.
const markerKind = "1:"

// page cuts one page out of items that are in the ascending order of their keys, and
// gives the marker of the next one, nil when there is none. A marker names the last
// key that was seen: items that come and go between two calls neither repeat nor hide
// others. Zero or negative size is the operation's own.
func page[T any](items []T, key func(T) string, marker *string, size *int32, most int) ([]T, *string, error) {
	n := most
	if size != nil && *size > 0 && int(*size) < most {
		n = int(*size)
	}
	if marker != nil && *marker != "" {
		after, err := readMarker(*marker)
		if err != nil {
			return nil, nil, err
		}
		items = items[sort.Search(len(items), func(i int) bool { return key(items[i]) > after }):]
	}
	if len(items) <= n {
		return items, nil, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(markerKind + key(items[n-1])))
	return items[:n], &next, nil
}

// readMarker gives the key that a marker names, and refuses what page did not make.
func readMarker(marker string) (string, error) {
	text, err := base64.RawURLEncoding.DecodeString(marker)
	after, ok := strings.CutPrefix(string(text), markerKind)
	if err != nil || !ok {
		return "", invalid("The marker is not one that this operation gave.")
	}
	return after, nil
}
