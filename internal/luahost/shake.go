package luahost

import (
	"errors"
	"sync"
	"unsafe"

	"moongate/internal/base/nlog"
	"moongate/internal/engine"
	"moongate/internal/lua"
)

// Shake is what Lua knows of a TLS handshake: the hooks of one connection run with it, one after the other, and share
// ngx.ctx. It is the Data of its Context.
type Shake struct {
	Background
	H *engine.Handshake
	// ExitCode is what ngx.exit was given, Exited that it was called.
	ExitCode int
	Exited   bool
	// SessionID and Session are those that ssl_session_fetch_by_lua and ssl_session_store_by_lua are about.
	SessionID, Session []byte
	// Choice belongs to the package of ngx.ssl.
	Choice any
	lw     *Worker
}

// ErrShakeEnded is the error of a hook that has failed, or has called ngx.exit with an error.
var ErrShakeEnded = errors.New("the handshake is refused")

// ShakeOf gives the Shake of a handshake, made at the first hook.
func ShakeOf(h *engine.Handshake) *Shake {
	if s, ok := h.Value.(*Shake); ok {
		return s
	}
	s := &Shake{H: h, lw: WorkerOf(h.Worker, h.HTTP)}
	s.origin = &origin{remote: h.Conn.Remote}
	if l := h.Conn.Listener; l != nil {
		s.server = l.Conf().Text
	}
	s.number = h.Worker.Plane.NextConnID()
	s.ctx.Data = s
	s.ctx.SetExdata(uintptr(unsafe.Pointer(s)))
	h.Value = s
	shakes.Store(uintptr(unsafe.Pointer(s)), s)
	return s
}

// shakes are those under way, by the address that FFI libraries know them by.
var shakes sync.Map

// ShakeAt gives the Shake that an FFI library knows by an address, nil when it is none.
func ShakeAt(addr uintptr) *Shake {
	s, _ := shakes.Load(addr)
	sh, _ := s.(*Shake)
	return sh
}

// Phase is the phase of the hook that runs.
func (s *Shake) Phase() lua.Phase { return s.phase }

// Run runs the code of a phase. An error means that the handshake must not go on; it has been logged.
func (s *Shake) Run(code *lua.Code, phase lua.Phase) error {
	s.phase, s.scope, s.log = phase, s.H.Server.Scope, s.H.Server.Loc.Core.Logger()
	s.ExitCode, s.Exited = 0, false
	s.ctx.SetLogLevel(lua.Level(min(s.log.Level(), nlog.Debug)))
	if s.log.On(nlog.Debug) {
		s.lw.logLoad(code, s)
	}
	chunk, err := s.lw.VM.Load(code)
	if err != nil {
		s.Logf(nlog.Error, "%s", err)
		s.ExitCode = 500
		return ErrShakeEnded
	}
	res := chunk.Run(&s.ctx, phase)
	s.holder.Drop()
	if res.Status == lua.Failed {
		s.Logf(nlog.Error, "%s", res.Err.Error())
		s.ExitCode = 500
	}
	if s.ExitCode == int(engine.Error) || s.ExitCode >= 400 {
		return ErrShakeEnded
	}
	return nil
}

// End ends the Shake. When its code has used ngx.ctx and the handshake has succeeded the connection keeps it, for its
// requests to see what is there.
func (s *Shake) End(ok bool) {
	shakes.Delete(uintptr(unsafe.Pointer(s)))
	s.holder.Drop()
	if _, used := s.ctx.CtxRef(); used && ok {
		s.H.State.Kept = s
		return
	}
	s.ctx.Release()
}

// ConnEnds gives up what the connection has kept.
func (s *Shake) ConnEnds() {
	if !s.lw.gone { // else it is gone with the VM
		s.ctx.Release()
	}
}

// inheriting makes the ngx.ctx of a request of that of the handshake: what it does not have itself it finds there.
var inheriting = lua.NewCode("return setmetatable({}, { __index = ... })", "=ngx.ctx")

// inherit lets the request see the ngx.ctx of its connection's handshake.
func (x *Ctx) inherit(kept any) {
	s, ok := kept.(*Shake)
	if !ok || s.lw != x.W {
		return
	}
	from, _ := s.ctx.CtxRef()
	chunk, err := x.W.VM.Load(inheriting)
	if err != nil {
		return
	}
	chunk.RunWith(nil, lua.PhaseInit, func(w *lua.Writer) { w.Ref(from) }, func(c *lua.Call) {
		if ref, err := c.Ref(1); err == nil {
			x.SetCtxTable(x.W.VM, ref)
		}
	})
}

// ShakeFromCall gives the Shake a Lua function was called in; nil elsewhere.
func ShakeFromCall(c *lua.Call) *Shake {
	ctx := c.Context()
	if ctx == nil {
		return nil
	}
	s, _ := ctx.Data.(*Shake)
	return s
}

// backgroundOf is the run of a call that belongs to no request.
func backgroundOf(c *lua.Call) (*Background, bool) {
	ctx := c.Context()
	if ctx == nil {
		return nil, false
	}
	switch b := ctx.Data.(type) {
	case *Background:
		return b, true
	case *Shake:
		return &b.Background, true
	}
	return nil, false
}
