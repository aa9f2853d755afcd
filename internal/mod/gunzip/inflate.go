package gunzip

import (
	"errors"
	"io"
	"iter"

	"github.com/klauspost/compress/gzip"
)

// inflater decompresses what it is given piece by piece. The library reads what it decompresses; so that it can be given
// it instead, it runs as a coroutine, which is left whenever it wants more. One is used for one response after another.
type inflater struct {
	resume func() (event, bool)
	stop   func()
	z      gzip.Reader
	in     []byte
	last   bool // nothing comes after in
	begun  bool // anything came
	out    []byte
	err    error
	buf    [8 << 10]byte
	next   *inflater
}

// event is why the coroutine was left.
type event uint8

const (
	idle   event = iota // the response has ended: a new one may begin
	wants               // it needs more
	gives               // out has bytes
	failed              // err tells why; idle is next
)

func newInflater() *inflater {
	i := &inflater{}
	i.resume, i.stop = iter.Pull(i.run)
	i.resume() // to its first idle
	return i
}

// source is the reader of an inflater.
type source struct {
	i     *inflater
	yield func(event) bool
}

var errStopped = errors.New("stopped")

// more makes sure that there is a byte.
func (s *source) more() error {
	for len(s.i.in) == 0 {
		if s.i.last {
			return io.EOF
		}
		if !s.yield(wants) {
			return errStopped
		}
	}
	s.i.begun = true
	return nil
}

func (s *source) ReadByte() (byte, error) {
	if err := s.more(); err != nil {
		return 0, err
	}
	c := s.i.in[0]
	s.i.in = s.i.in[1:]
	return c, nil
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.more(); err != nil {
		return 0, err
	}
	n := copy(p, s.i.in)
	s.i.in = s.i.in[n:]
	return n, nil
}

// run is the coroutine.
func (i *inflater) run(yield func(event) bool) {
	src := &source{i, yield}
	for yield(idle) {
		err := i.z.Reset(src)
		for err == nil {
			var n int
			n, err = i.z.Read(i.buf[:])
			if n == 0 {
				continue
			}
			if i.out = i.buf[:n]; !yield(gives) {
				return
			}
		}
		if err == errStopped {
			return
		}
		if err == io.EOF && i.begun {
			continue
		}
		if i.err = err; !yield(failed) {
			return
		}
	}
}

// begin prepares for a response.
func (i *inflater) begin() {
	i.in, i.last, i.begun, i.err = nil, false, false, nil
	i.resume() // it wants input now
}

// abandon brings the coroutine back to idle, whatever it was doing.
func (i *inflater) abandon(at event) {
	i.in, i.last = nil, true
	for at != idle {
		at, _ = i.resume()
	}
}
