package engine

import (
	"bytes"

	"moongate/internal/http1"
)

// ErrorPage is one error_page directive.
type ErrorPage struct {
	Codes     []Status
	URI       *Template
	Args      []byte
	Overwrite int // -1: keep the error's status; 0: take the status of the page ("="); else that status
}

// specialResponse answers with an error or redirect: error_page where one is set, else a page of our own.
func (r *Request) specialResponse(st Status) Status {
	core := r.Core()
	switch st {
	case 400, 413, 414, 495, 496, 497, 500, 501:
		r.KeepAlive = false
	}
	r.ErrStatus = st
	r.Out.ContentType = nil
	if st != 400 && st != 494 || r.Server != nil { // the head was read
		if !r.errorPage && len(core.ErrorPages) > 0 && r.uriChanges >= 0 {
			if !core.RecursiveErrorPages.V {
				r.errorPage = true
			}
			for _, p := range core.ErrorPages {
				for _, c := range p.Codes {
					if c == st {
						return r.sendErrorPage(p, st)
					}
				}
			}
		}
	}
	r.expect = max(r.expect, refused)
	if st := r.DiscardBody(); st != OK {
		r.KeepAlive = false
	}
	if core.MSIERefresh.V && r.isMSIE() && (st == 301 || st == 302) {
		return r.sendRefresh()
	}
	if st >= 494 && st <= 497 {
		r.ErrStatus = 400
	}
	return r.sendOwnPage(st)
}

func (r *Request) isMSIE() bool {
	return http1.DetectBrowser(r.In.Get(http1.HUserAgent))&http1.BrowserMSIE != 0
}

// wantsPadding reports whether the client is a browser that shows short error pages of its own making instead.
func (r *Request) wantsPadding() bool {
	ua := r.In.Get(http1.HUserAgent)
	if http1.DetectBrowser(ua)&http1.BrowserMSIE != 0 {
		return true
	}
	return bytes.Contains(ua, []byte("Chrome/")) && !bytes.Contains(ua, []byte("Gecko/")) && !bytes.Contains(ua, []byte("Opera"))
}

// hasErrorPage reports whether an error_page directive answers for the status.
func (r *Request) hasErrorPage(st Status) bool {
	if r.errorPage || r.uriChanges <= 0 {
		return false
	}
	for _, p := range r.Core().ErrorPages {
		for _, c := range p.Codes {
			if c == st {
				return true
			}
		}
	}
	return false
}

// sendErrorPage follows an error_page: an internal redirect, a named location or an external redirect.
func (r *Request) sendErrorPage(p *ErrorPage, st Status) Status {
	if p.Overwrite > 0 && p.Overwrite != 200 {
		r.expect = max(r.expect, refused)
	}
	if p.Overwrite >= 0 {
		r.ErrStatus = Status(p.Overwrite)
	}
	uri := p.URI.Eval(r)
	if len(uri) > 0 && uri[0] == '/' {
		args := p.Args
		if !p.URI.IsLiteral() {
			uri, args = splitArgs(uri)
		}
		if r.Method&(http1.MethodGet|http1.MethodHead) == 0 {
			r.Method, r.MethodName = http1.MethodGet, nameGET
		}
		return r.InternalRedirect(uri, args)
	}
	if len(uri) > 0 && uri[0] == '@' {
		return r.NamedRedirect(uri)
	}
	r.expect = max(r.expect, refused)
	if st := r.DiscardBody(); st != OK {
		r.KeepAlive = false
	}
	r.Expose(uri)
	switch p.Overwrite {
	case 301, 302, 303, 307, 308:
	default:
		r.ErrStatus = 302
	}
	if r.Core().MSIERefresh.V && r.isMSIE() {
		return r.sendRefresh()
	}
	return r.sendOwnPage(r.ErrStatus)
}

// Expose sets the Location header of a redirect. One that begins with a slash gets scheme and host (absolute_redirect);
// Location headers that others set are sent as they are.
func (r *Request) Expose(uri []byte) {
	r.DelHeaderOut(http1.HLocation)
	r.AddHeader(http1.HLocation, nameLocation, uri)
	r.Out.OwnLocation = true
}

func splitArgs(uri []byte) ([]byte, []byte) {
	if i := bytes.IndexByte(uri, '?'); i >= 0 {
		return uri[:i], uri[i+1:]
	}
	return uri, nil
}

// sendOwnPage answers with the built-in page of a status.
func (r *Request) sendOwnPage(st Status) Status {
	r.Out.List = dropHeaders(r.Out.List, http1.HLastModified, http1.HAcceptRanges, http1.HETag)
	r.Out.LastModified = -1
	r.Out.AcceptRanges = false
	if r.Out.Status == 0 || r.ErrStatus != 0 {
		r.Out.Status = r.ErrStatus
		r.Out.StatusLine = nil
	}
	page := r.ownPage(st)
	if page == nil {
		r.Out.ContentType = nil
		r.Out.ContentLength = 0
		if st == 204 || st == 304 {
			r.Out.ContentLength = -1
		}
		return r.sendSpecial(nil)
	}
	r.Out.ContentType = typeHTML
	r.Out.ContentLength = int64(len(page))
	return r.sendSpecial(page)
}

