package luahost

import (
	"moongate/internal/base/nlog"
	"moongate/internal/engine"
)

// With lua_code_cache off each request has a VM of its own, which reads all code anew: edits are live. Who else needs
// the VM after the request (a timer that the request has made) holds it.

// ownVM gives the request a VM of its own.
func (x *Ctx) ownVM() {
	home := x.W
	vm, err := home.Make()
	if err != nil {
		x.R.Logf(nlog.Error, "%s", err)
		x.R.Logf(nlog.Error, "failed to initialize Lua VM")
		x.broken = true
		return
	}
	x.W = &Worker{W: home.W, H: home.H, VM: vm, Make: home.Make, private: true, users: 1, timers: home.timers}
	x.W.adopt()
}

// OwnVM says that the request has a VM of its own.
func (x *Ctx) OwnVM() bool { return x.W.private }

// ShareVM makes sub, a subrequest that Lua code of x makes, use x's VM: what they hand each other lives there.
func ShareVM(sub *engine.Request, x *Ctx) {
	if !x.W.private || Existing(sub) != nil {
		return
	}
	s := blank(sub)
	x.W.Hold()
	s.W = x.W
}

// Hold keeps the VM for one user more; Release ends that. Both are for whoever keeps something of Lua beyond the
// request that made it, and do nothing where all requests share a VM.
func (w *Worker) Hold() {
	if w.private {
		w.users++
	}
}

// Release ends a use; the VM of one request is closed with its last user.
func (w *Worker) Release() {
	if !w.private {
		return
	}
	log := w.W.Plane.Params().Log
	if log.On(nlog.Debug) {
		log.Logf(nlog.Debug, nil, nil, "lua decrementing the reference count for Lua VM: %d", w.users)
	}
	if w.users--; w.users > 0 {
		return
	}
	// The last user may be a function called from this very VM.
	w.W.Loop.Go(w.close)
}

func (w *Worker) close() {
	log := w.W.Plane.Params().Log
	if log.On(nlog.Debug) {
		log.Logf(nlog.Debug, nil, nil, "lua close the global Lua VM %p", w.VM)
	}
	w.Close()
	w.VM.Close()
}
