package http2

import "encoding/binary"

// SettingID names a setting.
type SettingID uint16

// The settings of RFC 9113 6.5.2, RFC 8441 and RFC 9218.
const (
	HeaderTableSize       SettingID = 1
	EnablePush            SettingID = 2
	MaxConcurrentStreams  SettingID = 3
	InitialWindowSize     SettingID = 4
	MaxFrameSizeID        SettingID = 5
	MaxHeaderListSize     SettingID = 6
	EnableConnectProtocol SettingID = 8
	NoRFC7540Priorities   SettingID = 9
)

// Setting is one parameter of SETTINGS.
type Setting struct {
	ID    SettingID
	Value uint32
}

// AppendSettings appends SETTINGS.
func AppendSettings(dst []byte, list ...Setting) []byte {
	dst = AppendHeader(dst, 6*len(list), Settings, 0, 0)
	for _, s := range list {
		dst = binary.BigEndian.AppendUint16(dst, uint16(s.ID))
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends the answer to SETTINGS.
func AppendSettingsAck(dst []byte) []byte { return AppendHeader(dst, 0, Settings, Ack, 0) }

// Peer is what the other side's SETTINGS say.
type Peer struct {
	HeaderTableSize      uint32
	MaxConcurrentStreams uint32
	InitialWindow        int64
	FrameSize            int
	MaxHeaderList        uint32
	Push                 bool
	ConnectProtocol      bool
	// Settings counts the frames without Ack.
	Settings int
}

// DefaultPeer is what holds before the first SETTINGS.
func DefaultPeer() Peer {
	return Peer{HeaderTableSize: DefaultTableSize, MaxConcurrentStreams: 1<<32 - 1, InitialWindow: DefaultWindow,
		FrameSize: DefaultFrameSize, MaxHeaderList: 1<<32 - 1, Push: true}
}

// SettingsPayload checks a SETTINGS frame and applies it, unless it is an Ack: then ack is true. delta is by how much the
// send windows of all streams change.
func (s *Peer) SettingsPayload(h FrameHeader, p []byte) (delta int64, ack bool, err error) {
	if err := needConn(h); err != nil {
		return 0, false, err
	}
	if h.Has(Ack) {
		if len(p) != 0 {
			return 0, false, errorf(FrameSizeError, "sent SETTINGS frame with the ACK flag and nonzero length")
		}
		return 0, true, nil
	}
	if len(p)%6 != 0 {
		return 0, false, badLength(h)
	}
	before := s.InitialWindow
	s.Settings++
	for ; len(p) > 0; p = p[6:] {
		if err := s.set(SettingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])); err != nil {
			return 0, false, err
		}
	}
	return s.InitialWindow - before, false, nil
}

func (s *Peer) set(id SettingID, v uint32) error {
	bad := func(code ErrCode, name string) error {
		return errorf(code, "sent SETTINGS frame with incorrect %s value %d", name, v)
	}
	switch id {
	case HeaderTableSize:
		s.HeaderTableSize = v
	case EnablePush:
		if v > 1 {
			return bad(ProtocolError, "ENABLE_PUSH")
		}
		s.Push = v == 1
	case MaxConcurrentStreams:
		s.MaxConcurrentStreams = v
	case InitialWindowSize:
		if v > MaxWindow {
			return bad(FlowControlError, "INITIAL_WINDOW_SIZE")
		}
		s.InitialWindow = int64(v)
	case MaxFrameSizeID:
		if v < DefaultFrameSize || v > MaxFrameSize {
			return bad(ProtocolError, "MAX_FRAME_SIZE")
		}
		s.FrameSize = int(v)
	case MaxHeaderListSize:
		s.MaxHeaderList = v
	case EnableConnectProtocol:
		if v > 1 {
			return bad(ProtocolError, "ENABLE_CONNECT_PROTOCOL")
		}
		s.ConnectProtocol = v == 1
	}
	return nil
}
