package debian

// For tests of what is pure.
var (
	CompareVersions = compareVersions
	SubjectHash     = subjectHash
)

// Setting gives what a text of apt's configuration sets.
func Setting(text, name string) (string, error) {
	s := settings{}
	err := s.parse(text)
	return s.get(name), err
}
