package http1

import "moongate/internal/base/ascii"

// reasons holds the phrases nginx sends; codes without one get none.
var reasons = [600]string{
	100: "Continue", 101: "Switching Protocols", 103: "Early Hints",
	200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
	301: "Moved Permanently", 302: "Moved Temporarily", 303: "See Other", 304: "Not Modified",
	307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
	404: "Not Found", 405: "Not Allowed", 406: "Not Acceptable",
	407: "Proxy Authentication Required", 408: "Request Time-out", 409: "Conflict", 410: "Gone",
	411: "Length Required", 412: "Precondition Failed", 413: "Request Entity Too Large",
	414: "Request-URI Too Large", 415: "Unsupported Media Type",
	416: "Requested Range Not Satisfiable", 421: "Misdirected Request", 429: "Too Many Requests",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Temporarily Unavailable", 504: "Gateway Time-out",
	505: "HTTP Version Not Supported", 507: "Insufficient Storage",
}

// Reason returns nginx's phrase for a status code, or "".
func Reason(code int) string {
	if code < 0 || code >= len(reasons) {
		return ""
	}
	return reasons[code]
}

// AppendStatusLine appends "HTTP/1.1 code reason" and the line end; version is
// Version10 or Version11 (nginx always answers with the latter). An empty reason
// means nginx's own; a code it has none for is followed by a space only.
func AppendStatusLine(dst []byte, version, code int, reason string) []byte {
	if reason == "" {
		reason = Reason(code)
	}
	if version == Version10 {
		dst = append(dst, "HTTP/1.0 "...)
	} else {
		dst = append(dst, "HTTP/1.1 "...)
	}
	dst = ascii.AppendPadded(dst, uint64(max(code, 0)), 3)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, '\r', '\n')
}

// AppendHeader appends a header line. The bytes go out as they are: whoever
// takes them from a client or from Lua keeps CR and LF out.
func AppendHeader[N, V ascii.Bytes](dst []byte, name N, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}
