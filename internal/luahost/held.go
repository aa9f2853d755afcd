package luahost

import (
	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/lua"
)

// Holder is what a request, or another run of Lua code, has open: sockets and the like, which must not outlive it.
// Embed it; the zero Holder is ready.
type Holder struct {
	first  *Held
	serial uint64
	past   bool // something was let go
}

// Held is one thing of a Holder, embedded in what is held.
type Held struct {
	prev, next *Held
	of         *Holder
	drop       Dropper
}

// Dropper is told that its Holder ends.
type Dropper interface{ DropHeld() }

// Serial is a number that no other use of the Holder's memory by this worker has.
func (h *Holder) Serial(w *Worker) uint64 {
	if h.serial == 0 {
		w.serials++
		h.serial = w.serials
	}
	return h.serial
}

// Hold makes the Holder call d.DropHeld at its end, unless x is let go before. It tells whether something was let go
// before.
func (h *Holder) Hold(x *Held, d Dropper) (again bool) {
	if x.of != nil {
		x.LetGo()
	}
	x.of, x.drop, x.prev, x.next = h, d, nil, h.first
	if h.first != nil {
		h.first.prev = x
	}
	h.first = x
	return h.past
}

// LetGo takes x out of its Holder's hands.
func (x *Held) LetGo() {
	if x.of == nil {
		return
	}
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		x.of.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.of.past = true
	x.prev, x.next, x.of = nil, nil, nil
}

// Drop ends all that is held.
func (h *Holder) Drop() {
	for h.first != nil {
		x := h.first
		x.LetGo()
		x.drop.DropHeld()
	}
	h.serial, h.past = 0, false
}

// Holding is implemented by what Context.Data may be, other than *Ctx: the state of a timer, for instance.
type Holding interface {
	Held() *Holder
	// Scope is the configuration in force.
	Scope() *conf.Scope
}

// HolderOf gives the Holder of the run a function was called in; nil where there is none.
func HolderOf(c *lua.Call) *Holder {
	ctx := c.Context()
	if ctx == nil {
		return nil
	}
	switch x := ctx.Data.(type) {
	case *Ctx:
		return &x.Holder
	case Holding:
		return x.Held()
	}
	return nil
}

// RootHolder is the Holder that sockets live with: for a subrequest that of the client's request, as in OpenResty.
func RootHolder(c *lua.Call) *Holder {
	if x := FromCall(c); x != nil && !x.R.IsMain() {
		return &Of(x.R.Main).Holder
	}
	return HolderOf(c)
}

// ScopeOf is the configuration in force where a function was called: of the request, else of the http block.
func ScopeOf(c *lua.Call) *conf.Scope {
	if ctx := c.Context(); ctx != nil {
		switch x := ctx.Data.(type) {
		case *Ctx:
			return x.R.Scope
		case Holding:
			return x.Scope()
		}
	}
	if w := EngineWorker(c); w != nil {
		return w.HTTP.Scope
	}
	return nil
}

// Source is who log lines of a call are about: the request, or nobody.
func Source(c *lua.Call) nlog.Source {
	if r := Request(c); r != nil {
		return r
	}
	if b, ok := backgroundOf(c); ok {
		return b
	}
	return nil
}

// Slot names what a package of the Lua API keeps with each Worker.
type Slot int

var slots int

// NewSlot makes a Slot; called at package-variable initialisation.
func NewSlot() Slot { slots++; return Slot(slots - 1) }

// Value gives what a package keeps, nil at first.
func (w *Worker) Value(s Slot) any {
	if int(s) >= len(w.values) {
		return nil
	}
	return w.values[s]
}

// SetValue keeps a value. One that has a method Close() is closed when the Worker's VM is.
func (w *Worker) SetValue(s Slot, v any) {
	for len(w.values) < slots {
		w.values = append(w.values, nil)
	}
	w.values[s] = v
}

// Trim gives up what is kept for reuse; packages do with a method Trim() of the value they keep.
func (w *Worker) Trim() {
	w.free = nil
	for _, v := range w.values {
		if v, ok := v.(interface{ Trim() }); ok {
			v.Trim()
		}
	}
}

// Close ends what packages keep; the VM is about to be closed or the worker to stop.
func (w *Worker) Close() {
	w.gone = true
	if w.watchman != nil {
		w.watchman.Stop()
	}
	for i, v := range w.values {
		if v, ok := v.(interface{ Close() }); ok {
			v.Close()
		}
		w.values[i] = nil
	}
}

// CallWorker is the Worker of a call; nil before the workers run.
func CallWorker(c *lua.Call) *Worker {
	w, _ := c.VM().Data.(*Worker)
	return w
}
