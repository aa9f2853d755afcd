package grpcserver

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"google.golang.org/protobuf/reflect/protoreflect"

	"moongate/internal/conf"
	"moongate/internal/grpc"
	"moongate/internal/grpc/descriptor"
	"moongate/internal/grpc/tally"
	"moongate/internal/lua"
	"moongate/internal/relay"
)

// method is a method as served in a location.
type method struct {
	desc    protoreflect.MethodDescriptor
	service string
	name    string
	module  string    // whose function name answers; or
	code    *lua.Code // whose function does; or
	native  func(c *call) *grpc.Status
	target  string    // whom calls are passed on to, "": nobody
	filter  *lua.Code // of the messages passed on
	conf    *locConf

	clientStream, serverStream bool
	path                       []byte // for the counters
	kind                       string
}

// standard are the descriptors of the services that are served beside the configured ones, and of what status details are
// made of.
var standard = sync.OnceValues(func() (*descriptor.Set, error) {
	return (&descriptor.Sources{}).Compile("grpc/health/v1/health.proto", "grpc/reflection/v1/reflection.proto",
		"grpc/reflection/v1alpha/reflection.proto", "google/rpc/status.proto",
		"google/rpc/error_details.proto")
})

// initLoc prepares what is served: methods by path, and rules of JSON.
func initLoc(lc *locConf, s *conf.Scope) error {
	if len(lc.services) == 0 {
		return nil
	}
	m := mainLevel.Of(s)
	if err := m.complete(); err != nil {
		return err
	}
	lc.set, lc.encoded = m.full, m.encoded
	for _, svc := range lc.services {
		if svc.passes() {
			lc.addPassed(svc)
		} else if err := lc.addOwn(svc); err != nil {
			return err
		}
		if strings.HasPrefix(svc.target, "grpcs:") && lc.tls == "" {
			if err := relay.CompleteClient("grpc_", s); err != nil {
				return err
			}
			lc.tls = fmt.Sprintf(" %p", lc)
		}
	}
	if lc.methods == nil {
		return nil
	}
	lc.rules.Sort()
	if lc.unknown.V == "ignore" {
		lc.rules.DiscardUnknown()
	}
	if lc.health.V {
		lc.addNative("grpc.health.v1.Health", map[string]func(*call) *grpc.Status{"Check": healthCheck, "List": healthList, "Watch": healthWatch})
	}
	if lc.reflect.V {
		for _, v := range []string{"v1", "v1alpha"} {
			lc.addNative("grpc.reflection."+v+".ServerReflection", map[string]func(*call) *grpc.Status{"ServerReflectionInfo": reflection})
		}
	}
	return nil
}

// passes reports whether a service is not answered here: grpc_pass is to have its calls, whose messages are shown to Lua.
func (s *service) passes() bool { return s.module == "" && len(s.code) == 0 && s.target == "" }

// addOwn adds the methods of a service that is answered.
func (lc *locConf) addOwn(svc *service) error {
	if lc.methods == nil {
		lc.methods, lc.served = map[string]*method{}, map[string]bool{}
	}
	d := lc.set.Service(svc.name)
	lc.served[svc.name] = true
	for i := range d.Methods().Len() {
		md := d.Methods().Get(i)
		m := lc.add(svc.name, md)
		m.module, m.code, m.target, m.filter = svc.module, svc.code[m.name], svc.target, svc.filterOf(m.name)
		if err := lc.rules.Add(md); err != nil {
			return err
		}
	}
	return nil
}

// addPassed adds the methods with filters of a service that is not.
func (lc *locConf) addPassed(svc *service) {
	if lc.passed == nil {
		lc.passed, lc.guarded = map[string]*method{}, map[string]bool{}
	}
	lc.guarded[svc.name] = svc.filter[""] != nil
	d := lc.set.Service(svc.name)
	for i := range d.Methods().Len() {
		if m := lc.newMethod(svc.name, d.Methods().Get(i)); svc.filterOf(m.name) != nil {
			m.filter = svc.filterOf(m.name)
			lc.passed[svc.name+"/"+m.name] = m
		}
	}
}

// filterOf is the filter of a method's messages, nil when it has none.
func (s *service) filterOf(method string) *lua.Code {
	if f := s.filter[method]; f != nil {
		return f
	}
	return s.filter[""]
}

func (lc *locConf) newMethod(service string, md protoreflect.MethodDescriptor) *method {
	cs, ss := md.IsStreamingClient(), md.IsStreamingServer()
	return &method{desc: md, service: service, name: string(md.Name()), conf: lc, clientStream: cs, serverStream: ss,
		path: []byte("/" + service + "/" + string(md.Name())), kind: tally.Stream(cs, ss)}
}

func (lc *locConf) add(service string, md protoreflect.MethodDescriptor) *method {
	m := lc.newMethod(service, md)
	lc.methods[service+"/"+m.name] = m
	return m
}

func (lc *locConf) addNative(service string, natives map[string]func(*call) *grpc.Status) {
	if lc.served[service] { // the configuration has its own
		return
	}
	d := lc.set.Service(service)
	if d == nil { // files of the configuration have some of its names
		return
	}
	lc.served[service] = true
	for i := range d.Methods().Len() {
		m := lc.add(service, d.Methods().Get(i))
		m.native = natives[m.name]
	}
}

// complete adds the standard services to the descriptors, once, as far as the configuration's files do not have them.
func (m *mainConf) complete() error {
	if m.full != nil {
		return nil
	}
	std, err := standard()
	if err != nil {
		return err
	}
	if m.full, err = m.set.With(std); err == nil {
		m.encoded = m.full.Bytes()
	}
	return err
}

// id tells the descriptors of a configuration from others', for Lua.
func (lc *locConf) id() uintptr { return uintptr(unsafe.Pointer(lc.set)) }
