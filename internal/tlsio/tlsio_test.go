package tlsio

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"
)

// helloBytes is what crypto/tls's client sends first.
func helloBytes(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		tls.Client(theirs, cfg).Handshake()
		theirs.Close()
	}()
	defer ours.Close()
	b := make([]byte, 16<<10)
	n, err := ours.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// split puts a message into records of at most size bytes.
func split(record []byte, size int) (out []byte) {
	for msg := record[recordHead:]; len(msg) > 0; {
		n := min(size, len(msg))
		out = append(append(out, record[0], record[1], record[2], byte(n>>8), byte(n)), msg[:n]...)
		msg = msg[n:]
	}
	return out
}

func TestHello(t *testing.T) {
	b := helloBytes(t, &tls.Config{ServerName: "moon.example", NextProtos: []string{"h2"}})
	for name, b := range map[string][]byte{"one record": b, "three": split(b, len(b)/3+1), "of a byte": split(b, 1)} {
		h := parseHello(b)
		if h == nil {
			t.Fatalf("%s: not understood", name)
		}
		sni, ok := h.Extension(0)
		if !ok || !bytes.HasSuffix(sni, []byte("moon.example")) || len(h.Random) != 32 || !slices.Contains(h.Suites, tls.TLS_AES_128_GCM_SHA256) || h.Version != tls.VersionTLS12 {
			t.Errorf("%s: %+v", name, h)
		}
		if _, ok := h.Extension(0x5a5a); ok {
			t.Errorf("%s: an extension that is not there", name)
		}
	}
	for n := range b {
		if parseHello(b[:n]) != nil {
			t.Errorf("%d of %d bytes are a hello", n, len(b))
		}
	}
}

func FuzzHello(f *testing.F) {
	b := helloBytes(f, &tls.Config{ServerName: "a"})
	f.Add(b)
	f.Add(split(b, 7))
	f.Fuzz(func(t *testing.T, b []byte) { parseHello(b) })
}

func TestGrease(t *testing.T) {
	for v, want := range map[uint16]bool{0x0a0a: true, 0xfafa: true, 0x0a1a: false, 0x1301: false} {
		if Grease(v) != want {
			t.Errorf("%#x", v)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{tls.RecordHeaderError{}, "error:0A00010B:SSL routines::wrong version number"},
		{Words("mine"), "mine"},
		{errors.New("remote error: tls: handshake failure"), "error:0A000410:SSL routines::sslv3 alert handshake failure:SSL alert number 40"},
		{errors.New("remote error: tls: unknown certificate authority"), "error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48"},
		{errors.New("tls: client offered only unsupported versions: [303]"), "error:0A000102:SSL routines::unsupported protocol"},
		{errors.New("tls: received unexpected handshake message of type *tls.clientHelloMsg when waiting for *tls.serverHelloMsg"), "error:0A0000F4:SSL routines::unexpected message"},
		{errors.New("else"), "else"},
	} {
		if got := ErrorText(c.err); got != c.want {
			t.Errorf("%v: %q", c.err, got)
		}
	}
}

func TestPeerFault(t *testing.T) {
	for text, want := range map[string]bool{
		"tls: received unexpected handshake message of type *tls.clientHelloMsg when waiting for *tls.serverHelloMsg": true,
		"tls: failed to verify certificate": false,
	} {
		if got := PeerFault(errors.New(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		list  [][2]string
		check func(cfg *tls.Config, out Commanded) bool
	}{
		{[][2]string{{"MinProtocol", "TLSv1.1"}, {"MaxProtocol", "TLSv1.2"}}, func(cfg *tls.Config, _ Commanded) bool {
			return cfg.MinVersion == tls.VersionTLS11 && cfg.MaxVersion == tls.VersionTLS12
		}},
		{[][2]string{{"Protocol", "-ALL,TLSv1.2"}}, func(cfg *tls.Config, _ Commanded) bool {
			return cfg.MinVersion == tls.VersionTLS12 && cfg.MaxVersion == tls.VersionTLS12
		}},
		{[][2]string{{"Ciphersuites", "TLS_AES_128_CCM_SHA256"}}, func(cfg *tls.Config, _ Commanded) bool { return cfg.MaxVersion == tls.VersionTLS12 }},
		{[][2]string{{"Ciphersuites", "TLS_AES_256_GCM_SHA384"}}, func(cfg *tls.Config, _ Commanded) bool { return cfg.MaxVersion == 0 }},
		{[][2]string{{"Groups", "X448:prime256v1"}}, func(cfg *tls.Config, _ Commanded) bool {
			return len(cfg.CurvePreferences) == 1 && cfg.CurvePreferences[0] == tls.CurveP256
		}},
		{[][2]string{{"Options", "ServerPreference,-SessionTicket"}}, func(_ *tls.Config, out Commanded) bool { return out.Tickets != nil && !*out.Tickets }},
		{[][2]string{{"Certificate", "a"}, {"PrivateKey", "b"}}, func(_ *tls.Config, out Commanded) bool { return out.Certificate == "a" && out.PrivateKey == "b" }},
		{[][2]string{{"VerifyMode", "Peer"}}, func(*tls.Config, Commanded) bool { return true }},
	} {
		cfg := &tls.Config{}
		out, err := Commands(cfg, c.list)
		if err != nil || !c.check(cfg, out) {
			t.Errorf("%v: %v, %+v", c.list, err, out)
		}
	}
	for _, bad := range [][2]string{{"Nonsense", "1"}, {"MinProtocol", "TLSv9"}, {"Protocol", "x"}, {"Groups", "foo"}, {"CipherString", "foo"}, {"Ciphersuites", "RSA"}} {
		if _, err := Commands(&tls.Config{}, [][2]string{bad}); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
