// Package grpccmd is `moongate grpc`: it calls methods of gRPC servers with JSON, and lists and describes what they offer, by
// their reflection or by .proto files.
package grpccmd

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"moongate/internal/grpc"
	"moongate/internal/grpc/descriptor"
	"moongate/internal/grpc/transcode"
)

const usage = `Usage: moongate grpc COMMAND [flags] HOST:PORT [NAME] [flags]

  moongate grpc call HOST:PORT SERVICE/METHOD -d JSON   : call a method; several values, or - for standard input,
                                                          are the messages of a stream
  moongate grpc list HOST:PORT [SERVICE]                : the services, or the methods of one
  moongate grpc describe HOST:PORT [NAME]               : a service, method, message or enum; without one all services

HOST:PORT, or unix:/PATH, may be left out of list and describe where files say what there is. The flags:
`

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// command is one run.
type command struct {
	data, headers, protos, paths, sets list
	callHeaders, reflectHeaders        list
	useTLS, plaintext, insecure, show  bool
	lenient                            bool
	ca, cert, key, authority, name     string
	agent                              string
	timeout, connect                   time.Duration
	maxReceive                         int64

	stdin          io.Reader
	stdout, stderr io.Writer
	target         *target
	set            *descriptor.Set
}

// Main runs the command and returns the status of its process: for a call that ended with a status, 64 and that.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &command{stdin: stdin, stdout: stdout, stderr: stderr}
	fs := flag.NewFlagSet("moongate grpc", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	fs.Var(&c.data, "d", "a message as `JSON`; @FILE reads it, - or @ is standard input")
	fs.Var(&c.headers, "H", "metadata, `name: value`, of the call and of reflection; that of -bin names is base64, or text")
	fs.Var(&c.callHeaders, "rpc-header", "metadata of the call only")
	fs.Var(&c.reflectHeaders, "reflect-header", "metadata of reflection only")
	fs.Var(&c.protos, "proto", "a .proto `file`, in place of reflection")
	fs.Var(&c.paths, "import-path", "a `directory` in which -proto files and their imports are looked for")
	fs.Var(&c.paths, "path", "the same")
	fs.Var(&c.sets, "protoset", "a `file` with a binary descriptor set")
	fs.BoolVar(&c.plaintext, "plaintext", false, "no TLS (the default)")
	fs.BoolVar(&c.useTLS, "tls", false, "use TLS, as each of the next five does")
	fs.BoolVar(&c.insecure, "insecure", false, "do not verify the server's certificate")
	fs.StringVar(&c.ca, "cacert", "", "the `file` of the certificates to trust")
	fs.StringVar(&c.cert, "cert", "", "the `file` of the client's certificate")
	fs.StringVar(&c.key, "key", "", "the `file` of its key")
	fs.StringVar(&c.name, "servername", "", "the `name` that the server's certificate is for")
	fs.StringVar(&c.authority, "authority", "", "the `name` of the server, in place of HOST:PORT")
	fs.StringVar(&c.agent, "user-agent", "", "what the call says of its `program`")
	fs.DurationVar(&c.timeout, "timeout", 0, "the deadline of the call, as in 5s")
	fs.Func("max-time", "the same in `seconds`", seconds(&c.timeout))
	c.connect = 10 * time.Second
	fs.Func("connect-timeout", "how many `seconds` to wait for a connection (10)", seconds(&c.connect))
	fs.Int64Var(&c.maxReceive, "max-receive", 64<<20, "the largest message to take, in `bytes`")
	fs.Int64Var(&c.maxReceive, "max-msg-sz", 64<<20, "the same")
	fs.BoolVar(&c.lenient, "allow-unknown-fields", false, "leave out what -d has of fields that are not in the message")
	fs.BoolVar(&c.show, "v", false, "show header and trailer")
	words, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if len(words) == 0 {
		fs.Usage()
		return 2
	}
	return c.run(fs, words)
}

// seconds reads a number of seconds.
func seconds(to *time.Duration) func(string) error {
	return func(s string) error {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || !(x >= 0 && x < 1e9) {
			return errors.New("not a number of seconds")
		}
		*to = time.Duration(x * float64(time.Second))
		return nil
	}
}

// parse takes flags from between the words.
func parse(fs *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		args = fs.Args()
		if len(args) == 0 {
			return words, nil
		}
		words, args = append(words, args[0]), args[1:]
	}
}

