package http2

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

var wide = Limits{String: 1 << 16, Total: 1 << 20, Count: 1000}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func show(b *Block) string {
	var s strings.Builder
	for _, f := range b.List {
		fmt.Fprintf(&s, "%s=%s;", f.Name, f.Value)
	}
	return s.String()
}

func TestHuffmanKnown(t *testing.T) {
	for text, code := range map[string]string{
		"www.example.com": "f1e3c2e5f23a6ba0ab90f4ff",
		"no-cache":        "a8eb10649cbf",
		"custom-key":      "25a849e95ba97d7f",
		"":                "",
	} {
		if got := hex.EncodeToString(AppendHuffman(nil, []byte(text))); got != code || HuffmanLen([]byte(text))*2 != len(code) {
			t.Errorf("%q: %s, want %s", text, got, code)
		}
	}
}

func TestHuffmanAll(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for n := range 300 {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(rnd.Intn(256))
		}
		if n == 256 {
			for i := range src {
				src[i] = byte(i)
			}
		}
		code := AppendHuffman(nil, src)
		got, ok := appendDecoded(make([]byte, 0, maxDecoded(len(code))), code)
		if !ok || !bytes.Equal(got, src) {
			t.Fatalf("%x: %v %x", src, ok, got)
		}
	}
}

func TestHuffmanBad(t *testing.T) {
	for _, code := range []string{"ffff", "ffffffff", "ffffffffff", "f1e3c2e5f23a6ba0ab90f4ffff", "00", "fffffffc", "1f"} {
		src := unhex(t, code)
		got, ok := appendDecoded(make([]byte, 0, maxDecoded(len(src))), src)
		if want := code == "1f"; ok != want {
			t.Errorf("%s: %v %q", code, ok, got)
		}
	}
}

// The blocks follow each other on one connection, as in RFC 7541 C.3 and C.4.
func TestDecode(t *testing.T) {
	for _, blocks := range [][][2]string{{
		{"828684410f7777772e6578616d706c652e636f6d", ":method=GET;:scheme=http;:path=/;:authority=www.example.com;"},
		{"828684be58086e6f2d6361636865", ":method=GET;:scheme=http;:path=/;:authority=www.example.com;cache-control=no-cache;"},
		{"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", ":method=GET;:scheme=https;:path=/index.html;:authority=www.example.com;custom-key=custom-value;"},
	}, {
		{"828684418cf1e3c2e5f23a6ba0ab90f4ff", ":method=GET;:scheme=http;:path=/;:authority=www.example.com;"},
		{"828684be5886a8eb10649cbf", ":method=GET;:scheme=http;:path=/;:authority=www.example.com;cache-control=no-cache;"},
		{"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", ":method=GET;:scheme=https;:path=/index.html;:authority=www.example.com;custom-key=custom-value;"},
	}} {
		var d Decoder
		d.Init(DefaultTableSize)
		var b Block
		for _, c := range blocks {
			b.Reset()
			if err := d.Decode(&b, unhex(t, c[0]), &wide); err != nil {
				t.Fatal(err)
			}
			if got := show(&b); got != c[1] {
				t.Errorf("got  %s\nwant %s", got, c[1])
			}
		}
		if d.t.size != 164 {
			t.Errorf("table size %d", d.t.size)
		}
	}
}

