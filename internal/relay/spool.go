package relay

import (
	"os"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/netio"
)

// spool is what of a response lies in a temporary file because the client is slower than the server. While there is
// such, a task of its own, the feeder, passes it on; the exchange's own task reads the server and writes the file.
type spool struct {
	file    *engine.File
	os      *os.File
	wrote   int64
	fed     int64
	feeding bool
	stop    bool        // the exchange has ended: nobody wants the rest
	failed  bool        // the client is gone
	waiting *netio.Task // for the feeder to end
	off     bool        // the disk does not take more
	told    bool        // the log was
}

// feedPiece is how much of the file is queued at once; it takes no memory.
const feedPiece = 256 << 10

// spools reports whether the response may go to a temporary file.
func (x *Exchange) spools() bool {
	return x.Conf.MaxTempFile.V > 0 && !x.spool.off && x.R.IsMain() && !x.R.PostAction
}

// deliver passes a piece on: to the client, or to the file when more waits there. False: there is no client.
func (x *Exchange) deliver(p []byte) bool {
	if x.store != nil {
		x.store.write(x, p)
	}
	if x.deaf {
		return true
	}
	s := &x.spool
	if s.feeding && !x.spoolWrite(p) {
		x.joinFeeder()
	}
	switch {
	case s.feeding:
		return true
	case !s.failed && x.R.Output(&engine.Chunk{Data: p}) == nil:
		return true
	}
	return x.clientLost()
}

// clientLost reports whether the exchange goes on without a client: a response that is stored is read to its end.
func (x *Exchange) clientLost() bool {
	x.deaf = x.store != nil || x.R.Beside
	return x.deaf
}

// spoolWrite appends to the file, which is made for the first piece. False: it is full, or the disk is.
func (x *Exchange) spoolWrite(p []byte) bool {
	s, r := &x.spool, x.R
	if s.failed || s.wrote+int64(len(p)) > x.Conf.MaxTempFile.V {
		return false
	}
	if s.os == nil {
		f, err := r.CreateTemp(x.Conf.Temp.V)
		if err != nil {
			s.off = true
			return false
		}
		if !s.told {
			s.told = true
			r.Logf(nlog.Warn, "an upstream response is buffered to a temporary file %s", f.Name())
		}
		os.Remove(f.Name())
		s.os, s.file = f, x.w.NewFile(f)
	}
	if _, err := s.os.WriteAt(p, s.wrote); err != nil {
		r.LogErr(nlog.Crit, err, "pwrite() \"%s\" failed", s.os.Name())
		s.off = true // the server has to wait for the client from now on
		return false
	}
	s.wrote += int64(len(p))
	return true
}

// startFeeder lets what is queued go on leaving while the server is read.
func (x *Exchange) startFeeder(low int64) {
	s := &x.spool
	s.feeding = true
	x.w.Loop.Go(func() {
		s.failed = !x.feed(low)
		s.feeding = false
		if s.waiting != nil {
			x.w.Loop.Ready(s.waiting)
		}
	})
}

func (x *Exchange) feed(low int64) bool {
	s, r := &x.spool, x.R
	for {
		if s.stop {
			return true
		}
		if r.Drain(low) != nil {
			return false
		}
		n := min(s.wrote-s.fed, feedPiece)
		if n == 0 || s.stop {
			return true
		}
		c := engine.Chunk{File: s.file, Off: s.fed, Len: n}
		s.fed += n
		if r.Output(&c) != nil {
			return false
		}
	}
}

// joinFeeder waits until the client has taken what was written so far, but for what the connection holds.
func (x *Exchange) joinFeeder() {
	s := &x.spool
	for s.feeding {
		s.waiting = x.w.Loop.Current()
		x.w.Loop.Park(0)
	}
	s.waiting = nil
	if s.file != nil && x.R.Pending() == 0 {
		// The next one is another file: the kernel may still be sending from the pages of this one.
		s.file.Unref()
		s.file, s.os, s.wrote, s.fed = nil, nil, 0, 0
	}
}

// endSpool gives the file back.
func (x *Exchange) endSpool() {
	s := &x.spool
	s.stop = true
	x.joinFeeder()
	if s.file != nil {
		s.file.Unref()
	}
	*s = spool{}
}
