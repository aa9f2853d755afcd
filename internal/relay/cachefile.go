package relay

import (
	"strconv"

	"moongate/internal/base/nlog"
	"moongate/internal/filecache"
	"moongate/internal/http1"
)

// beginKeep decides whether the response is kept, now that its head has been sent, and begins its file.
func (x *Exchange) beginKeep() {
	k, c := x.cache, &x.Conf.Caching
	if k == nil {
		return
	}
	now := x.w.Loop.Wall() / 1e9
	if !x.buffering() {
		k.keeps = false
	}
	x.closeKept()
	u := &k.use
	if k.keeps {
		for _, p := range c.NoKeep {
			k.keeps = k.keeps && !p.Any(x.R)
		}
	}
	if k.keeps && k.status == statusBypass && u.Find(now) == filecache.Full {
		x.R.Logger.Logf(nlog.Alert, nil, nil, "could not allocate node in cache keys zone \"%s\"", u.Cache().Name)
		k.keeps = false
	}
	if k.keeps && u.Valid == 0 {
		if n := c.validFor(x.Resp.Status); n != 0 {
			u.Valid = filecache.Later(now, n)
		}
		k.keeps = u.Valid != 0
	}
	if k.keeps {
		x.beginFile(now)
	}
	if x.store == nil {
		k.keeps = false
		u.Fail = 0
		u.Free()
	}
}

// beginFile makes the file and writes what stands before the response's body.
func (x *Exchange) beginFile(now int64) {
	u, resp := &x.cache.use, x.Resp
	u.Date, u.LastModified, u.ETag, u.Fail = now, -1, nil, 0
	if resp.Status == 200 || resp.Status == 206 {
		if t, ok := http1.ParseTime(resp.Get(http1.HLastModified)); ok {
			u.LastModified = t
		}
		u.ETag = resp.Get(http1.HETag)
	}
	head := appendHead(x.w.Buffer(4<<10), resp)
	defer func() { x.w.FreeBuffer(head) }()
	if !u.Fits(len(head)) {
		return
	}
	buf, ok := u.AppendHeader(x.w.Buffer(storePiece), len(head), now)
	if !ok {
		return
	}
	buf = append(buf, head...)
	f, err := x.createKept()
	if err != nil {
		x.w.FreeBuffer(buf)
		return
	}
	x.store = &stored{f: f, use: u, buf: buf}
}

// appendHead appends the head of a response as it stands in files.
func appendHead(dst []byte, resp *http1.Response) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	if len(resp.StatusText) > 0 {
		dst = append(dst, resp.StatusText...)
	} else {
		dst = append(strconv.AppendInt(dst, int64(resp.Status), 10), ' ')
	}
	dst = append(dst, "\r\n"...)
	length := false
	for i := range resp.List {
		h := &resp.List[i]
		if h.Name == nil {
			continue
		}
		length = length || h.ID == http1.HContentLength
		dst = append(append(append(append(dst, h.Name...), ": "...), h.Value...), "\r\n"...)
	}
	if !length && !resp.Chunked && resp.ContentLength >= 0 {
		dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), resp.ContentLength, 10), "\r\n"...)
	}
	return append(dst, "\r\n"...)
}