func TestDecodeFaults(t *testing.T) {
	for _, c := range []struct {
		in   string
		code ErrCode
		text string
	}{
		{"80", CompressionError, "sent invalid hpack table index 0"},
		{"be", CompressionError, "sent invalid hpack table index 62"},
		{"ffffffff", CompressionError, "sent header block with too long header index value"},
		{"40", CompressionError, "sent header block with incorrect length"},
		{"ff", FrameSizeError, "sent header block with incorrect length"},
		{"4001", CompressionError, "sent header field with incorrect length"},
		{"400161", CompressionError, "sent header block with incorrect length"},
		{"40016105", CompressionError, "sent header field with incorrect length"},
		{"400000", ProtocolError, "sent zero header name length"},
		{"400181ff00", CompressionError, "sent header field with incorrect length"},
		{"3fe2ff7f", CompressionError, "sent invalid table size update: 2097153"},
		{"8220", CompressionError, "sent header block with a table size update after a field"},
		{"007fffffff7f", CompressionError, "sent header field with too long length value"},
	} {
		var d Decoder
		d.Init(DefaultTableSize)
		err := d.Decode(&Block{}, unhex(t, c.in), &wide)
		e, ok := err.(*Error)
		if !ok || e.Code != c.code || e.Text != c.text {
			t.Errorf("%s: %v", c.in, err)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	var d Decoder
	d.Init(DefaultTableSize)
	var e Encoder
	e.Init()
	long := bytes.Repeat([]byte("\\"), 5000) // 19 bits each: it stays as it is
	in := e.Append(nil, 0, []byte("x"), long, Plain)
	if err := d.Decode(&Block{}, in, &Limits{String: 4999, Total: 10000, Count: 10}); err != errString {
		t.Errorf("string: %v", err)
	}
	if err := d.Decode(&Block{}, in, &Limits{String: 5000, Total: 5000, Count: 10}); err != errTotal {
		t.Errorf("total: %v", err)
	}
	var b Block
	if err := d.Decode(&b, bytes.Repeat([]byte{0x82}, 20), &Limits{String: 1, Total: 500, Count: 5}); err != nil || len(b.List) != 5 || b.Dropped != 15 {
		t.Errorf("count: %v %d %d", err, len(b.List), b.Dropped)
	}
	// An entry of the table that is named again and again is a bomb: its size counts each time.
	in = append([]byte{0x40, 1, 'x', 0x7f, 0xe1, 0x0e}, bytes.Repeat([]byte("v"), 2000)...)
	in = append(in, bytes.Repeat([]byte{0xbe}, 100)...)
	if err := d.Decode(&b, in, &Limits{String: 4000, Total: 32 << 10, Count: 1000}); err != errTotal {
		t.Errorf("bomb: %v", err)
	}
}

// TestLargeValueIsKeptOnce: a byte that names a large entry of the table costs no copy each time.
func TestLargeValueIsKeptOnce(t *testing.T) {
	var d Decoder
	d.Init(DefaultTableSize)
	value := bytes.Repeat([]byte("v"), 2000)
	in := append([]byte{0x40, 1, 'x', 0x7f, 0xd1, 0x0e}, value...)
	var b Block
	if err := d.Decode(&b, append(in, 0xbe, 0xbe), &wide); err != nil {
		t.Fatal(err)
	}
	for i, f := range b.List {
		if !bytes.Equal(f.Value, value) || &f.Value[0] != &b.List[0].Value[0] {
			t.Errorf("field %d has %d bytes of its own", i, len(f.Value))
		}
	}
	if len(b.List) != 3 || b.Weight() < 3*2001 {
		t.Errorf("%d fields, %d bytes", len(b.List), b.Weight())
	}
	b.Reset() // the copy of another Block is not this one's
	if err := d.Decode(&b, []byte{0xbe}, &wide); err != nil || !bytes.Equal(b.List[0].Value, value) {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        Faults
	}{
		{"x-good", "v", 0}, {"x_y", "v", Underscore}, {"X-Upper", "", BadName}, {"a b", "", BadName}, {"a:b", "", BadName},
		{":", "", BadName}, {":proto", "", 0}, {"a(b", "", OddName}, {"x", "a\nb", BadValue}, {"x", "\x00", BadValue}, {"x", "a\rb", BadValue},
		{"accept", "a\nb", BadValue}, {"\xff", "", OddName},
	} {
		in := append([]byte{0, byte(len(c.name))}, c.name...)
		in = append(append(in, byte(len(c.value))), c.value...)
		var d Decoder
		d.Init(DefaultTableSize)
		var b Block
		if err := d.Decode(&b, in, &wide); err != nil || b.List[0].Faults != c.want {
			t.Errorf("%q: %v %v", c, err, b.List[0].Faults)
		}
		in[0] = 0x40 // an entry keeps its faults
		b.Reset()
		if err := d.Decode(&b, append(in, 0xbe), &wide); err != nil || b.List[1].Faults != c.want {
			t.Errorf("%q of the table: %v %v", c, err, b.List[1].Faults)
		}
	}
}

func TestSensitive(t *testing.T) {
	var e Encoder
	e.Init()
	for range 3 {
		in := e.Append(nil, 0, []byte("Authorization"), []byte("secret"), Never)
		var d Decoder
		d.Init(DefaultTableSize)
		var b Block
		if err := d.Decode(&b, in, &wide); err != nil || b.List[0].Faults != Sensitive || show(&b) != "authorization=secret;" || d.t.size != 0 {
			t.Fatal(err, show(&b))
		}
	}
}

// TestTables lets an encoder and a decoder live through many blocks, with changes of the table's size.
func TestTables(t *testing.T) {
	rnd := rand.New(rand.NewSource(7))
	var e Encoder
	var d Decoder
	e.Init()
	d.Init(DefaultTableSize)
	var b Block
	var out []byte
	for range 3000 {
		if rnd.Intn(50) == 0 {
			e.SetTableSize(uint32(rnd.Intn(6000)))
		}
		out = e.Begin(out[:0])
		want := ""
		for range 1 + rnd.Intn(12) {
			name := fmt.Sprintf("X-Name-%d", rnd.Intn(30))
			if rnd.Intn(4) == 0 {
				name = string(StaticName(uint8(15 + rnd.Intn(46))))
			}
			value := strings.Repeat("v", rnd.Intn(5)) + fmt.Sprint(rnd.Intn(10))
			if rnd.Intn(100) == 0 {
				value = strings.Repeat("long", rnd.Intn(1500))
			}
			out = e.Append(out, 0, []byte(name), []byte(value), Mode(rnd.Intn(3)))
			want += strings.ToLower(name) + "=" + value + ";"
		}
		b.Reset()
		if err := d.Decode(&b, out, &wide); err != nil || show(&b) != want {
			t.Fatalf("%v\ngot  %s\nwant %s", err, show(&b), want)
		}
		if d.t.size != e.t.size || d.t.len() != e.t.len() {
			t.Fatalf("tables differ: %d/%d, %d/%d", d.t.size, d.t.len(), e.t.size, e.t.len())
		}
	}
}

func TestStatus(t *testing.T) {
	var e Encoder
	var d Decoder
	e.Init()
	d.Init(DefaultTableSize)
	for _, status := range []int{200, 204, 206, 304, 400, 404, 500, 301, 301, 301, 599} {
		var b Block
		if err := d.Decode(&b, e.AppendStatus(nil, status), &wide); err != nil || show(&b) != fmt.Sprintf(":status=%d;", status) {
			t.Errorf("%d: %v %s", status, err, show(&b))
		}
	}
}

func appendResponse(e *Encoder, out []byte) []byte {
	out = e.Begin(out)
	out = e.AppendStatus(out, 200)
	out = e.Append(out, SServer, nil, []byte("moongate/1.0"), Indexed)
	out = e.Append(out, SDate, nil, []byte("Mon, 01 Jan 2024 00:00:00 GMT"), Indexed)
	out = e.Append(out, SContentType, nil, []byte("text/plain"), Indexed)
	out = e.Append(out, SContentLength, nil, []byte("12345"), Plain)
	return e.Append(out, 0, []byte("X-Request-ID"), []byte("4ff4d2d1"), Indexed)
}

func TestNoAllocations(t *testing.T) {
	var e Encoder
	var d Decoder
	e.Init()
	d.Init(DefaultTableSize)
	out := make([]byte, 0, 1024)
	var b Block
	if n := testing.AllocsPerRun(100, func() {
		out = appendResponse(&e, out[:0])
		b.Reset()
		if err := d.Decode(&b, out, &wide); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	var e Encoder
	e.Init()
	out := make([]byte, 0, 1024)
	for b.Loop() {
		out = appendResponse(&e, out[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	var e Encoder
	var d Decoder
	e.Init()
	d.Init(DefaultTableSize)
	var bl Block
	for range 3 {
		d.Decode(&bl, appendResponse(&e, nil), &wide)
	}
	out := appendResponse(&e, nil)
	for b.Loop() {
		bl.Reset()
		d.Decode(&bl, out, &wide)
	}
}

func BenchmarkHuffmanDecode(b *testing.B) {
	code := AppendHuffman(nil, []byte("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"))
	dst := make([]byte, 0, maxDecoded(len(code)))
	for b.Loop() {
		appendDecoded(dst, code)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x0fwww.example.com"), []byte("\x82\xbe"))
	f.Add([]byte("\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"), []byte("\x20\xbe"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		l := Limits{String: 512, Total: 2048, Count: 20}
		var d, same Decoder
		d.Init(256)
		same.Init(256)
		for _, p := range [][]byte{one, two} {
			var b Block
			err := d.Decode(&b, p, &l)
			if err2 := same.Decode(nil, p, &l); (err == nil) != (err2 == nil) || same.t.size != d.t.size {
				t.Fatalf("without a block: %v, %v", err, err2)
			}
			if len(b.List) > l.Count || b.Size > l.Total || d.t.size > 256 {
				t.Fatal("limits")
			}
			if err != nil {
				return
			}
			var e Encoder
			e.Init()
			var out []byte
			for _, f := range b.List {
				out = e.Append(out, f.Static, f.Name, f.Value, Indexed)
			}
			var back Decoder
			back.Init(DefaultTableSize)
			var b2 Block
			if err := back.Decode(&b2, out, &wide); err != nil || !strings.EqualFold(show(&b), show(&b2)) {
				t.Fatalf("%v: %s, %s", err, show(&b), show(&b2))
			}
		}
	})
}

func FuzzHuffman(f *testing.F) {
	f.Add([]byte("text/html; charset=utf-8"))
	f.Fuzz(func(t *testing.T, p []byte) {
		code := AppendHuffman(nil, p)
		if got, ok := appendDecoded(make([]byte, 0, maxDecoded(len(code))), code); !ok || !bytes.Equal(got, p) {
			t.Fatalf("%q became %q", p, got)
		}
		if got, ok := appendDecoded(make([]byte, 0, maxDecoded(len(p))), p); ok && !bytes.Equal(AppendHuffman(nil, got), p) && !bytes.Equal(append(AppendHuffman(nil, got), 0xff), p) {
			t.Fatalf("%x decodes to %q, which is coded in another way", p, got)
		}
	})
}
