// Package server runs the server under test: its private directory, the
// nginx.conf around a block's sections, start, signals, end, and its logs.
package server

import (
	"fmt"
	"strings"

	"moongate/internal/testkit/pattern"
)

// Conf is what the generated nginx.conf is made of. Empty strings stand for
// nothing.
type Conf struct {
	Root              Root
	Port              int
	Workers           int
	WorkerConnections int
	Master            bool
	Daemon            bool
	ErrorLog          string // file of the error_log directive
	LogLevel          string
	Env               []string // further env directives
	Modules           []string // load_module
	Main              string
	HTTP              string
	ServerName        string
	Preamble          string
	Server            string
	NoRootLocation    bool
	PostMain          string
	Use               string // event method
	User              string
	NoFastCGI         bool
	NoSCGI            bool
	NoUWSGI           bool
	ListenOptions     string
	// Version is answered at /ver of a second server, for tests that reload; empty:
	// no such server.
	Version string
}

// passedEnv are the names that the server lets through in every test.
var passedEnv = []string{"MOCKEAGAIN_VERBOSE", "MOCKEAGAIN", "MOCKEAGAIN_WRITE_TIMEOUT_PATTERN",
	"LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "DYLD_FORCE_FLAT_NAMESPACE"}

var lateEnv = []string{"ASAN_OPTIONS", "MOCKNOEAGAIN_VERBOSE", "MOCKNOEAGAIN"}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

var (
	hasProxyTemp = pattern.MustCompile(`\bproxy_temp_path\b`, "")
	hasBodyTemp  = pattern.MustCompile(`\bclient_body_temp_path\b`, "")
)

// Text renders the file. Tests name lines of it (content_by_lua(nginx.conf:40)),
// so the number of lines in front of each section is part of the format.
func (c *Conf) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("worker_processes  %d;", c.Workers)
	line("daemon %s;", onOff(c.Daemon))
	line("master_process %s;", onOff(c.Master))
	line("error_log %s %s;", c.ErrorLog, c.LogLevel)
	line("pid       %s;", c.Root.PidFile())
	for _, name := range passedEnv {
		line("env %s;", name)
	}
	for _, v := range c.Env {
		if strings.ContainsAny(v, " \t\n") {
			v = "'" + v + "'"
		}
		line("env %s;", v)
	}
	line("")
	line("# main_config")
	line("")
	b.WriteString(c.main())
	line("")
	line("http {")
	c.http(&b)
	line("}")
	line("")
	line("%s", c.PostMain)
	line("")
	line("events {")
	line("    accept_mutex off;")
	line("    worker_connections  %d;", c.WorkerConnections)
	if c.Use != "" {
		line("    use %s;", c.Use)
	}
	line("}")
	for _, name := range lateEnv {
		line("env %s;", name)
	}
	if c.User != "" {
		line("user %s;", c.User)
	}
	return b.String()
}

func (c *Conf) main() string {
	var b strings.Builder
	for _, m := range c.Modules {
		b.WriteString("load_module " + m + "; ")
	}
	b.WriteString(c.Main + "\n")
	return b.String()
}

func (c *Conf) http(b *strings.Builder) {
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	line("    access_log %s; %s", c.Root.AccessLog(), c.tempPaths())
	line("    # one line each, then http_config")
	line("")
	line("    default_type text/plain;")
	line("    keepalive_timeout  68000ms;")
	line("")
	line("%s", c.HTTP)
	line("    server {")
	line("        listen          %d%s;", c.Port, c.ListenOptions)
	line("")
	line("        server_name     '%s';", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(c.ServerName))
	line("")
	line("        client_max_body_size 30M;")
	line("")
	line("")
	line("        # preamble")
	line("%s", c.Preamble)
	line("")
	line("")
	line("        # config")
	line("%s", c.Server)
	line("        # end of config")
	if !c.NoRootLocation {
		line("        location / {")
		line("            root %s;", c.Root.HTML())
		line("            index index.html index.htm;")
		line("        }")
	}
	line("    }")
	if c.Version != "" {
		line("    server {")
		line("        listen          %d%s;", c.Port, c.ListenOptions)
		line("        server_name     '%s';", VersionHost)
		line("        location = /ver {")
		line("            return 200 '%s';", c.Version)
		line("        }")
		line("    }")
	}
}

// VersionHost is the name of the server that tells which configuration runs.
const VersionHost = "Test-Nginx"

func (c *Conf) tempPaths() string {
	var b strings.Builder
	for _, t := range []struct {
		name string
		skip bool
	}{
		{"client_body", hasBodyTemp.Match(c.HTTP)},
		{"proxy", hasProxyTemp.Match(c.HTTP)},
		{"fastcgi", c.NoFastCGI},
		{"scgi", c.NoSCGI},
		{"uwsgi", c.NoUWSGI},
	} {
		if !t.skip {
			fmt.Fprintf(&b, "%s_temp_path %s/%s_temp; ", t.name, c.Root, t.name)
		}
	}
	return b.String()
}