func (c *command) run(fs *flag.FlagSet, words []string) int {
	name, words := words[0], words[1:]
	need := map[string][2]int{"call": {2, 2}, "list": {0, 2}, "describe": {0, 2}}[name]
	if need == [2]int{} || len(words) < need[0] || len(words) > need[1] {
		fs.Usage()
		return 2
	}
	files := len(c.protos)+len(c.sets) > 0
	if c.useTLS = c.useTLS || c.insecure || c.ca+c.cert+c.key+c.name != ""; c.useTLS && c.plaintext {
		return c.failed(errors.New("-plaintext does not go with what is said of TLS"))
	}
	if name == "call" || !files || len(words) == need[1] {
		if len(words) == 0 {
			fs.Usage()
			return 2
		}
		var err error
		if c.target, err = c.dial(words[0]); err != nil {
			return c.failed(err)
		}
		words = words[1:]
	}
	err := c.load(name, words)
	if err != nil {
		return c.failed(err)
	}
	switch name {
	case "list":
		err = c.list(words)
	case "describe":
		err = c.describe(words)
	default:
		err = c.call(words[0])
	}
	return c.failed(err)
}

func (c *command) failed(err error) int {
	if err == nil {
		return 0
	}
	var st *grpc.Status
	if errors.As(err, &st) {
		fmt.Fprintf(c.stderr, "%s\n", err)
		for _, d := range c.details(st) {
			fmt.Fprintf(c.stderr, "detail: %s\n", d)
		}
		return 64 + int(st.Code)
	}
	fmt.Fprintf(c.stderr, "moongate grpc: %s\n", err)
	return 1
}

// dial prepares what calls go through.
func (c *command) dial(addr string) (t *target, err error) {
	var cfg *tls.Config
	if c.useTLS {
		if cfg, err = c.tlsConfig(); err != nil {
			return nil, err
		}
	}
	t = newTarget(addr, c.authority, cfg, c.maxReceive, c.connect)
	if c.agent != "" {
		t.agent = c.agent
	}
	t.forReflection, err = fields(c.headers, c.reflectHeaders)
	return t, err
}

// fields reads metadata.
func fields(lists ...list) (md []field, err error) {
	for _, h := range slices.Concat(lists...) {
		k, v, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form name: value", h)
		}
		md = append(md, field{strings.ToLower(strings.TrimSpace(k)), strings.TrimSpace(v)})
	}
	return md, nil
}

func (c *command) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{InsecureSkipVerify: c.insecure}
	switch {
	case c.name != "":
		cfg.ServerName = c.name
	case c.authority != "":
		cfg.ServerName, _, _ = strings.Cut(c.authority, ":")
	}
	if c.ca != "" {
		b, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("no certificate in %s", c.ca)
		}
	}
	if c.cert != "" || c.key != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// load finds the descriptors: in files, else by reflection.
func (c *command) load(command string, words []string) (err error) {
	if len(c.protos)+len(c.sets) > 0 {
		return c.loadFiles()
	}
	symbol := everything
	switch {
	case len(words) > 0:
		symbol, _, _ = strings.Cut(strings.Trim(words[0], "/."), "/")
	case command == "list":
		symbol = names
	}
	c.set, err = c.target.reflect(symbol)
	return err
}

