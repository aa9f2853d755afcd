package engine

import (
	"errors"
	"time"

	"moongate/internal/base/nlog"
)

var errGone = errors.New("client has gone")

// Delay holds a request back. It parks; when the client leaves meanwhile, it ends early with the status to finish with,
// else with OK.
func (r *Request) Delay(d time.Duration) Status {
	w, watching := r.Stream.(Watcher)
	if watching = watching && r.IsMain(); watching {
		task := r.W.Loop.Current()
		w.Watch(func() { r.W.Loop.ReadyErr(task, errGone) })
	}
	err := r.W.Loop.Sleep(d)
	if watching {
		w.Watch(nil)
	}
	switch err {
	case nil:
		return OK
	case errGone:
		r.Logf(nlog.Info, "client prematurely closed connection")
		return StatusClientClosed
	}
	return Error
}
