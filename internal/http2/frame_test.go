package http2

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestWriters(t *testing.T) {
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"data":     {AppendData(nil, 3, []byte("hi"), EndStream), "000002 00 01 00000003 6869"},
		"headers":  {AppendHeaders(nil, 1, []byte("\x82\x84"), EndStream, 16384), "000002 01 05 00000001 8284"},
		"cont":     {AppendHeaders(nil, 1, []byte("abcde"), EndStream, 2), "000002 01 01 00000001 6162 000002 09 00 00000001 6364 000001 09 04 00000001 65"},
		"rst":      {AppendRSTStream(nil, 5, Cancel), "000004 03 00 00000005 00000008"},
		"settings": {AppendSettings(nil, Setting{InitialWindowSize, 65536}), "000006 04 00 00000000 0004 00010000"},
		"ack":      {AppendSettingsAck(nil), "000000 04 01 00000000"},
		"ping":     {AppendPing(nil, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Ack), "000008 06 01 00000000 0102030405060708"},
		"goaway":   {AppendGoAway(nil, 7, EnhanceYourCalm, "x"), "000009 07 00 00000000 00000007 0000000b 78"},
		"window":   {AppendWindowUpdate(nil, 9, MaxWindow), "000004 08 00 00000009 7fffffff"},
		"priority": {AppendPriority(nil, 3, Dependency{Stream: 1, Exclusive: true, Weight: 256}), "000005 02 00 00000003 80000001 ff"},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.got, want) {
			t.Errorf("%s: %x, want %x", name, c.got, want)
		}
	}
	block := bytes.Repeat([]byte("b"), 100)
	for _, size := range []int{10, 99, 100, 16384} {
		at := []byte("before")
		got := CloseHeaders(append(append(at, make([]byte, HeaderSize)...), block...), len(at), 1, EndStream, size)
		if want := AppendHeaders(at, 1, block, EndStream, size); !bytes.Equal(got, want) {
			t.Errorf("CloseHeaders with %d: %x", size, got)
		}
	}
}

func TestPayloads(t *testing.T) {
	for _, c := range []struct {
		frame, want string // without error: what was found in hex; else the text
		code        ErrCode
	}{
		{"000002 00 01 00000003 6869", "6869", 0},
		{"000005 00 08 00000003 0261620000", "6162", 0},
		{"000000 00 08 00000003", "sent padded DATA frame with incorrect length: 0", FrameSizeError},
		{"000002 00 08 00000003 0200", "sent padded DATA frame with incorrect length: 2, padding: 2", ProtocolError},
		{"000001 00 00 00000000 61", "sent DATA frame with incorrect identifier", ProtocolError},
		{"000001 01 04 00000001 82", "82", 0},
		{"000008 01 2c 00000001 01 00000000 10 82 00", "82", 0},
		{"000000 01 04 00000001", "sent HEADERS frame with empty header block", FrameSizeError},
		{"000004 01 24 00000001 00000000", "sent HEADERS frame with incorrect length 4", FrameSizeError},
		{"000003 01 0c 00000001 03 8284", "sent padded HEADERS frame with incorrect length: 2, padding: 3", ProtocolError},
		{"000006 01 24 00000003 00000003 10 82", "sent HEADERS frame for stream 3 with incorrect dependency", ProtocolError},
		{"000001 01 04 00000000 82", "sent HEADERS frame with incorrect identifier", ProtocolError},
	} {
		p := unhex(t, c.frame)
		h := ParseHeader(p)
		p = p[HeaderSize:]
		if int(h.Length) != len(p) {
			t.Fatalf("%s: length %d", c.frame, h.Length)
		}
		var got []byte
		var err error
		if h.Type == Data {
			got, err = DataPayload(h, p)
		} else {
			got, _, err = HeadersPayload(h, p)
		}
		if err == nil {
			if hex.EncodeToString(got) != c.want {
				t.Errorf("%s: %x", c.frame, got)
			}
		} else if e := err.(*Error); e.Code != c.code || e.Text != c.want {
			t.Errorf("%s: %v %s", c.frame, e.Code, e.Text)
		}
	}
}

func TestPriority(t *testing.T) {
	p := unhex(t, "80000007 ff")
	dep, err := PriorityPayload(FrameHeader{Length: 5, Stream: 3, Type: Priority}, p)
	if err != nil || dep != (Dependency{Stream: 7, Exclusive: true, Weight: 256}) {
		t.Errorf("%v %v", dep, err)
	}
	if _, err := PriorityPayload(FrameHeader{Length: 5, Stream: 7, Type: Priority}, p); err == nil {
		t.Error("a stream depends on itself")
	}
	if _, err := PriorityPayload(FrameHeader{Length: 4, Stream: 3, Type: Priority}, p[:4]); err.(*Error).Code != FrameSizeError {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	s := DefaultPeer()
	f := AppendSettings(nil, Setting{InitialWindowSize, 100}, Setting{MaxFrameSizeID, 20000}, Setting{HeaderTableSize, 0}, Setting{99, 1}, Setting{InitialWindowSize, 5})
	delta, ack, err := s.SettingsPayload(ParseHeader(f), f[HeaderSize:])
	if delta != 5-DefaultWindow || ack || err != nil || s.FrameSize != 20000 || s.HeaderTableSize != 0 || s.InitialWindow != 5 {
		t.Errorf("%d %v %v %+v", delta, ack, err, s)
	}
	if _, ack, err = s.SettingsPayload(FrameHeader{Type: Settings, Flags: Ack}, nil); !ack || err != nil {
		t.Error(ack, err)
	}
	for _, c := range []struct {
		s    Setting
		code ErrCode
		text string
	}{
		{Setting{InitialWindowSize, 1 << 31}, FlowControlError, "sent SETTINGS frame with incorrect INITIAL_WINDOW_SIZE value 2147483648"},
		{Setting{MaxFrameSizeID, 100}, ProtocolError, "sent SETTINGS frame with incorrect MAX_FRAME_SIZE value 100"},
		{Setting{EnablePush, 2}, ProtocolError, "sent SETTINGS frame with incorrect ENABLE_PUSH value 2"},
	} {
		f := AppendSettings(nil, c.s)
		_, _, err := s.SettingsPayload(ParseHeader(f), f[HeaderSize:])
		if e, ok := err.(*Error); !ok || e.Code != c.code || e.Text != c.text {
			t.Errorf("%v: %v", c.s, err)
		}
	}
}

func TestWindow(t *testing.T) {
	w := Window(DefaultWindow)
	if !w.Take(65535) || w.Take(1) || w.Free() != 0 || !w.Add(MaxWindow) || w.Add(1) || w != MaxWindow {
		t.Error(w)
	}
	w = 10
	w += -30 // a change of settings
	if w.Free() != 0 || w.Take(1) || !w.Add(MaxWindow) || w != MaxWindow-20 {
		t.Error(w)
	}
}
