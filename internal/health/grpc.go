package health

import (
	"encoding/binary"
	"fmt"

	"moongate/internal/http2"
)

// GRPC asks by the health protocol of gRPC (grpc.health.v1.Health/Check): a server is well when it says SERVING.
var GRPC = &Kind{
	Name:      "grpc",
	Protocols: []string{"h2"},
	New:       func(c *Check) { c.Params = &grpcParams{} },
	Param: func(c *Check, name, value string) bool {
		if name != "service" {
			return false
		}
		c.Params.(*grpcParams).service = value
		return len(value) < 100
	},
	Probe: probeGRPC,
}

type grpcParams struct{ service string }

const healthMethod = "/grpc.health.v1.Health/Check"

var servingStatus = map[uint64]string{0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

// grpcProbe is one call: a connection that carries nothing else.
type grpcProbe struct {
	*Probe
	dec     http2.Decoder
	message []byte
}

func probeGRPC(p *Probe) error {
	g := grpcProbe{Probe: p}
	g.dec.Init(http2.DefaultTableSize)
	if err := p.Write(g.request()); err != nil {
		return err
	}
	buf, n := make([]byte, http2.HeaderSize+http2.DefaultFrameSize), 0
	for {
		m, err := p.Read(buf[n:])
		if err != nil {
			return err
		}
		n += m
		at := 0
		for n-at >= http2.HeaderSize {
			h := http2.ParseHeader(buf[at:])
			if h.Length > http2.DefaultFrameSize {
				return fmt.Errorf("no answer of gRPC")
			}
			end := at + http2.HeaderSize + int(h.Length)
			if end > n {
				break
			}
			done, err := g.frame(h, buf[at+http2.HeaderSize:end])
			if done || err != nil {
				return err
			}
			at = end
		}
		n = copy(buf, buf[at:n])
	}
}

// request is all that is sent: settings, the call and its message.
func (g *grpcProbe) request() []byte {
	b := append([]byte(nil), http2.Preface...)
	b = http2.AppendSettings(b, http2.Setting{ID: http2.EnablePush, Value: 0})
	var enc http2.Encoder
	enc.Init()
	block := enc.Append(nil, http2.PMethod, nil, []byte("POST"), http2.Plain)
	scheme := "http"
	if g.TLS != nil {
		scheme = "https"
	}
	block = enc.Append(block, http2.PScheme, nil, []byte(scheme), http2.Plain)
	block = enc.Append(block, http2.PPath, nil, []byte(healthMethod), http2.Plain)
	block = enc.Append(block, http2.PAuthority, nil, []byte(g.Check.Host), http2.Plain)
	for _, f := range [...][2]string{{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "moongate health check"}} {
		block = enc.Append(block, 0, []byte(f[0]), []byte(f[1]), http2.Plain)
	}
	b = http2.AppendHeaders(b, 1, block, 0, http2.DefaultFrameSize)
	var m []byte
	if s := g.Check.Params.(*grpcParams).service; s != "" { // field 1, a string shorter than 128 bytes
		m = append([]byte{0x0a, byte(len(s))}, s...)
	}
	m = append([]byte{0, 0, 0, 0, byte(len(m))}, m...)
	return http2.AppendData(b, 1, m, http2.EndStream)
}

// frame takes a frame of the answer; done says that the server is well.
func (g *grpcProbe) frame(h http2.FrameHeader, p []byte) (done bool, err error) {
	switch h.Type {
	case http2.Settings:
		if !h.Has(http2.Ack) {
			return false, g.Write(http2.AppendSettingsAck(nil))
		}
	case http2.Ping:
		data, err := http2.PingPayload(h, p)
		if err == nil && !h.Has(http2.Ack) {
			err = g.Write(http2.AppendPing(nil, data, http2.Ack))
		}
		return false, err
	case http2.Headers:
		return false, g.head(h, p)
	case http2.Data:
		data, err := http2.DataPayload(h, p)
		if err != nil {
			return false, err
		}
		if g.message = append(g.message, data...); len(g.message) > maxAnswer {
			return false, fmt.Errorf("unexpected answer")
		}
		return g.judge()
	case http2.RSTStream:
		code, _ := http2.RSTStreamPayload(h, p)
		return false, fmt.Errorf("call was reset: %s", code)
	case http2.GoAway:
		return false, ErrClosed
	}
	return false, nil
}

// head looks at the response's head, or at what follows its body.
func (g *grpcProbe) head(h http2.FrameHeader, p []byte) error {
	block, _, err := http2.HeadersPayload(h, p)
	if err != nil {
		return err
	}
	var b http2.Block
	if err := g.dec.Decode(&b, block, &http2.Limits{String: maxAnswer, Total: maxAnswer, Count: 100}); err != nil {
		return err
	}
	for i := range b.List {
		switch f := &b.List[i]; {
		case f.Static == http2.PStatus && string(f.Value) != "200":
			return fmt.Errorf("status %.16s", f.Value)
		case string(f.Name) == "grpc-status" && string(f.Value) != "0":
			return fmt.Errorf("grpc-status %.16s", f.Value)
		}
	}
	if h.Has(http2.EndStream) {
		return fmt.Errorf("unexpected answer")
	}
	return nil
}

// judge looks at the message once it is complete: field 1 is the status.
func (g *grpcProbe) judge() (well bool, err error) {
	m := g.message
	if len(m) < 5 || len(m)-5 < int(binary.BigEndian.Uint32(m[1:])) {
		return false, nil
	}
	status := uint64(0)
	if m = m[5:]; len(m) >= 2 && m[0] == 0x08 {
		status, _ = binary.Uvarint(m[1:])
	}
	if status != 1 {
		text := servingStatus[status]
		if text == "" {
			text = fmt.Sprint("status ", status)
		}
		return false, fmt.Errorf("%s", text)
	}
	return true, nil
}
