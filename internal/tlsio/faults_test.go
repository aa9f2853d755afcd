package tlsio

import (
	"crypto/tls"
	"net"
	"testing"
)

// TestRefusals has OpenSSL's words for handshakes that crypto/tls refuses.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		server, client *tls.Config
		want           string
	}{
		{&tls.Config{NextProtos: []string{"http/1.1"}, GetCertificate: nobody}, &tls.Config{NextProtos: []string{"foo"}}, "error:0A0000EB:SSL routines::no application protocol"},
		{&tls.Config{GetCertificate: nobody}, &tls.Config{}, "error:0A0000EA:SSL routines::callback failed"},
		{&tls.Config{GetCertificate: nobody, MinVersion: tls.VersionTLS13}, &tls.Config{MaxVersion: tls.VersionTLS12}, "error:0A000102:SSL routines::unsupported protocol"},
	} {
		a, b := net.Pipe()
		c.client.InsecureSkipVerify = true
		go func() {
			tls.Client(b, c.client).Handshake()
			b.Close()
		}()
		err := tls.Server(a, c.server).Handshake()
		a.Close()
		if err == nil || ErrorText(err) != c.want {
			t.Errorf("%v: want %s", err, c.want)
		}
	}
}

func nobody(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
