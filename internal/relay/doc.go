// Package relay passes a request on to an upstream server and its response back: what proxying over HTTP, gRPC, FastCGI
// and their like have in common. A Protocol writes the request and reads the response; everything else is here: the
// choice of the server and the next one after a failure, connecting, timeouts, the request body, the response head and
// its special fields, the body with back-pressure, upgraded connections, and what $upstream_... says of it all.
//
// An Exchange is one such passing-on. It is straight-line code in the task that serves the request; only a request body
// that goes up while the response comes down has a second task. Tunnels and silent streams have neither (upgrade.go, rest.go).
// What reaches the other side is always written anew from parsed form.
package relay
