// Package cli is the command line: nginx's options, and commands of our own
// behind a first word that is not an option.
package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"moongate/internal/app"
	"moongate/internal/base/version"
	"moongate/internal/conf"
)

// Commands are those which other packages implement.
type Commands struct {
	// Test runs test files (moongate test); nil while there is no such command.
	Test func(args []string, stdout, stderr io.Writer) int
	// GRPC calls methods of gRPC servers (moongate grpc); nil while there is no such command.
	GRPC func(args []string, stdin io.Reader, stdout, stderr io.Writer) int
	// Dumps are the lists moongate dump prints, by name.
	Dumps []Dump
}

// Dump is one list.
type Dump struct {
	Name, Doc string
	Write     func(w io.Writer) error
}

// Main is the whole program. args is the command line with the program's name.
func Main(prog *app.Program, cmds Commands, args []string) int {
	if app.IsWorker() {
		return app.Worker(prog)
	}
	if len(args) > 1 {
		switch args[1] {
		case "run":
			return run(prog, args)
		case "test":
			if cmds.Test != nil {
				return cmds.Test(args[2:], os.Stdout, os.Stderr)
			}
		case "grpc":
			if cmds.GRPC != nil {
				return cmds.GRPC(args[2:], os.Stdin, os.Stdout, os.Stderr)
			}
		case "dump":
			return dump(cmds, args[2:])
		case "help", "--help":
			help(cmds)
			return 0
		}
	}
	o, err := parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "nginx: %s\nmoongate: %s\n", err, advice(args[1:]))
		return 1
	}
	if o.version {
		o.show(prog)
		if !o.Test {
			return 0
		}
	}
	return app.Main(prog, o.Options, args)
}

// advice is what may help with a command line that is not understood.
func advice(args []string) string {
	switch first := args[0]; {
	case strings.HasPrefix(first, "-"):
	case first == "start" || first == "serve":
		return "options without a command start the server: moongate -p DIR/ -c conf/nginx.conf"
	case app.IsSignal(first) || first == "restart":
		return "a running server is told by -s: moongate -p DIR/ -c conf/nginx.conf -s " + strings.Replace(first, "restart", "reload", 1)
	case strings.HasSuffix(first, ".conf"):
		return "a configuration is named by -c: moongate -c " + first
	default:
		if meant := conf.Closest(first, slices.Values([]string{"run", "test", "grpc", "dump", "help"})); meant != "" {
			return "did you mean \"moongate " + meant + "\"?"
		}
	}
	return "\"moongate -h\" lists the options, \"moongate help\" the commands"
}

// options are the process's, and what to show.
type options struct {
	app.Options
	help, version, configure bool
}

// parse reads options as nginx does: letters may share a dash, a value may
// follow its letter at once or as the next word. The errors are nginx's.
func parse(args []string) (o *options, err error) {
	o = &options{}
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "" || arg[0] != '-' {
			return nil, fmt.Errorf("invalid option: \"%s\"", arg)
		}
		// value is what follows the letter at j, in this word or the next.
		value := func(j int, what string) (string, error) {
			if j+1 < len(arg) {
				return arg[j+1:], nil
			}
			if i++; i < len(args) {
				return args[i], nil
			}
			return "", fmt.Errorf("option \"-%c\" requires %s", arg[j], what)
		}
	letters:
		for j := 1; j < len(arg); j++ {
			switch c := arg[j]; c {
			case '?', 'h':
				o.version, o.help = true, true
			case 'v':
				o.version = true
			case 'V':
				o.version, o.configure = true, true
			case 't':
				o.Test = true
			case 'T':
				o.Test, o.Dump = true, true
			case 'q':
				o.Quiet = true
			case 'p':
				o.Prefix, err = value(j, "directory name")
				break letters
			case 'e':
				o.ErrorLog, err = value(j, "file name")
				break letters
			case 'c':
				o.Config, err = value(j, "file name")
				break letters
			case 'g':
				o.Global, err = value(j, "parameter")
				break letters
			case 's':
				o.Signal, err = value(j, "parameter")
				if err == nil && !app.IsSignal(o.Signal) {
					err = fmt.Errorf("invalid option: \"-s %s\"", o.Signal)
				}
				break letters
			default:
				return nil, fmt.Errorf("invalid option: \"%c\"", c)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// usage is the answer to -h.
const usage = `Usage: moongate [-?hvVtTq] [-s signal] [-p prefix]
                [-e filename] [-c filename] [-g directives]
       moongate run | test | grpc | dump | help ...

Options:
  -?,-h         : show this help and exit
  -v            : show the version and exit
  -V            : show the version and what is built in, and exit
  -t            : check the configuration and exit
  -T            : check the configuration, print it and exit
  -q            : say nothing but errors while checking
  -s signal     : signal the running server: stop, quit, reopen, reload
  -p prefix     : directory that other names start from (default: ` + app.DefaultPrefix + `)
  -e filename   : log errors of the start here (default: ` + app.DefaultErrorLog + `); "stderr" for none
  -c filename   : configuration file (default: ` + app.DefaultConfig + `)
  -g directives : directives that stand in front of the configuration file's

`

// show prints version, help and configure arguments, on stderr like nginx.
func (o *options) show(prog *app.Program) {
	var b strings.Builder
	b.WriteString("nginx version: " + version.Build + "\n")
	if o.help {
		b.WriteString(usage)
	}
	if o.configure {
		b.WriteString(builtBy())
		b.WriteString("built with " + tlsLibrary + "\nTLS SNI support enabled\n")
		b.WriteString("configure arguments: " + strings.Join(prog.Arguments(prog.Modules), " ") + "\n")
	}
	io.WriteString(os.Stderr, b.String())
}
