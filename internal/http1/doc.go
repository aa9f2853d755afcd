// Package http1 is the HTTP/1.x codec: push parsers for requests, responses
// and chunked bodies over bytes the caller owns, the writers for the other
// direction, and the small grammars of HTTP header values (ranges, dates,
// cookies, entity tags). It behaves as nginx does, down to the words it has
// for a client's mistakes.
//
// Invariants:
//   - Parsers never read from anything and never keep the caller's bytes beyond
//     Reset; results are slices of the caller's buffer.
//   - A parser fed a message in pieces ends with the result it has for the
//     whole, whatever the pieces; the caller may move the bytes between calls.
//   - Nothing panics on what a peer sends, and the steady state allocates nothing.
//
// The package knows nothing of connections, configuration or requests beyond
// their heads; it imports base/ascii only.
package http1
