// Package text is the part of the Lua API that works on strings alone: escapes, hashes, encodings, HTTP times, and
// regular expressions. All of it is C in the luajit package.
package text

import "moongate/internal/lua"

// Library declares the functions.
var Library = lua.Library{Name: "text", Doc: "Strings: escapes, hashes, encodings, times, regular expressions.", Funcs: funcs()}

func funcs() []*lua.Func {
	var out []*lua.Func
	for _, f := range []struct{ name, sig, doc string }{
		{"escape_uri", "str:string, type?:integer -> string", "Escapes a string for use in a URI."},
		{"unescape_uri", "str:string -> string", "Undoes the escapes of a URI."},
		{"encode_args", "args:table -> string", "Makes a query string of a table."},
		{"decode_args", "str:string, max?:integer -> table", "Makes a table of a query string."},
		{"quote_sql_str", "str:string -> string", "Quotes a string for SQL as MySQL wants it."},
		{"encode_base64", "str:string, no_padding?:boolean -> string", "Encodes in base64."},
		{"decode_base64", "str:string -> string", "Decodes base64; nil when it is none."},
		{"decode_base64mime", "str:string -> string", "Decodes base64 as MIME has it: other bytes are passed over."},
		{"md5", "str:string -> string", "The MD5 digest in hexadecimal."},
		{"md5_bin", "str:string -> string", "The MD5 digest."},
		{"sha1_bin", "str:string -> string", "The SHA-1 digest."},
		{"hmac_sha1", "key:string, str:string -> string", "The HMAC-SHA1 digest."},
		{"crc32_short", "str:string -> integer", "The CRC-32 of a short string."},
		{"crc32_long", "str:string -> integer", "The CRC-32 of a long string."},
		{"cookie_time", "sec:number -> string", "A time as the Expires of a cookie has it."},
		{"http_time", "sec:number -> string", "A time as HTTP headers have it."},
		{"parse_http_time", "str:string -> number", "The seconds of a time in a HTTP header; nil when it is none."},
	} {
		out = append(out, &lua.Func{Name: "ngx." + f.name, Sig: f.sig, Tier: lua.C, CName: "mg.strings." + f.name, Doc: f.doc})
	}
	for _, f := range []struct{ name, doc string }{
		{"match", "Matches a regular expression: a table of the captures, or nil."},
		{"find", "Matches a regular expression: the places of the match or of a capture, or nil."},
		{"gmatch", "Iterates over the matches of a regular expression."},
		{"sub", "Replaces the first match of a regular expression."},
		{"gsub", "Replaces all matches of a regular expression."},
	} {
		out = append(out, &lua.Func{Name: "ngx.re." + f.name, Sig: "subject:string, regex:string, ...", Tier: lua.C, CName: "mg.re." + f.name, Doc: f.doc})
	}
	return out
}
