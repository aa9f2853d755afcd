package base

import "moongate/internal/lua"

func ints(prefix string, kv ...any) []lua.Const {
	var out []lua.Const
	for i := 0; i < len(kv); i += 2 {
		out = append(out, lua.Const{Name: prefix + kv[i].(string), Value: kv[i+1]})
	}
	return out
}

// consts are the constants of the ngx table.
func consts() []lua.Const {
	c := ints("ngx.", "OK", 0, "ERROR", -1, "AGAIN", -2, "DONE", -4, "DECLINED", -5, "null", lua.Null,
		"STDERR", 0, "EMERG", 1, "ALERT", 2, "CRIT", 3, "ERR", 4, "WARN", 5, "NOTICE", 6, "INFO", 7, "DEBUG", 8)
	return append(c, ints("ngx.HTTP_",
		"GET", 0x2, "HEAD", 0x4, "POST", 0x8, "PUT", 0x10, "DELETE", 0x20, "MKCOL", 0x40, "COPY", 0x80, "MOVE", 0x100,
		"OPTIONS", 0x200, "PROPFIND", 0x400, "PROPPATCH", 0x800, "LOCK", 0x1000, "UNLOCK", 0x2000, "PATCH", 0x4000, "TRACE", 0x8000,
		"CONTINUE", 100, "SWITCHING_PROTOCOLS", 101, "OK", 200, "CREATED", 201, "ACCEPTED", 202, "NO_CONTENT", 204, "PARTIAL_CONTENT", 206,
		"SPECIAL_RESPONSE", 300, "MOVED_PERMANENTLY", 301, "MOVED_TEMPORARILY", 302, "SEE_OTHER", 303, "NOT_MODIFIED", 304,
		"TEMPORARY_REDIRECT", 307, "PERMANENT_REDIRECT", 308, "BAD_REQUEST", 400, "UNAUTHORIZED", 401, "PAYMENT_REQUIRED", 402,
		"FORBIDDEN", 403, "NOT_FOUND", 404, "NOT_ALLOWED", 405, "NOT_ACCEPTABLE", 406, "REQUEST_TIMEOUT", 408, "CONFLICT", 409, "GONE", 410,
		"UPGRADE_REQUIRED", 426, "TOO_MANY_REQUESTS", 429, "ILLEGAL", 451, "CLOSE", 444, "INTERNAL_SERVER_ERROR", 500,
		"NOT_IMPLEMENTED", 501, "METHOD_NOT_IMPLEMENTED", 501, "BAD_GATEWAY", 502, "SERVICE_UNAVAILABLE", 503, "GATEWAY_TIMEOUT", 504,
		"VERSION_NOT_SUPPORTED", 505, "INSUFFICIENT_STORAGE", 507)...)
}
