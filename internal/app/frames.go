package app

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"moongate/internal/plane"
)

// message is what supervisor and worker tell each other.
type message struct {
	Op    string
	Load  *load  `json:",omitempty"`
	Name  string `json:",omitempty"`
	Errno int    `json:",omitempty"`
}

// Operations. Start and reload come with a load and its descriptors; the
// worker answers with ready or failed. The worker's open has the name of a file;
// the supervisor answers with opened, and its descriptor or an error.
const (
	opStart  = "start"
	opReload = "reload"
	opReopen = "reopen"
	opQuit   = "quit"
	opStop   = "stop"
	opReady  = "ready"
	opFailed = "failed"
	opOpen   = "open"
	opOpened = "opened"
)

// load is a configuration that the supervisor has found right, with all a
// worker needs to take it on without being root: its descriptors are those of
// Sockets, then of Logs.
type load struct {
	Options    Options
	Args       []string
	Environ    []string // the supervisor's, unfiltered
	Disk       *disk
	Sockets    []plane.Socket
	Logs       []string
	Daemonized bool
	Started    bool // some worker has served: nobody watches the terminal any more
}

// channel is one end of the socket between supervisor and worker.
type channel struct{ *net.UnixConn }

func newChannel(fd int) (channel, error) {
	f := os.NewFile(uintptr(fd), "channel")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return channel{}, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return channel{}, syscall.ENOTSOCK
	}
	return channel{u}, nil
}

// fdsPerByte is how many descriptors go with one byte; the kernel takes 253.
const fdsPerByte = 200

// maxMessage bounds what is believed of a length.
const maxMessage = 1 << 30

// send writes a message: lengths of text and descriptors, then a byte for each
// batch of descriptors, then the text.
func (c channel) send(m *message, fds []int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(fds)))
	if _, err := c.Write(head); err != nil {
		return err
	}
	for len(fds) > 0 {
		n := min(len(fds), fdsPerByte)
		if _, _, err := c.WriteMsgUnix([]byte{0}, syscall.UnixRights(fds[:n]...), nil); err != nil {
			return err
		}
		fds = fds[n:]
	}
	_, err = c.Write(text)
	return err
}

// receive reads a message and its descriptors, which are close-on-exec and the
// caller's.
func (c channel) receive() (*message, []int, error) {
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, nil, err
	}
	size, count := binary.LittleEndian.Uint32(head[:]), int(binary.LittleEndian.Uint32(head[4:]))
	if size > maxMessage {
		return nil, nil, fmt.Errorf("message of %d bytes", size)
	}
	var fds []int
	for len(fds) < count {
		more, err := c.receiveFDs()
		if err != nil {
			return nil, nil, err
		}
		fds = append(fds, more...)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(c, text); err != nil {
		return nil, nil, err
	}
	m := &message{}
	return m, fds, json.Unmarshal(text, m)
}

func (c channel) receiveFDs() ([]int, error) {
	var b [1]byte
	oob := make([]byte, syscall.CmsgSpace(fdsPerByte*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(b[:], oob)
	if err != nil {
		return nil, err
	}
	if n != 1 || flags&syscall.MSG_CTRUNC != 0 {
		return nil, io.ErrUnexpectedEOF
	}
	msgs, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		got, err := syscall.ParseUnixRights(&msgs[i])
		if err != nil {
			return nil, err
		}
		fds = append(fds, got...)
	}
	if len(fds) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return fds, nil
}
