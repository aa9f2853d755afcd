package conf_test

import (
	"fmt"
	"time"

	"moongate/internal/conf"
)

// A feature package begins with its config struct, the level the struct lives at, and
// its rows.

type delayConf struct {
	time  conf.Opt[time.Duration]
	paths []string
}

var locations = conf.NewLevel[delayConf](conf.KindLocation)

var Delay = conf.Module{Name: "delay", Directives: []conf.Directive{
	{Name: "delay", In: conf.HTTPServerLocation, Default: "1s500ms",
		Set: conf.Slot(locations, conf.Or("off", 0, conf.Msec), func(c *delayConf) *conf.Opt[time.Duration] { return &c.time }),
		Doc: "Holds every request back for this time."},
	{Name: "delay_path", Syntax: "path", In: conf.HTTPServerLocation, Args: conf.Take1,
		Set: conf.List(locations, conf.Str.Parse, func(c *delayConf) *[]string { return &c.paths }),
		Doc: "Names a path that is held back; may be repeated."},
}}

// Blocks are directives like any other: the setter makes a scope and parses into it.

var Blocks = conf.Module{Name: "blocks", Directives: []conf.Directive{
	{Name: "http", In: conf.Main, Args: conf.NoArgs | conf.Block, Set: conf.Func(readHTTP), Doc: "Opens the web part."},
	{Name: "server", In: conf.HTTP, Args: conf.NoArgs | conf.Block, Set: conf.Func(readServer), Doc: "Opens a server."},
}}

func readHTTP(c *conf.Cmd) error {
	http := conf.NewScope(conf.KindMain, c.Scope)
	if err := c.Block(conf.HTTP, http); err != nil {
		return err
	}
	if err := conf.Merge(nil, http); err != nil {
		return err
	}
	return conf.MergeTree(http)
}

func readServer(c *conf.Cmd) error {
	return c.Block(conf.Server, conf.NewScope(conf.KindServer, c.Scope))
}

func Example() {
	cfg, err := conf.Load(conf.Options{
		Modules: []*conf.Module{&Blocks, &Delay},
		Prefix:  "/srv/",
		Path:    "conf/nginx.conf",
		Text: `http {
			delay_path /slow;
			server { delay 2s; delay_path /a; delay_path /b; }
			server { delay off; }
			server { }
		}`,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, server := range cfg.Core.Children[0].Children {
		c := locations.Of(server)
		fmt.Println(c.time.V, c.paths)
	}
	// Output:
	// 2s [/a /b]
	// 0s [/slow]
	// 1.5s [/slow]
}
