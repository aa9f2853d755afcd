package grpcserver

import (
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"moongate/internal/grpc"
)

// healths are the states that Lua has set, of the whole process.
var healths = struct {
	sync.Mutex
	m map[string]uint64
}{m: map[string]uint64{}}

// States of health.
const (
	serving        = 1
	notServing     = 2
	serviceUnknown = 3
)

// setHealth says how a service is; "" is the server itself.
func setHealth(service string, status uint64) {
	healths.Lock()
	healths.m[service] = status
	healths.Unlock()
}

// health is the state of a service: what is served is healthy unless Lua says otherwise.
func (lc *locConf) healthOf(service string) uint64 {
	healths.Lock()
	defer healths.Unlock()
	if st, ok := healths.m[service]; ok {
		return st
	}
	if service == "" || lc.served[service] {
		return serving
	}
	return serviceUnknown
}

func healthRequest(c *call) (service string, st *grpc.Status) {
	msg, st := c.recvOne()
	if st == nil {
		eachBytes(msg, func(n protowire.Number, v []byte) {
			if n == 1 {
				service = string(v)
			}
		})
	}
	return service, st
}

func healthReply(state uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), state)
}

func healthCheck(c *call) *grpc.Status {
	service, st := healthRequest(c)
	if st != nil {
		return st
	}
	state := c.conf.healthOf(service)
	if state == serviceUnknown {
		return &grpc.Status{Code: grpc.NotFound, Message: "unknown service"}
	}
	return errStatus(c.send(healthReply(state), true))
}

// healthList says how all services are.
func healthList(c *call) *grpc.Status {
	if _, st := c.recvOne(); st != nil {
		return st
	}
	names := []string{""}
	for n := range c.conf.served {
		names = append(names, n)
	}
	healths.Lock()
	for n := range healths.m {
		if n != "" && !c.conf.served[n] {
			names = append(names, n)
		}
	}
	healths.Unlock()
	slices.Sort(names)
	var reply []byte
	for _, n := range names {
		entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), n)
		entry = protowire.AppendBytes(protowire.AppendTag(entry, 2, protowire.BytesType), healthReply(c.conf.healthOf(n)))
		reply = protowire.AppendBytes(protowire.AppendTag(reply, 1, protowire.BytesType), entry)
	}
	return errStatus(c.send(reply, true))
}

func errStatus(err error) *grpc.Status {
	if err == nil {
		return nil
	}
	return statusOf(err)
}

// watchEvery is how often a state that is watched is looked at.
const watchEvery = 200 * time.Millisecond

func healthWatch(c *call) *grpc.Status {
	service, st := healthRequest(c)
	if st != nil {
		return st
	}
	for last := uint64(99); ; {
		if state := c.conf.healthOf(service); state != last {
			if err := c.send(healthReply(state), false); err != nil {
				return statusOf(err)
			}
			last = state
		}
		if c.status != nil || c.canceled || c.r.Aborted {
			return c.status
		}
		if c.r.W.Stopping {
			return &grpc.Status{Code: grpc.Unavailable, Message: "the server is shutting down"}
		}
		if c.r.W.Loop.Sleep(watchEvery) != nil || c.r.Stream.Gone() {
			c.canceled = true
			return errGone
		}
	}
}

// reflection answers questions for descriptors.
func reflection(c *call) *grpc.Status {
	for {
		msg, err := c.recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return statusOf(err)
		}
		if err := c.send(reflect(c.conf, msg), false); err != nil {
			return statusOf(err)
		}
	}
}

func reflect(lc *locConf, request []byte) []byte {
	reply := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), request)
	answered := false
	answer := func(n protowire.Number, b []byte) {
		if answered = true; b == nil {
			n, b = 7, reflectError("not found")
		}
		reply = protowire.AppendBytes(protowire.AppendTag(reply, n, protowire.BytesType), b)
	}
	eachBytes(request, func(n protowire.Number, v []byte) {
		switch n {
		case 1:
			reply = protowire.AppendBytes(protowire.AppendTag(reply, 1, protowire.BytesType), v)
		case 3:
			answer(4, lc.fileReply(string(v)))
		case 4:
			d, _ := lc.set.Files.FindDescriptorByName(protoreflect.FullName(v))
			answer(4, lc.fileOf(d))
		case 5:
			answer(4, lc.extension(v))
		case 6:
			answer(5, lc.extensionNumbers(string(v)))
		case 7:
			answer(6, lc.serviceList())
		}
	})
	if !answered {
		answer(7, reflectErrorCode(grpc.InvalidArgument, "invalid request"))
	}
	return reply
}

func reflectError(msg string) []byte { return reflectErrorCode(grpc.NotFound, msg) }

func reflectErrorCode(code grpc.Code, msg string) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(code))
	return protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), msg)
}

// fileReply is a file with what it imports; nil when there is none.
func (lc *locConf) fileReply(name string) (b []byte) {
	for _, f := range lc.set.File(name) {
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), f)
	}
	return b
}

func (lc *locConf) fileOf(d protoreflect.Descriptor) []byte {
	if d == nil {
		return nil
	}
	return lc.fileReply(d.ParentFile().Path())
}

func (lc *locConf) extension(request []byte) []byte {
	var name protoreflect.FullName
	var number uint64
	for b := request; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(b)
			name = protoreflect.FullName(v)
		case num == 2 && typ == protowire.VarintType:
			number, _ = protowire.ConsumeVarint(b)
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return nil
		}
		b = b[n:]
	}
	x, err := lc.set.Types.FindExtensionByNumber(name, protoreflect.FieldNumber(number))
	if err != nil {
		return nil
	}
	return lc.fileOf(x.TypeDescriptor())
}

func (lc *locConf) extensionNumbers(name string) []byte {
	if lc.set.Message(name) == nil {
		return nil
	}
	var numbers []uint64
	add := func(list protoreflect.ExtensionDescriptors) {
		for i := range list.Len() {
			if x := list.Get(i); string(x.ContainingMessage().FullName()) == name {
				numbers = append(numbers, uint64(x.Number()))
			}
		}
	}
	var inside func(list protoreflect.MessageDescriptors)
	inside = func(list protoreflect.MessageDescriptors) {
		for i := range list.Len() {
			add(list.Get(i).Extensions())
			inside(list.Get(i).Messages())
		}
	}
	lc.set.Files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		add(f.Extensions())
		inside(f.Messages())
		return true
	})
	slices.Sort(numbers)
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
	for _, n := range numbers {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), n)
	}
	return b
}

func (lc *locConf) serviceList() []byte {
	names := make([]string, 0, len(lc.served))
	for n := range lc.served {
		names = append(names, n)
	}
	slices.Sort(names)
	b := []byte{}
	for _, n := range names {
		s := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), n)
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), s)
	}
	return b
}
