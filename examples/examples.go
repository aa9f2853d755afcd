// Package examples has the sites of this folder in the binary: `moongate run` serves one, and copies it for editing.
package examples

import "embed"

// Hello is the site of hello/: conf, lua, html and tests below that name.
//
//go:embed hello/conf hello/lua hello/html hello/tests
var Hello embed.FS
