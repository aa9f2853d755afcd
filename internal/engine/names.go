package engine

import "moongate/internal/http1"

const (
	hdrWWWAuthenticate = http1.HWWWAuthenticate
)

// Byte forms of names the engine writes itself.
var (
	nameLocation = []byte("Location")
	nameGET      = []byte("GET")
	typeHTML     = []byte("text/html")
)
