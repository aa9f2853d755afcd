package engine

import "moongate/internal/http1"

// expectation is what became of "Expect: 100-continue".
type expectation uint8

const (
	untested  expectation = iota
	refused               // the response says what there is to say: no interim one
	continued             // "100 Continue" was sent
)

// Invite sends "100 Continue" to a client that waits for it with the body, once; false means that the client is gone. As in nginx
// that happens whether the body is going to be read or dropped, even when none was announced or it is here already: what
// follows has its place in the order of bytes either way. Streams of HTTP/2 and HTTP/3 end on their own: there it is for
// those only whose body is wanted and has not come.
func (r *Request) Invite(wanted bool) bool {
	if r.expect != untested || !r.In.ExpectsContinue() || r.Parent != nil || r.HeaderSent && r.In.Version < http1.Version20 {
		return true
	}
	if r.In.Version >= http1.Version20 && (!wanted || r.Stream.Buffered() > 0) {
		return true
	}
	r.expect = continued
	return r.Stream.Continue(r) == nil
}

// BodyMayNotCome reports whether the client was not told to send the body that it announced: it may do so or not.
func (r *Request) BodyMayNotCome() bool { return r.expect != continued && r.In.ExpectsContinue() }