func (r *Request) sendSpecial(page []byte) Status {
	if st := r.SendHead(); st != OK {
		return st
	}
	if r.HeadOnly {
		return OK
	}
	if r.Output(&Chunk{Data: page, Last: true}) != nil {
		return Error
	}
	return OK
}

// sendRefresh answers a redirect for very old browsers with a page (msie_refresh).
func (r *Request) sendRefresh() Status {
	h := r.HeaderOut(http1.HLocation)
	if h == nil {
		return r.sendOwnPage(r.ErrStatus)
	}
	loc := h.Value
	h.Name = nil
	page := append(r.Alloc(200 + 3*len(loc))[:0], "<html><head><meta http-equiv=\"Refresh\" content=\"0; URL="...)
	page = http1.AppendEscape(page, loc, http1.EscapeRefresh)
	page = append(page, "\"></head><body></body></html>\r\n"...)
	r.Out.Status = 200
	r.ErrStatus = 200
	r.Out.ContentType = typeHTML
	r.Out.ContentLength = int64(len(page))
	return r.sendSpecial(page)
}

// pageTitles are the headlines of the built-in pages; a status without one is answered without a body.
var pageTitles = map[Status]string{
	301: "301 Moved Permanently", 302: "302 Found", 303: "303 See Other", 307: "307 Temporary Redirect", 308: "308 Permanent Redirect",
	400: "400 Bad Request", 401: "401 Authorization Required", 402: "402 Payment Required", 403: "403 Forbidden", 404: "404 Not Found",
	405: "405 Not Allowed", 406: "406 Not Acceptable", 407: "407 Proxy Authentication Required", 408: "408 Request Time-out", 409: "409 Conflict", 410: "410 Gone",
	411: "411 Length Required", 412: "412 Precondition Failed", 413: "413 Request Entity Too Large", 414: "414 Request-URI Too Large",
	415: "415 Unsupported Media Type", 416: "416 Requested Range Not Satisfiable", 421: "421 Misdirected Request", 429: "429 Too Many Requests",
	494: "400 Request Header Or Cookie Too Large", 495: "400 The SSL certificate error", 496: "400 No required SSL certificate was sent",
	497: "400 The plain HTTP request was sent to HTTPS port", 498: "404 Not Found",
	500: "500 Internal Server Error", 501: "501 Not Implemented", 502: "502 Bad Gateway", 503: "503 Service Temporarily Unavailable",
	504: "504 Gateway Time-out", 505: "505 HTTP Version Not Supported", 507: "507 Insufficient Storage",
}

// pageDetails are second headlines.
var pageDetails = map[Status]string{
	494: "Request Header Or Cookie Too Large", 495: "The SSL certificate error", 496: "No required SSL certificate was sent",
	497: "The plain HTTP request was sent to HTTPS port",
}

func (r *Request) ownPage(st Status) []byte {
	title := pageTitles[st]
	if title == "" {
		return nil
	}
	if r.Explanation != nil {
		return r.Explanation
	}
	core := r.Core()
	head := title
	if d := pageDetails[st]; d != "" {
		head = "400 Bad Request"
	}
	b := append(r.scratch[:0], "<html>\r\n<head><title>"...)
	b = append(append(b, title...), "</title></head>\r\n<body>\r\n<center><h1>"...)
	b = append(append(b, head...), "</h1></center>\r\n"...)
	if d := pageDetails[st]; d != "" {
		b = append(append(append(b, "<center>"...), d...), "</center>\r\n"...)
	}
	b = append(b, "<hr><center>"...)
	b = append(append(b, r.ServerToken()...), "</center>\r\n</body>\r\n</html>\r\n"...)
	if core.MSIEPadding.V && st >= 400 && r.wantsPadding() && r.In.Version >= http1.Version10 {
		for range 6 {
			b = append(b, "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"...)
		}
	}
	r.scratch = b
	return b
}

// AnswerInstead is for header filters: the response is dropped with all that modules kept for it, and the request is to
// end with st, which the filter returns. The connection is closed afterwards: a handler may be about to send a body.
func (r *Request) AnswerInstead(st Status) Status {
	list, trailers := r.Out.List[:0], r.Out.Trailers[:0]
	r.Out = HeadersOut{List: list, Trailers: trailers, ContentLength: -1, LastModified: -1}
	for i, v := range r.ctx {
		// The code that the filter stopped may still be at work with it.
		if c, ok := v.(CtxReleaser); ok {
			r.Cleanup(c.ReleaseCtx)
		}
		r.ctx[i] = nil
	}
	r.filterMask = 0
	r.instead = true
	return st
}

func dropHeaders(list []http1.Header, ids ...http1.HeaderID) []http1.Header {
	for i := range list {
		for _, id := range ids {
			if list[i].ID == id {
				list[i].Name = nil
			}
		}
	}
	return list
}

// RejectHead answers a request whose head is faulty: the driver found state st. The connection is closed after it.
func (r *Request) RejectHead(st Status) {
	defer r.rescue()
	r.KeepAlive = false
	if r.finish(st) == Restart {
		r.serve(r.restartAt)
	}
}
