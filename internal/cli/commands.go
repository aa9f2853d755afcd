package cli

import (
	"fmt"
	"os"
	"runtime"

	"moongate/internal/luajit"
)

// tlsLibrary is what -V says about TLS. Scripts look for "OpenSSL X.Y.Z" to know what a server can do; ours is Go's own
// library, so it names the OpenSSL whose words it speaks and says what it is, in the form that other libraries use.
var tlsLibrary = "OpenSSL 3.0.2 (compatible; crypto/tls of " + runtime.Version() + ")"

func builtBy() string {
	return "built by " + runtime.Compiler + " " + runtime.Version() + "\nlinked with " + luajit.Linked() + "\n"
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
  moongate run               : serve a built-in site and say what to try
  moongate run DIR           : serve the site in DIR; a new DIR gets a copy of
                               the built-in one, to edit
  moongate test FILE ...     : run tests of a site
  moongate grpc COMMAND ...  : call, list and describe what gRPC servers offer
  moongate dump LIST         : print what is built in
`)
	for _, d := range cmds.Dumps {
		fmt.Printf("      %-14s     : %s\n", d.Name, d.Doc)
	}
	fmt.Print("  moongate help              : print this\n")
}
