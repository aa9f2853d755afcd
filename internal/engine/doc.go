// Package engine serves HTTP requests: the http block compiled to servers and locations, the phases and filters a
// request runs through, its variables, body, redirects and subrequests, and the workers that carry the connections.
//
// The engine knows no feature. Modules (Module) bring directives, variables and steps, filters (Filter) stand in one
// list; drivers (edge/h1, ...) turn bytes into requests and are reached through Stream. A request belongs to one worker
// and is served straight-line by whichever goroutine holds the worker's baton; code that waits parks.
//
// Bytes handed around as []byte belong to the request (its arena, its read buffer) and live until it ends, unless a
// contract says otherwise.
package engine