func (c *command) loadFiles() (err error) {
	var sets []*descriptor.Set
	for _, name := range c.sets {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		set, err := descriptor.Parse(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sets = append(sets, set)
	}
	if len(c.protos) > 0 {
		src := descriptor.Sources{Read: os.ReadFile}
		for _, dir := range c.paths {
			if dir, err = filepath.Abs(dir); err != nil {
				return err
			}
			src.Paths = append(src.Paths, dir)
		}
		var files []string
		for _, p := range c.protos {
			files = append(files, source(src.Paths, p))
		}
		set, err := src.Compile(files...)
		if err != nil {
			return err
		}
		sets = append(sets, set)
	}
	c.set, err = descriptor.Join(sets...)
	return err
}

// source is where a .proto file is: in one of the directories of imports, or from where we stand.
func source(paths []string, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	for _, dir := range paths {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return name
		}
	}
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

func (c *command) list(words []string) error {
	if len(words) == 0 {
		for _, name := range c.services() {
			fmt.Fprintln(c.stdout, name)
		}
		return nil
	}
	sd := c.set.Service(words[0])
	if sd == nil {
		return fmt.Errorf("there is no service %s", words[0])
	}
	for i := range sd.Methods().Len() {
		fmt.Fprintf(c.stdout, "%s/%s\n", sd.FullName(), sd.Methods().Get(i).Name())
	}
	return nil
}

// services are the names of what is offered.
func (c *command) services() (list []string) {
	if c.target != nil && c.target.offered != nil {
		list = slices.Clone(c.target.offered)
		slices.Sort(list)
		return list
	}
	for _, sd := range c.set.Services() {
		list = append(list, string(sd.FullName()))
	}
	return list
}

func (c *command) call(name string) error {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok {
		i := strings.LastIndexByte(name, '.')
		if i < 0 {
			return fmt.Errorf("%s is not of the form service/method", name)
		}
		service, method = name[:i], name[i+1:]
	}
	m := c.set.Method(service, method)
	if m == nil {
		return fmt.Errorf("there is no method %s in %s", method, service)
	}
	next, err := c.messages(m)
	if err != nil {
		return err
	}
	md, err := fields(c.headers, c.callHeaders)
	if err != nil {
		return err
	}
	x := &exchange{path: "/" + service + "/" + method, metadata: md, timeout: c.timeout, next: next, received: func(msg []byte) error {
		b, err := transcode.ToJSON(c.set.Types, m.Output(), msg)
		if err != nil {
			return err
		}
		return c.print(b)
	}}
	if c.show {
		x.fields = func(what string, fields map[string][]string) {
			for _, k := range slices.Sorted(maps.Keys(fields)) {
				for _, v := range fields[k] {
					fmt.Fprintf(c.stderr, "%s: %s: %s\n", what, strings.ToLower(k), v)
				}
			}
		}
	}
	return c.target.do(x)
}

// print writes JSON, indented.
func (c *command) print(b []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "%s\n", out.Bytes())
	return err
}

// messages gives the requests one by one, encoded; io.EOF ends them.
func (c *command) messages(m protoreflect.MethodDescriptor) (func() ([]byte, error), error) {
	var sources []io.Reader
	for _, d := range c.data {
		switch {
		case d == "-" || d == "@-" || d == "@":
			sources = append(sources, c.stdin)
		case strings.HasPrefix(d, "@"):
			b, err := os.ReadFile(d[1:])
			if err != nil {
				return nil, err
			}
			sources = append(sources, strings.NewReader(string(b)))
		default:
			sources = append(sources, strings.NewReader(d+" "))
		}
	}
	if len(sources) == 0 && !m.IsStreamingClient() {
		sources = append(sources, strings.NewReader("{}"))
	}
	dec := json.NewDecoder(io.MultiReader(sources...))
	sent := 0
	return func() ([]byte, error) {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			if err != io.EOF {
				err = fmt.Errorf("invalid JSON: %w", err)
			}
			return nil, err
		}
		if sent++; sent > 1 && !m.IsStreamingClient() {
			return nil, fmt.Errorf("%s takes one message", m.Name())
		}
		from := transcode.FromJSON
		if c.lenient {
			from = transcode.FromSomeJSON
		}
		b, err := from(c.set.Types, m.Input(), raw)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", sent, err)
		}
		return b, nil
	}, nil
}

// details are the messages of a status, as JSON; of types that are not known, as bytes.
func (c *command) details(st *grpc.Status) (texts []string) {
	std, err := descriptor.Details()
	if len(st.Details) == 0 || err != nil {
		return nil
	}
	types := std.Types
	if c.set != nil {
		if all, err := c.set.With(std); err == nil {
			types = all.Types
		}
	}
	m := dynamicpb.NewMessage(std.Message("google.rpc.Status"))
	if proto.Unmarshal(st.Details, m) != nil {
		return nil
	}
	list := m.Get(m.Descriptor().Fields().ByName("details")).List()
	for i := range list.Len() {
		d := list.Get(i).Message()
		b, err := (protojson.MarshalOptions{Resolver: types}).Marshal(d.Interface())
		if err != nil {
			f := d.Descriptor().Fields()
			b, _ = json.Marshal(map[string]any{"@type": d.Get(f.ByName("type_url")).String(), "value": d.Get(f.ByName("value")).Bytes()})
		}
		texts = append(texts, string(b))
	}
	return texts
}
