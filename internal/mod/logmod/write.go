package logmod

import (
	"bytes"
	"compress/gzip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/netio"
)

// perWorker is what a worker keeps: memory for a line, and open files of names with variables.
type perWorker struct {
	line  []byte
	names map[*nameCache]*openNames
}

var slot = engine.NewWorkerSlot()

func stateOf(w *engine.Worker) *perWorker {
	s, _ := w.Values[slot].(*perWorker)
	if s == nil {
		s = &perWorker{line: make([]byte, 0, 1024), names: map[*nameCache]*openNames{}}
		w.Values[slot] = s
	}
	return s
}

// log is the step of the log phase.
func log(r *engine.Request) engine.Status {
	s := stateOf(r.W)
	for _, t := range loc.Of(r.Scope).logs {
		if t.filter != nil && !isTrue(t.filter.Eval(r)) {
			continue
		}
		// Evaluating a variable must not find the line in use.
		line := s.line[:0]
		s.line = nil
		line = t.format.append(line, r)
		if t.syslog == nil {
			line = append(line, '\n')
		}
		t.write(r, line)
		if cap(line) <= keptLine || s.line == nil {
			s.line = line
		}
	}
	return engine.OK
}

// keptLine is the size up to which the memory of a line is kept.
const keptLine = 64 << 10

func isTrue(b []byte) bool { return len(b) > 1 || len(b) == 1 && b[0] != '0' }

func (t *target) write(r *engine.Request, line []byte) {
	switch {
	case t.syslog != nil:
		if t.syslog.Send(t.syslog.Severity(), line) != nil {
			r.Logf(nlog.Warn, "send() to syslog failed")
		}
	case t.path != nil:
		t.writeNamed(r, line)
	case t.file.size > 0:
		t.file.buffer(r.W).add(r.W, line)
	default:
		n, err := t.file.Write(line)
		if err != nil || n < len(line) {
			t.quiet.complain(r.Logger, r, t.file.Name(), n, len(line), err)
		}
	}
}

// quiet keeps a log that cannot be written from filling the error log: one line in a minute.
type quiet struct{ last atomic.Int64 }

func (q *quiet) complain(log *nlog.Logger, src nlog.Source, name string, n, size int, err error) {
	now := time.Now().Unix()
	if last := q.last.Load(); now-last <= 59 || !q.last.CompareAndSwap(last, now) {
		return
	}
	if err != nil {
		log.Logf(nlog.Alert, src, err, "write() to \"%s\" failed", name)
		return
	}
	log.Logf(nlog.Alert, src, nil, "write() to \"%s\" was incomplete: %d of %d", name, n, size)
}

// file is a log file with a fixed name.
type file struct {
	*nlog.File
	buffering
	report  *nlog.Logger // for failures outside of requests
	quiet   quiet
	buffers []*buffer // by worker
}

// buffering says how lines are gathered; size 0 is not at all.
type buffering struct {
	size  int
	flush time.Duration
	gzip  int
}

// buffer holds the lines of one worker for one file. Only its worker adds lines, others may have them written.
type buffer struct {
	f     *file
	mu    sync.Mutex
	b     []byte
	timer netio.Timer
}

// makeBuffers prepares the buffers of a snapshot's files.
func makeBuffers(p *engine.Plane, h *engine.HTTP) error {
	for _, f := range mainLevel.Of(h.Scope).files {
		if f.size == 0 {
			continue
		}
		for range p.Workers() {
			b := &buffer{f: f}
			b.timer.Init(b.write)
			f.buffers = append(f.buffers, b)
		}
		f.OnReopen(func() {
			for _, b := range f.buffers {
				b.write()
			}
		})
	}
	return nil
}

func (f *file) buffer(w *engine.Worker) *buffer { return f.buffers[w.ID] }

func (b *buffer) add(w *engine.Worker, line []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.b)+len(line) > b.f.size {
		b.drain()
	}
	if len(line) > b.f.size {
		w.Loop.Disarm(&b.timer)
		b.f.put(line)
		return
	}
	if b.b == nil {
		b.b = make([]byte, 0, b.f.size)
	}
	if len(b.b) == 0 && b.f.flush > 0 {
		w.Loop.Arm(&b.timer, w.Loop.Now()+int64(b.f.flush))
	}
	b.b = append(b.b, line...)
}

// write puts out what is there.
func (b *buffer) write() {
	b.mu.Lock()
	b.drain()
	b.mu.Unlock()
}

func (b *buffer) drain() {
	if len(b.b) > 0 {
		b.f.put(b.b)
		b.b = b.b[:0]
	}
}

// put writes lines, compressed where that is asked for.
func (f *file) put(p []byte) {
	if f.gzip > 0 {
		p = squeeze(p, f.gzip)
	}
	if n, err := f.Write(p); err != nil || n < len(p) {
		f.quiet.complain(f.report, nil, f.Name(), n, len(p), err)
	}
}

// squeeze makes one member of a gzip file; a file of several members is one file again when it is unpacked.
func squeeze(p []byte, level int) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		panic("logmod: compression level was not checked")
	}
	z.Write(p)
	z.Close()
	return out.Bytes()
}

// writeNamed writes to a file whose name has variables.
func (t *target) writeNamed(r *engine.Request, line []byte) {
	if !rootExists(r) {
		return
	}
	name := t.path.Eval(r)
	cache := loc.Of(r.Scope).cache.V
	fd, once, err := -1, true, error(nil)
	if cache == nil {
		fd, err = nlog.OpenAppend(string(name))
	} else {
		fd, once, err = stateOf(r.W).open(cache, name, r.W.Loop.Wall())
	}
	if err != nil {
		r.LogErr(nlog.Crit, err, "open() \"%s\" failed", name)
		return
	}
	n, err := syscall.Write(fd, line)
	if once {
		syscall.Close(fd)
	}
	if err != nil || n < len(line) {
		t.quiet.complain(r.Logger, r, string(name), n, len(line), err)
	}
}

// rootExists tests the root of the location: names are often made of the client's Host, and only sites that are there
// shall have logs.
func rootExists(r *engine.Request) bool {
	if r.RootTested {
		return true
	}
	name, root := r.FileName(0)
	if name == nil {
		return false
	}
	path := string(name[:root])
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	if err == nil && st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		err = syscall.ENOTDIR
	}
	if err != nil {
		r.LogErr(nlog.Error, err, "testing \"%s\" existence failed", path)
		return false
	}
	return true
}

func stopWorker(w *engine.Worker) { retireWorker(w, w.HTTP) }

// retireWorker writes what a worker still has for a snapshot, and closes its files.
func retireWorker(w *engine.Worker, h *engine.HTTP) {
	for _, f := range mainLevel.Of(h.Scope).files {
		if f.size > 0 {
			b := f.buffer(w)
			w.Loop.Disarm(&b.timer)
			b.write()
		}
	}
	s := stateOf(w)
	h.EachLocation(func(_ *engine.Server, l *engine.Location) { s.forget(loc.Of(l.Scope)) })
}

func (s *perWorker) forget(c *config) {
	if o := s.names[c.cache.V]; o != nil {
		o.close()
		delete(s.names, c.cache.V)
	}
}

func trimWorker(w *engine.Worker) {
	s := stateOf(w)
	for c, o := range s.names {
		o.expire(c, w.Loop.Wall())
	}
}
