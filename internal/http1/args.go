package http1

import "moongate/internal/base/ascii"

// Arg finds an argument by name, without regard to case, as nginx's
// ngx_http_arg: the first "name=" at the start or after '&'. The value is not
// decoded. A name without '=' does not count.
func Arg[S ascii.Bytes](args []byte, name S) (value []byte, ok bool) {
	if len(name) == 0 {
		return nil, false
	}
	for len(args) > len(name) {
		if args[len(name)] == '=' && ascii.HasPrefixFold(args, name) {
			return upTo(args[len(name)+1:], '&'), true
		}
		args = args[len(upTo(args, '&')):]
		if len(args) > 0 {
			args = args[1:]
		}
	}
	return nil, false
}

// upTo returns what precedes the first c, all without one.
func upTo(b []byte, c byte) []byte {
	for i, x := range b {
		if x == c {
			return b[:i:i]
		}
	}
	return b[:len(b):len(b)]
}

// Cookie finds a cookie by name, without regard to case, in all Cookie lines.
func (h *Headers) Cookie(name []byte) (value []byte, ok bool) {
	for i := h.Index(HCookie); i >= 0; i = h.Next(i) {
		if value, ok = ListValue(h.List[i].Value, name, ';'); ok {
			return value, true
		}
	}
	return nil, false
}

// ListValue finds "name=value" in a list separated by sep, as nginx's
// ngx_http_parse_multi_header_lines: names without regard to case, spaces
// around '=' allowed, the value up to the separator. nginx takes ';' for
// cookies and ',' for other lists.
func ListValue[S ascii.Bytes](list []byte, name S, sep byte) (value []byte, ok bool) {
	for len(list) > 0 {
		if ascii.HasPrefixFold(list, name) {
			rest := skipSpaces(list[len(name):])
			if len(rest) > 0 && rest[0] == '=' {
				return upTo(skipSpaces(rest[1:]), sep), true
			}
		}
		list = nextItem(list, sep)
	}
	return nil, false
}

func skipSpaces(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// nextItem goes behind the next separator and the spaces after it.
func nextItem(list []byte, sep byte) []byte {
	list = list[len(upTo(list, sep)):]
	if len(list) > 0 {
		list = list[1:]
	}
	return skipSpaces(list)
}
