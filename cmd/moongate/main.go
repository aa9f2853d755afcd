// Command moongate serves HTTP as nginx with OpenResty's Lua does.
package main

import (
	"io"
	"os"

	"moongate/internal/app"
	"moongate/internal/cli"
	"moongate/internal/cli/grpccmd"
	"moongate/internal/cli/testcmd"
	"moongate/internal/conf"
	"moongate/internal/modules"
)

func main() {
	prog := &app.Program{Modules: modules.Conf(), NewPlane: modules.NewPlane, Arguments: modules.Arguments}
	os.Exit(cli.Main(prog, cli.Commands{Test: testcmd.Main, GRPC: grpccmd.Main, Dumps: dumps(prog)}, os.Args))
}

func dumps(prog *app.Program) []cli.Dump {
	return []cli.Dump{
		{Name: "directives", Doc: "directives, one on a line, columns separated by tabs", Write: func(w io.Writer) error {
			return conf.Dump(w, append([]*conf.Module{&conf.Builtin}, prog.Modules...))
		}},
		{Name: "variables", Doc: "variables, likewise", Write: modules.DumpVariables},
		{Name: "lua", Doc: "names of the Lua API, likewise", Write: modules.DumpLua},
		{Name: "reference", Doc: "manual of all directives, in Markdown", Write: func(w io.Writer) error {
			for _, m := range prog.Modules {
				if err := conf.Reference(w, m); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}
