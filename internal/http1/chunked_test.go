package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// decode feeds text in pieces and returns the body, the bytes taken and the
// last state. A piece that lies about AtLeast is an error.
func decode(t *testing.T, d *Chunked, text string, cuts func(int) int) (body string, taken int, st ChunkState) {
	t.Helper()
	for at := 0; at < len(text); {
		end := min(cuts(at), len(text))
		data, n, state := d.Next([]byte(text[at:end]))
		body += string(data)
		at += n
		switch {
		case n > end-taken || n < len(data) || state == ChunkData != (len(data) > 0):
			t.Fatalf("%q at %d: took %d, %q, state %d", text, at, n, data, state)
		case state > ChunkData:
			return body, at, state
		case state == ChunkMore && at != end:
			t.Fatalf("%q: more wanted with bytes left at %d", text, at)
		}
		taken, st = at, state
	}
	return body, taken, st
}

var chunkedBodies = []struct {
	name, text, body string
	state            ChunkState
	rest             string // what is not taken
}{
	{"plain", "5\r\nhello\r\n0\r\n\r\nnext", "hello", ChunkDone, "next"},
	{"two chunks", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", ChunkDone, ""},
	{"digits of either case", "0a\r\n0123456789\r\n00b\r\n0123456789a\r\n000\r\n\r\n", "01234567890123456789a", ChunkDone, ""},
	{"extensions", "1;a=b\r\nx\r\n1 \t;c\r\ny\r\n0;d\r\n\r\n", "xy", ChunkDone, ""},
	{"CR in extension", "1;a\rb\r\nx", "", ChunkInvalid, "\r\nx"},
	{"trailers passed over", "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\nnext", "x", ChunkDone, "next"},
	{"empty", "0\r\n\r\n", "", ChunkDone, ""},
	{"not complete", "5\r\nhel", "hel", ChunkData, ""},
	{"size not complete", "5", "", ChunkMore, ""},

	{"no size", "\r\nx", "", ChunkInvalid, "\nx"},
	{"space before size", " 1\r\nx", "", ChunkInvalid, "1\r\nx"},
	{"sign", "+1\r\nx", "", ChunkInvalid, "1\r\nx"},
	{"negative", "-1\r\nx", "", ChunkInvalid, "1\r\nx"},
	{"prefix", "0x1\r\nx", "", ChunkInvalid, "1\r\nx"},
	{"underscore", "1_0\r\nx", "", ChunkInvalid, "0\r\nx"},
	{"LF after size", "1\nx\r\n0\r\n\r\n", "", ChunkInvalid, "x\r\n0\r\n\r\n"},
	{"LF ends extension", "1;a\nx\r\n0\r\n\r\n", "", ChunkInvalid, "x\r\n0\r\n\r\n"},
	{"LF after last size", "0\n\r\n", "", ChunkInvalid, "\r\n"},
	{"LF after data", "1\r\nx\n0\r\n\r\n", "x", ChunkInvalid, "0\r\n\r\n"},
	{"data too long", "1\r\nxy\r\n0\r\n\r\n", "x", ChunkInvalid, "\r\n0\r\n\r\n"},
	{"CR CR after data", "1\r\nx\r\r\n0\r\n\r\n", "x", ChunkInvalid, "\n0\r\n\r\n"},
	{"LF ends trailers", "0\r\n\n", "", ChunkInvalid, ""},
	{"LF ends a trailer line", "0\r\nA: b\n\r\n", "", ChunkInvalid, "\r\n"},
	{"size of 64 bits", "ffffffffffffffff\r\n", "", ChunkInvalid, "\r\n"},
	{"size of 63 bits and more", "8000000000000000\r\n", "", ChunkInvalid, "\r\n"},
	{"too many digits", "00000000000000001\r\nx", "", ChunkInvalid, "\r\nx"},
	{"letter after size", "1g\r\nx", "", ChunkInvalid, "\r\nx"},
}

func TestChunked(t *testing.T) {
	var d Chunked
	for _, c := range chunkedBodies {
		t.Run(c.name, func(t *testing.T) {
			for _, cuts := range []func(int) int{whole, bytewise, until([]byte{2, 1, 4})} {
				d.Reset()
				body, taken, st := decode(t, &d, c.text, cuts)
				if body != c.body || c.text[taken:] != c.rest || st != c.state && st+c.state != ChunkData {
					t.Errorf("%q, rest %q, state %d", body, c.text[taken:], st)
				}
				if st >= ChunkInvalid {
					if _, _, again := d.Next([]byte("0\r\n\r\n")); again < ChunkInvalid {
						t.Error("goes on after a failure")
					}
				}
			}
		})
	}
}

func TestChunkedLargest(t *testing.T) {
	var d Chunked
	if _, _, st := d.Next([]byte("7fffffffffffff00\r\n")); st != ChunkInvalid { // no room for what follows
		t.Errorf("state %d, size %d", st, d.size)
	}
	d.Reset()
	if _, _, st := d.Next([]byte("7ffffffffffffe00\r\n")); st != ChunkMore || d.Left() != 0x7ffffffffffffe00 {
		t.Errorf("state %d, size %d", st, d.size)
	}
}

func TestChunkedLimits(t *testing.T) {
	d := Chunked{MaxExtension: 10, MaxTrailer: 20}
	for text, want := range map[string]ChunkState{
		"1;23456789\r\nx":                 ChunkData,
		"1;234567890ab\r\n":               ChunkTooLarge,
		"0;234567890ab\r\n":               ChunkTooLarge,
		"0\r\nabcdefghijklmnop\r\n\r\n":   ChunkDone,
		"0\r\nabcdefghijklmnopq\r\n\r\n":  ChunkTooLarge,
		"0\r\na\r\nb\r\nc\r\nd\r\ne\r\nf": ChunkMore,
	} {
		d.Reset()
		if _, _, st := decode(t, &d, text, whole); st != want {
			t.Errorf("%q: state %d, want %d", text, st, want)
		}
	}
	d = Chunked{}
	if _, _, st := decode(t, &d, "1;"+strings.Repeat("x", DefaultMaxChunkExtension+1), whole); st != ChunkTooLarge {
		t.Errorf("extension beyond the default: %d", st)
	}
	d.Reset()
	if _, _, st := decode(t, &d, "0\r\n"+strings.Repeat("x", DefaultMaxTrailer+1), whole); st != ChunkTooLarge {
		t.Errorf("trailers beyond the default: %d", st)
	}
}

func TestTrailers(t *testing.T) {
	d := Chunked{KeepTrailers: true}
	for _, cuts := range []func(int) int{whole, bytewise} {
		d.Reset()
		text := "1\r\nx\r\n0\r\nExpires: never\r\nGrpc-Status:  0 \r\nx@y: z\r\n\r\nnext"
		body, taken, st := decode(t, &d, text, cuts)
		if body != "x" || text[taken:] != "next" || st != ChunkDone || len(d.Trailers.List) != 2 {
			t.Fatalf("%q %q %d %d", body, text[taken:], st, len(d.Trailers.List))
		}
		if string(d.Trailers.Get(HGrpcStatus)) != "0" || string(d.Trailers.Get(HExpires)) != "never" {
			t.Errorf("%v", d.Trailers.List)
		}
	}
	for _, text := range []string{"0\r\n: b\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n", "0\r\nA: \x00\r\n\r\n"} {
		d.Reset()
		if _, _, st := decode(t, &d, text, whole); st != ChunkInvalid {
			t.Errorf("%q: state %d", text, st)
		}
	}
}

func TestAppendChunks(t *testing.T) {
	var out []byte
	for _, data := range []string{"a", strings.Repeat("b", 255), strings.Repeat("c", 70000)} {
		header := AppendChunkHeader(nil, int64(len(data)))
		if string(header) != fmt.Sprintf("%x\r\n", len(data)) || len(header) > MaxChunkHeader {
			t.Errorf("header %q", header)
		}
		out = append(append(append(out, header...), data...), ChunkEnd...)
	}
	out = AppendLastChunk(out, []Header{{Name: []byte("A"), Value: []byte("b")}})
	d := Chunked{KeepTrailers: true}
	body, taken, st := decode(t, &d, string(out), whole)
	if len(body) != 70256 || taken != len(out) || st != ChunkDone || len(d.Trailers.List) != 1 {
		t.Errorf("%d bytes, %d of %d taken, state %d", len(body), taken, len(out), st)
	}
	if got := string(AppendLastChunk(nil, nil)); got != LastChunk {
		t.Errorf("last chunk %q", got)
	}
	if n := len(AppendChunkHeader(nil, 1<<63-1)); n != MaxChunkHeader {
		t.Errorf("longest header: %d", n)
	}
}

func TestChunkedAllocatesNothing(t *testing.T) {
	d := Chunked{KeepTrailers: true}
	text := []byte("5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nX-Own: a\r\n\r\n")
	dst := make([]byte, 0, 100)
	run := func() {
		d.Reset()
		for rest := text; ; {
			_, n, st := d.Next(rest)
			if rest = rest[n:]; st == ChunkDone {
				break
			}
		}
		AppendLastChunk(AppendChunkHeader(dst, 1000), d.Trailers.List)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzChunked(f *testing.F) {
	for _, c := range chunkedBodies {
		f.Add([]byte(c.text), []byte{3, 1}, true)
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte, keep bool) {
		text := string(data)
		one := Chunked{MaxExtension: 30, MaxTrailer: 60, KeepTrailers: keep}
		many := one
		body, taken, st := decode(t, &one, text, whole)
		body2, taken2, st2 := decode(t, &many, text, until(cuts))
		if body != body2 || taken != taken2 || st != st2 && st+st2 != ChunkData {
			t.Fatalf("whole: %q %d %d, pieces: %q %d %d", body, taken, st, body2, taken2, st2)
		}
		if st != ChunkDone {
			return
		}
		// Encoded anew it must decode to the same.
		var out []byte
		if body != "" {
			out = append(append(AppendChunkHeader(nil, int64(len(body))), body...), ChunkEnd...)
		}
		out = AppendLastChunk(out, one.Trailers.List)
		again := Chunked{KeepTrailers: true}
		body2, taken, st = decode(t, &again, string(out), whole)
		if body2 != body || taken != len(out) || st != ChunkDone || len(again.Trailers.List) != len(one.Trailers.List) {
			t.Fatalf("%q encoded as %q decodes to %q", body, out, body2)
		}
		for i, h := range again.Trailers.List {
			if !bytes.Equal(h.Value, one.Trailers.List[i].Value) {
				t.Fatalf("trailer %v becomes %v", one.Trailers.List[i], h)
			}
		}
	})
}
