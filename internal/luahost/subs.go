package luahost

import (
	"moongate/internal/engine"
	"moongate/internal/netio"
)

// subs is what a request knows of its subrequests, so that they end with the handler that waits for them, as nginx has it.
type subs struct {
	running []*Ctx // of the main request: handlers of subrequests
	batches *Batch // that the request itself waits for
}

// Batch is subrequests that are served at the same time, on tasks of their own.
type Batch struct {
	Tasks []*netio.Task // nil before the start and after the end
	Over  bool          // nothing more is to be started
	next  *Batch
}

// Begin makes b known while the request waits for it; End follows.
func (b *Batch) Begin(x *Ctx) { b.next, x.subs.batches = x.subs.batches, b }

// End forgets b.
func (b *Batch) End(x *Ctx) {
	for p := &x.subs.batches; *p != nil; p = &(*p).next {
		if *p == b {
			*p, b.next = b.next, nil
			return
		}
	}
}

// enlist notes that a handler of a subrequest runs; the result is for delist.
func (x *Ctx) enlist() (main *Ctx) {
	if x.R.IsMain() {
		return nil
	}
	if main = Existing(x.R.Main); main != nil {
		main.subs.running = append(main.subs.running, x)
	}
	return main
}

func (x *Ctx) delist(main *Ctx) {
	if main == nil {
		return
	}
	list := main.subs.running
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == x {
			main.subs.running = append(list[:i], list[i+1:]...)
			return
		}
	}
}

// endSubs ends the subrequests that the request's handler waits for: the handler is being ended itself.
func (x *Ctx) endSubs() {
	if x.NoAbort == 0 {
		return
	}
	if main := Existing(x.R.Main); main != nil {
		for _, s := range append([]*Ctx(nil), main.subs.running...) {
			if s != x && within(s.R, x.R) && s.Interrupt(int(engine.StatusClientClosed)) {
				s.ExitCode, s.Exited = int(engine.StatusClientClosed), true
			}
		}
	}
	for b := x.subs.batches; b != nil; b = b.next {
		b.Over = true
		for _, t := range b.Tasks {
			if t != nil {
				x.R.W.Loop.Kill(t)
			}
		}
	}
}

// within says whether s was made by r or by a subrequest of it.
func within(s, r *engine.Request) bool {
	for ; s != nil; s = s.Parent {
		if s == r {
			return true
		}
	}
	return false
}
