package engine

import (
	"moongate/internal/conf"
)

// Handler serves or judges a request in a phase. It may park.
type Handler func(r *Request) Status

// Step is a handler that a module adds to a phase of every location where Active says so.
type Step struct {
	Phase  Phase
	Active func(s *conf.Scope) bool // nil: always
	Run    Handler
}

// Filter stands in the one visible list of filters. Header runs once, when the response head is about to leave, and
// installs the body part where it applies (Request.UseBody). A filter is addressed by its place in the list.
type Filter struct {
	Name   string
	Active func(s *conf.Scope) bool // nil: always
	Header func(r *Request) Status
	Body   func(r *Request, c *Chunk) error // passes on with r.Next(c)
	// InMemory keeps pieces of files from Body: it gets their bytes. Such a filter stands below Copy.
	InMemory bool
	index    int
}

// Module is one feature of the http block: its directives and what it does to requests.
type Module struct {
	conf.Module
	Vars  []Var
	Steps []Step
	// Setup runs when the http block has been read and merged.
	Setup func(h *HTTP) error
	// Init runs once per snapshot before the workers meet it, outside of any worker (init_by_lua). An error refuses the
	// snapshot.
	Init func(p *Plane, h *HTTP) error
	// StartWorker and StopWorker run in every worker, with the baton.
	StartWorker func(w *Worker) error
	StopWorker  func(w *Worker)
	// DrainWorker runs in every worker when it begins to stop gracefully.
	DrainWorker func(w *Worker)
	// ReloadWorker runs in every worker when it takes over a new snapshot after a reload; StartWorker does at the start.
	ReloadWorker func(w *Worker, h *HTTP)
	// RetireWorker runs in every worker when it does not use a replaced snapshot any more.
	RetireWorker func(w *Worker, h *HTTP)
	// TrimWorker gives memory back: the worker has been idle for a while after a load.
	TrimWorker func(w *Worker)
	// CalmWorker is called when the worker has been idle for a while, however little it did before.
	CalmWorker func(w *Worker)
}
