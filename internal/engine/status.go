package engine

// Status is what a phase handler or filter answers: a positive value is an HTTP status to finish the request with.
type Status int

// Answers that are not HTTP statuses.
const (
	OK       Status = 0    // this handler is content; in the access phase: allowed
	Error    Status = -1   // the connection is beyond repair
	Declined Status = -5   // not mine: the next handler of the phase
	Done     Status = -4   // the response has been made by other means (the request was taken over)
	Restart  Status = -100 // the request goes through the phases again: an internal redirect was made
	Detached Status = -101 // the request goes on without a task: see Request.Detach
)

// nginx's own statuses, never sent as such.
const (
	StatusClose               Status = 444 // close the connection without an answer
	StatusRequestHeaderTooBig Status = 494
	StatusCertError           Status = 495
	StatusNoCert              Status = 496
	StatusToHTTPS             Status = 497
	StatusClientClosed        Status = 499
)

// Phase is a place in a request's life where modules run.
type Phase uint8

// The phases in their order. What nginx calls find-config and post-rewrite is the engine's own and has no steps.
const (
	PostRead Phase = iota
	ServerRewrite
	Rewrite
	Preaccess
	Access
	PostAccess
	Precontent
	Content
	Log
	phaseCount
)

var phaseNames = [...]string{"post read", "server rewrite", "rewrite", "preaccess", "access", "post access", "precontent", "content", "log"}

func (p Phase) String() string { return phaseNames[p] }
