package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"moongate/internal/app"
	"moongate/internal/luajit"
)

// tlsLibrary is what -V says about TLS, "" while there is none. Scripts look
// for "OpenSSL X.Y.Z" to know what a server can do; ours is Go's own library,
// so it has to name the OpenSSL it is to be taken for.
const tlsLibrary = ""

func builtBy() string {
	return "built by " + runtime.Compiler + " " + runtime.Version() + "\nlinked with " + luajit.Linked() + "\n"
}

// site is what "moongate run" serves.
const site = `daemon off;
master_process off;
error_log stderr notice;
pid %s;
events { }
http {
    access_log off;
    server {
        listen %s;
        root %s;
        location / { index index.html; }
    }
}
`

// run serves a directory in the foreground, without a configuration file.
func run(prog *app.Program, args []string) int {
	set := flag.NewFlagSet("moongate run", flag.ContinueOnError)
	listen := set.String("l", "127.0.0.1:8080", "`address` to listen on")
	if err := set.Parse(args[2:]); err != nil {
		return 2
	}
	dir, err := filepath.Abs(set.Arg(0))
	if err != nil {
		fmt.Fprintf(os.Stderr, "moongate: %s\n", err)
		return 1
	}
	pid := filepath.Join(os.TempDir(), "moongate-run-"+strconv.Itoa(os.Getpid())+".pid")
	fmt.Fprintf(os.Stderr, "moongate: serving %s on http://%s/, until interrupted\n", dir, *listen)
	return app.Main(prog, app.Options{
		Prefix: dir, Config: "moongate.conf", ErrorLog: "stderr",
		Text: fmt.Sprintf(site, quote(pid), *listen, quote(dir)),
	}, args[:1])
}

// quote makes a word of the configuration language.
func quote(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' || s[i] == '$' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(append(b, '"'))
}

func dump(cmds Commands, args []string) int {
	for _, d := range cmds.Dumps {
		if len(args) == 1 && args[0] == d.Name {
			if err := d.Write(os.Stdout); err != nil {
				fmt.Fprintf(os.Stderr, "moongate: %s\n", err)
				return 1
			}
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, "Usage: moongate dump LIST, where LIST is")
	for _, d := range cmds.Dumps {
		fmt.Fprintf(os.Stderr, "  %-14s: %s\n", d.Name, d.Doc)
	}
	return 2
}

func help(cmds Commands) {
	fmt.Print(`Moongate runs nginx configurations with the Lua of OpenResty.

  moongate [options]         : be nginx; moongate -h lists the options
  moongate run [-l ADDR] DIR : serve a directory, without a configuration
  moongate test FILE ...     : run tests of a site
  moongate dump LIST         : print what is built in
`)
	for _, d := range cmds.Dumps {
		fmt.Printf("      %-14s     : %s\n", d.Name, d.Doc)
	}
	fmt.Print("  moongate help              : print this\n")
}
