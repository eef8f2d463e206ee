package kiln

// Logging is how a version's log is written and what of it is kept. The zero value
// is AWS's default: text, and everything.
type Logging struct {
	Format string // "" is FormatText
	// ApplicationLevel and SystemLevel are the lowest levels that are kept of what the
	// function writes and of what the platform says. They are set exactly when the
	// format is FormatJSON.
	ApplicationLevel string
	SystemLevel      string
}

// Formats of a log.
const (
	FormatText = "Text"
	FormatJSON = "JSON"
)

// Levels of records, the lowest first.
const (
	LevelTrace = "TRACE"
	LevelDebug = "DEBUG"
	LevelInfo  = "INFO"
	LevelWarn  = "WARN"
	LevelError = "ERROR"
	LevelFatal = "FATAL"
)

// JSON reports whether records are objects of JSON.
func (l Logging) JSON() bool { return l.Format == FormatJSON }

// Keeps reports whether a record of a level is kept where the lowest level that is
// wanted is least. What has no level, or one that is none, counts as LevelInfo; "" as
// least keeps everything.
func Keeps(least, level string) bool { return least == "" || rank(level) >= rank(least) }

// rank gives the place of a level among the levels.
func rank(level string) int {
	switch level {
	case LevelTrace:
		return 1
	case LevelDebug:
		return 2
	case LevelWarn:
		return 4
	case LevelError:
		return 5
	case LevelFatal:
		return 6
	}
	return 3
}
