package image

import (
	"path"
	"strings"
)

// What a name of a layer may be.
const (
	maxName      = 4096
	maxComponent = 255
)

// cleanName gives the name of an entry as a path from the image's root, "." for the
// root itself. A name that goes upwards, or that no file system can have, is refused:
// no builder makes one.
func cleanName(name string) (string, error) {
	if len(name) > maxName || strings.IndexByte(name, 0) >= 0 {
		return "", refuse("The image has an entry whose name no file can have: %q.", clip(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", refuse("The image has an entry that leads upwards: %q.", clip(name))
		}
		if len(part) > maxComponent {
			return "", refuse("The image has an entry whose name no file can have: %q.", clip(name))
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		clean = "."
	}
	return clean, nil
}

// whiteout is what the prefix .wh. makes of an entry.
type whiteout int

const (
	noWhiteout   whiteout = iota
	removes               // the file or directory of the name is gone
	makesOpaque           // all that lower layers have in the directory is gone
	meansNothing          // the book-keeping of an old file system
)

const whiteoutPrefix = ".wh."

// readWhiteout says whether a clean name is a whiteout, and of what.
func readWhiteout(name string) (whiteout, string, error) {
	dir, base := path.Split(name)
	for part := range strings.SplitSeq(strings.TrimSuffix(dir, "/"), "/") {
		if strings.HasPrefix(part, whiteoutPrefix) {
			if strings.HasPrefix(part, ".wh..wh.") && part != ".wh..wh..opq" {
				return meansNothing, "", nil // below .wh..wh.plnk and the like
			}
			return noWhiteout, "", refuse("The image has an entry below a whiteout: %q.", clip(name))
		}
	}
	if !strings.HasPrefix(base, whiteoutPrefix) {
		return noWhiteout, name, nil
	}
	if base == ".wh..wh..opq" {
		return makesOpaque, cleanDir(dir), nil
	}
	if strings.HasPrefix(base, ".wh..wh.") {
		return meansNothing, "", nil
	}
	gone := strings.TrimPrefix(base, whiteoutPrefix)
	if gone == "" || gone == "." || gone == ".." {
		return noWhiteout, "", refuse("The image has a whiteout of nothing: %q.", clip(name))
	}
	return removes, path.Join(dir, gone), nil
}

// cleanDir gives a directory as path.Split leaves it without its slash.
func cleanDir(dir string) string {
	if dir == "" {
		return "."
	}
	return strings.TrimSuffix(dir, "/")
}
