package luajit

/*
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <luajit.h>
#ifndef MOONGATE_LUA52COMPAT
#define MOONGATE_LUA52COMPAT 0
#endif
enum { mg_lua52 = MOONGATE_LUA52COMPAT, mg_pcre_major = PCRE2_MAJOR, mg_pcre_minor = PCRE2_MINOR };
*/
import "C"

import "fmt"

// Lua52 says that the LuaJIT linked has the Lua 5.2 extensions, as OpenResty's has: build/luajit made it. The packaged
// library lacks them.
const Lua52 = C.mg_lua52 != 0

// Linked names the libraries, for moongate -V.
func Linked() string {
	extensions := "with"
	if !Lua52 {
		extensions = "without"
	}
	return fmt.Sprintf("%s (OpenResty's branch, %s the Lua 5.2 extensions), PCRE2 %d.%d",
		C.LUAJIT_VERSION, extensions, C.mg_pcre_major, C.mg_pcre_minor)
}
