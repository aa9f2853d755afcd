// Package setvar has the functions of set-misc-nginx-module, declared once: the directives (mod/setmisc) and Lua's
// ndk.set_var (luaapi/ndk) call the same ones.
//
// A function makes a value from its arguments. Arguments and result live as long as the request.
package setvar

import (
	"sync/atomic"
	"time"

	"moongate/internal/base/nlog"
	"moongate/internal/conf"
	"moongate/internal/engine"
)

// Form says which arguments a function gets.
type Form uint8

const (
	// Value is one argument, the variable itself when the directive has none.
	Value Form = iota
	// Bare has no argument but the variable itself, which it ignores.
	Bare
	// One has exactly one.
	One
	// Two are exactly two.
	Two
	// Own is one argument before which the variable's value is put.
	Own
	// TwoOwn are two arguments behind which the variable's value is put.
	TwoOwn
)

// Func is a function.
type Func struct {
	Name string
	Form Form
	Doc  string // of the directive
	// Lua says that ndk.set_var has it, always with one argument.
	Lua bool
	// Do makes the value. Those for Lua may be called without a request, in a timer: r is nil then. A status
	// other than OK is the one to answer with.
	Do func(r *engine.Request, args [][]byte) ([]byte, engine.Status)
}

// Conf is what a location says about the functions.
type Conf struct {
	Padding  conf.Opt[bool]
	Alphabet conf.Opt[string]
	// Key, IV and Expires are those of sealed sessions.
	Key, IV conf.Opt[string]
	Expires conf.Opt[time.Duration]
	// Lists are the upstream_list directives of the http block, shared by all below it.
	Lists map[string][]string
	// turn is the number set_rotate gave last in this location; -1 before the first.
	turn *atomic.Int64
}

// Level is the location level of the functions' settings; the rows are in mod/setmisc.
var Level = conf.NewLevel[Conf](conf.KindLocation).OnMerge(func(p, c *Conf, _ *conf.Scope) error {
	if c.Lists == nil {
		c.Lists = p.Lists
	}
	c.turn = &atomic.Int64{}
	c.turn.Store(-1)
	return nil
})

// Alphabet is the one base32 has unless set_base32_alphabet says otherwise.
const Alphabet = "0123456789abcdefghijklmnopqrstuv"

// Lookup finds a function for Lua.
func Lookup(name string) *Func {
	for i := range Funcs {
		if f := &Funcs[i]; f.Lua && f.Name == name {
			return f
		}
	}
	return nil
}

// Funcs are the functions.
var Funcs = []Func{
	{Name: "set_escape_uri", Lua: true, Do: pure(escapeURI), Doc: "Escapes the bytes that a part of a URI must not have."},
	{Name: "set_unescape_uri", Lua: true, Do: pure(unescapeURI), Doc: "Decodes escapes; a `+` becomes a space."},
	{Name: "set_quote_sql_str", Lua: true, Do: pure(quoteSQL), Doc: "Makes a literal of MySQL."},
	{Name: "set_quote_pgsql_str", Lua: true, Do: pure(quotePgSQL), Doc: "Makes a literal of PostgreSQL."},
	{Name: "set_quote_json_str", Lua: true, Do: pure(quoteJSON), Doc: "Makes a string of JSON, or `null` of nothing."},
	{Name: "set_encode_base32", Lua: true, Do: encodeBase32, Doc: "Encodes as base32."},
	{Name: "set_decode_base32", Lua: true, Do: decodeBase32, Doc: "Decodes base32; what is of no valid length becomes empty."},
	{Name: "set_encode_base64", Lua: true, Do: pure(encodeBase64), Doc: "Encodes as base64."},
	{Name: "set_decode_base64", Lua: true, Do: decodeBase64, Doc: "Decodes base64; the request fails when it is none."},
	{Name: "set_encode_base64url", Lua: true, Do: pure(encodeBase64URL), Doc: "Encodes as base64 for URLs, without padding."},
	{Name: "set_decode_base64url", Lua: true, Do: decodeBase64URL, Doc: "Decodes base64 for URLs; the request fails when it is none."},
	{Name: "set_encode_hex", Lua: true, Do: pure(encodeHex), Doc: "Writes bytes as hexadecimal digits."},
	{Name: "set_decode_hex", Lua: true, Do: decodeHex, Doc: "Reads hexadecimal digits; the request fails when there are none."},
	{Name: "set_sha1", Lua: true, Do: pure(sha1Hex), Doc: "The SHA-1 digest in hexadecimal digits."},
	{Name: "set_md5", Lua: true, Do: pure(md5Hex), Doc: "The MD5 digest in hexadecimal digits."},
	{Name: "set_hmac_sha1", Form: Two, Do: hmacSHA1, Doc: "The HMAC-SHA1 digest of a text with a key, as bytes."},
	{Name: "set_hmac_sha256", Form: Two, Do: hmacSHA256, Doc: "The HMAC-SHA256 digest of a text with a key, as bytes."},
	{Name: "set_if_empty", Form: Own, Do: ifEmpty, Doc: "Assigns a value when the variable is empty."},
	{Name: "set_hashed_upstream", Form: Two, Do: hashedUpstream, Doc: "Chooses a name of an upstream_list by a key."},
	{Name: "set_random", Form: Two, Do: random, Doc: "A random number between two numbers, them included."},
	{Name: "set_secure_random_alphanum", Form: One, Lua: true, Do: secureAlphanum, Doc: "Random letters and digits, at most 64, from the system's source of randomness."},
	{Name: "set_secure_random_lcalpha", Form: One, Lua: true, Do: secureLower, Doc: "Random lower-case letters, at most 64, from the system's source of randomness."},
	{Name: "set_rotate", Form: TwoOwn, Do: rotate, Doc: "The number after the variable's, going round between two numbers; without one, that after the location's last."},
	{Name: "set_local_today", Form: Bare, Lua: true, Do: localToday, Doc: "The local date, as 2006-01-02."},
	{Name: "set_formatted_gmt_time", Form: One, Lua: true, Do: gmtTime, Doc: "The time in UTC in a format of strftime."},
	{Name: "set_encrypt_session", Lua: true, Do: encryptSession, Doc: "Seals a value with encrypted_session_key, for encrypted_session_expires."},
	{Name: "set_decrypt_session", Lua: true, Do: decryptSession, Doc: "Opens what set_encrypt_session has sealed; what is wrong or too old becomes empty."},
	{Name: "set_formatted_local_time", Form: One, Lua: true, Do: localTime, Doc: "The local time in a format of strftime."},
}

// alloc takes memory that lives as long as the request.
func alloc(r *engine.Request, n int) []byte {
	if r == nil {
		return make([]byte, n)
	}
	return r.Alloc(n)
}

func complain(r *engine.Request, format string, args ...any) {
	if r != nil {
		r.Logf(nlog.Error, format, args...)
	}
}

func now(r *engine.Request) time.Time {
	if r == nil {
		return time.Now()
	}
	return time.Unix(0, r.W.Loop.Wall())
}

// pure makes a function of one that only appends what its argument becomes.
func pure(f func(r *engine.Request, src []byte) []byte) func(*engine.Request, [][]byte) ([]byte, engine.Status) {
	return func(r *engine.Request, args [][]byte) ([]byte, engine.Status) { return f(r, args[0]), engine.OK }
}
