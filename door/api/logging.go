package api

import (
	"cmp"

	"kiln"
	"kiln/door/lambda"
)

// logging changes what is sent of a version's logging and keeps the rest. A format of
// JSON without levels has AWS's default of both, INFO; a format of text has none and
// takes none.
func logging(c *kiln.Config, in *lambda.LoggingConfig) error {
	if in == nil {
		return nil
	}
	l := c.Logging
	set(&l.Format, in.LogFormat)
	switch {
	case l.JSON():
		l.ApplicationLevel = cmp.Or(value(in.ApplicationLogLevel), l.ApplicationLevel, kiln.LevelInfo)
		l.SystemLevel = cmp.Or(value(in.SystemLogLevel), l.SystemLevel, kiln.LevelInfo)
	case in.ApplicationLogLevel != nil || in.SystemLogLevel != nil:
		return invalid(`LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to "JSON" and try again.`)
	default:
		l = kiln.Logging{} // text is the zero value, so that asking for it changes no digest
	}
	c.Logging = l
	set(&c.LogGroup, in.LogGroup)
	return nil
}
