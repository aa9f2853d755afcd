// Package emptygif answers with a transparent picture of one pixel (empty_gif), from memory.
package emptygif

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
	"moongate/internal/http1"
)

// Module is the empty_gif directive.
var Module = engine.Module{Module: conf.Module{Name: "empty_gif", Directives: []conf.Directive{
	{Name: "empty_gif", In: conf.Location, Args: conf.NoArgs, Doc: "Answers with a transparent GIF of one pixel.",
		Set: conf.Func(func(c *conf.Cmd) error {
			engine.LocationOf(c.Scope).Handler = serve
			return nil
		})},
}}}

// pixel is the picture (GIF89a): two colours, the second of which is the background, transparent, and all there is.
var pixel = []byte("GIF89a" +
	"\x01\x00\x01\x00\x80\x01\x00" + // screen of 1x1, table of two colours, background 1
	"\x00\x00\x00\xff\xff\xff" +
	"\x21\xf9\x04\x01\x00\x00\x01\x00" + // colour 1 is transparent
	"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00" + // image of 1x1 at 0,0
	"\x02\x02\x4c\x01\x00" + // codes of 3 bits: clear, 1, end
	"\x3b")

var typeGIF = []byte("image/gif")

// age is the picture's Last-Modified, 28 September 1970.
const age = 23349600

func serve(r *engine.Request) engine.Status {
	if r.Method&(http1.MethodGet|http1.MethodHead) == 0 {
		return 405
	}
	if st := r.DiscardBody(); st != engine.OK {
		return st
	}
	r.Out.Status = 200
	r.Out.LastModified = age
	r.Out.ContentType = typeGIF
	return r.SendText(pixel)
}
