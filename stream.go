package kiln

// ResponseStream takes an answer while the function writes it. Its methods but Cut are
// called by the goroutine that runs the invocation, in their order, and never after
// Invoke has returned.
type ResponseStream interface {
	// Begin is called once, before the first Write, with the media type that the
	// runtime gave the answer.
	Begin(contentType string)
	// Write passes bytes on and waits until they are taken; the stream does not keep p.
	// After an error the rest of the answer is thrown away and the function goes on.
	Write(p []byte) error
	// Cut lets a Write that waits fail at once. It may be called by any goroutine, also
	// when no Write waits.
	Cut()
}

// StreamLimits bounds streamed answers. Zero members are AWS's, negative ones no limit.
type StreamLimits struct {
	Bytes int64 // of a whole answer
	Burst int64 // bytes that may leave as fast as they are written
	Rate  int64 // bytes in a second beyond the burst
}

// WithDefaults fills in what was left zero.
func (l StreamLimits) WithDefaults() StreamLimits {
	for _, m := range []struct {
		limit *int64
		value int64
	}{{&l.Bytes, MaxStreamedResponse}, {&l.Burst, StreamBurst}, {&l.Rate, StreamRate}} {
		if *m.limit == 0 {
			*m.limit = m.value
		}
	}
	return l
}

// Limits of streamed answers that AWS documents, in bytes.
const (
	MaxStreamedResponse = 200 << 20
	StreamBurst         = 6 << 20
	StreamRate          = 2 << 20 // in a second
)
