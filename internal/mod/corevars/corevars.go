// Package corevars has the variables of a request that belong to no feature: its line and headers, the connection, what
// was sent, the clock.
//
// Values are slices of what the request already holds wherever there is such; the others are written into the request's
// memory. Which values are kept for the life of the request and which are made anew at each use is as in nginx, where
// scripts can tell.
package corevars

import (
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// Module has variables only.
var Module = engine.Module{Module: conf.Module{Name: "core_variables"}, Vars: vars}

type get = func(r *engine.Request, v *engine.Var) ([]byte, bool)

var vars = []engine.Var{
	// The request line and what became of it.
	{Name: "request", Get: request, Doc: "The request line as received."},
	{Name: "request_method", Get: method, NoCache: true, Doc: "The method of the client's request."},
	{Name: "request_uri", Get: requestURI, Doc: "The URI as received, with its arguments."},
	{Name: "uri", Get: uri, NoCache: true, Doc: "The URI being served: decoded, normalised, without arguments; internal redirects and rewrites change it."},
	{Name: "document_uri", Get: uri, NoCache: true, Doc: "The same as `$uri`."},
	{Name: "args", Get: args, Set: setArgs, Changeable: true, NoCache: true, Doc: "The arguments, what follows `?`; may be assigned to."},
	{Name: "query_string", Get: args, NoCache: true, Doc: "The same as `$args`."},
	{Name: "is_args", Get: isArgs, NoCache: true, Doc: "`?` when there are arguments, else empty."},
	{Name: "arg_", Get: arg, Prefix: true, NoCache: true, Doc: "The argument NAME, not decoded."},
	{Name: "server_protocol", Get: protocol, Doc: "The protocol of the request line: `HTTP/1.1`, ..."},
	{Name: "request_port", Get: requestPort, Doc: "The port in the request line or the Host header."},
	{Name: "is_request_port", Get: isRequestPort, Doc: "`:` when `$request_port` is not empty."},

	// Headers of the request.
	{Name: "http_", Get: header, Prefix: true, Doc: "The request header NAME, in lower case with `_` for `-`; several lines are joined by a comma."},
	{Name: "http_cookie", Get: cookies, Doc: "The Cookie header; several lines are joined by a semicolon."},
	{Name: "cookie_", Get: cookie, Prefix: true, Doc: "The cookie NAME."},
	{Name: "content_type", Get: contentType, Doc: "The Content-Type of the request."},
	{Name: "content_length", Get: contentLength, Doc: "The Content-Length of the request."},
	{Name: "host", Get: host, Doc: "The host of the request line, else of the Host header, without port and in lower case; else the server's name."},
	{Name: "remote_user", Get: remoteUser, Doc: "The user of Basic authentication."},

	// The body of the request.
	{Name: "request_body", Get: requestBody, Doc: "The request body, once it was read into memory."},
	{Name: "request_body_file", Get: requestBodyFile, Doc: "The name of the temporary file with the request body."},
	{Name: "request_length", Get: requestLength, NoCache: true, Doc: "The bytes of the request: line, header and body."},

	// Server and files.
	{Name: "server_name", Get: serverName, Doc: "The name of the server that took the request."},
	{Name: "document_root", Get: documentRoot, NoCache: true, Doc: "The value of root or alias."},
	{Name: "realpath_root", Get: realpathRoot, NoCache: true, Doc: "`$document_root` with symbolic links resolved."},
	{Name: "request_filename", Get: requestFilename, NoCache: true, Doc: "The file that the URI stands for, by root or alias."},
	{Name: "nginx_version", Get: fixed(nginxVersion), Doc: "The version of nginx that is matched."},
	{Name: "hostname", Get: fixed(hostname), Doc: "The name of this machine."},
	{Name: "pid", Get: fixed(pid), Doc: "The number of the process."},

	// The connection.
	{Name: "remote_addr", Get: remoteAddr, Doc: "The client's address."},
	{Name: "binary_remote_addr", Get: binaryRemoteAddr, Doc: "The client's address as 4 or 16 bytes: a short key for zones."},
	{Name: "remote_port", Get: remotePort, Doc: "The client's port."},
	{Name: "server_addr", Get: serverAddr, Doc: "The address the connection was accepted at."},
	{Name: "server_port", Get: serverPort, Doc: "The port the connection was accepted at."},
	{Name: "scheme", Get: scheme, Doc: "`http` or `https`."},
	{Name: "https", Get: https, Doc: "`on` for a TLS connection, else empty."},
	{Name: "connection", Get: connection, Doc: "The number of the connection."},
	{Name: "connection_requests", Get: connectionRequests, Doc: "How many requests the connection has carried, this one included."},
	{Name: "connection_time", Get: connectionTime, NoCache: true, Doc: "The age of the connection in seconds, with milliseconds."},
	{Name: "pipe", Get: pipe, Doc: "`p` when the request was pipelined, else `.`."},
	{Name: "proxy_protocol_addr", Get: proxyAddr, Data: proxySource, Doc: "The client's address of the PROXY protocol header."},
	{Name: "proxy_protocol_port", Get: proxyPort, Data: proxySource, Doc: "The client's port of the PROXY protocol header."},
	{Name: "proxy_protocol_server_addr", Get: proxyAddr, Data: proxyDestination, Doc: "The server's address of the PROXY protocol header."},
	{Name: "proxy_protocol_server_port", Get: proxyPort, Data: proxyDestination, Doc: "The server's port of the PROXY protocol header."},
	{Name: "proxy_protocol_tlv_", Get: proxyTLV, Prefix: true, Doc: "A TLV of the PROXY protocol header, by its name (`alpn`, `authority`, `unique_id`, `ssl`, `netns`, `ssl_version`, ...) or as `0x` and its number."},
	{Name: "tcpinfo_rtt", Get: tcpInfo, Data: tcpRTT, NoCache: true, Doc: "The round trip time of the client's connection in microseconds."},
	{Name: "tcpinfo_rttvar", Get: tcpInfo, Data: tcpRTTVar, NoCache: true, Doc: "The variation of the round trip time."},
	{Name: "tcpinfo_snd_cwnd", Get: tcpInfo, Data: tcpSndCwnd, NoCache: true, Doc: "The congestion window."},
	{Name: "tcpinfo_rcv_space", Get: tcpInfo, Data: tcpRcvSpace, NoCache: true, Doc: "The receive window."},

	// The response.
	{Name: "status", Get: status, NoCache: true, Doc: "The status of the response."},
	{Name: "bytes_sent", Get: bytesSent, Doc: "The bytes that the client took, head included."},
	{Name: "body_bytes_sent", Get: bodyBytesSent, Doc: "The bytes that the client took, without the head."},
	{Name: "request_completion", Get: completion, Doc: "`OK` when the whole response was sent, else empty."},
	{Name: "limit_rate", Get: limitRate, Set: setLimitRate, Changeable: true, NoCache: true, Doc: "The limit for the response in bytes per second; may be assigned to."},
	{Name: "sent_http_", Get: sentHeader, Prefix: true, Doc: "The response header NAME; several lines are joined by a comma."},
	{Name: "sent_http_content_type", Get: sentContentType, Doc: "The Content-Type of the response."},
	{Name: "sent_http_content_length", Get: sentContentLength, Doc: "The Content-Length of the response."},
	{Name: "sent_http_last_modified", Get: sentLastModified, Doc: "The Last-Modified of the response."},
	{Name: "sent_http_connection", Get: sentConnection, Doc: "The Connection header of the response."},
	{Name: "sent_http_keep_alive", Get: sentKeepAlive, Doc: "The Keep-Alive header of the response."},
	{Name: "sent_http_transfer_encoding", Get: sentTransferEncoding, Doc: "`chunked` for a chunked response."},
	{Name: "sent_trailer_", Get: sentTrailer, Prefix: true, Doc: "The field NAME of the response's trailer."},

	// The clock.
	{Name: "msec", Get: msec, NoCache: true, Doc: "The time in seconds since 1970, with milliseconds."},
	{Name: "time_local", Get: timeLocal, NoCache: true, Doc: "The local time, as in `02/Jan/2006:15:04:05 +0000`."},
	{Name: "time_iso8601", Get: timeISO, NoCache: true, Doc: "The local time, as in `2006-01-02T15:04:05+00:00`."},
	{Name: "request_time", Get: requestTime, NoCache: true, Doc: "The time since the first bytes of the request, in seconds with milliseconds."},
	{Name: "request_id", Get: requestID, Doc: "32 random hexadecimal digits, the same ones throughout the request."},
}
