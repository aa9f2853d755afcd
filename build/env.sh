# shellcheck shell=bash
# build/env.sh: `source build/env.sh` once in a shell, then use go build, go test and friends as usual. It points cgo at
# the LuaJIT that build/luajit made. Without one it changes nothing: the packaged library is linked.
#
# A static library is not part of Go's cache key, so a macro carries its hash: a new library means a new build of the
# one package that links it, and of nothing else.
_mg_cache=${MOONGATE_CACHE:-$(dirname "${BASH_SOURCE:-build/env.sh}")/../.cache}
if [ -f "$_mg_cache/luajit/stamp" ]; then
	_mg_cache=$(cd "$_mg_cache" && pwd -P)
	_mg_sum=$(sed -n 's/^library //p' "$_mg_cache/luajit/stamp")
	export CGO_CFLAGS="-O2 -g -I$_mg_cache/luajit/include/luajit-2.1 -DMOONGATE_LUA52COMPAT=1 -DMOONGATE_LUAJIT_SUM=0x$_mg_sum"
	export CGO_LDFLAGS="-O2 -g -L$_mg_cache/luajit/lib"
	unset _mg_sum
fi
unset _mg_cache
