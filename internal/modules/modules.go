// Package modules holds the one ordered list of what the http block is made of.
package modules

import (
	"moongate/internal/edge/h2"
	"moongate/internal/edge/h3"
	"moongate/internal/engine"
	"moongate/internal/luaapi/grpcclient"
	"moongate/internal/mod/access"
	"moongate/internal/mod/addition"
	"moongate/internal/mod/arrayvar"
	"moongate/internal/mod/authbasic"
	"moongate/internal/mod/authrequest"
	"moongate/internal/mod/autoindex"
	"moongate/internal/mod/browser"
	"moongate/internal/mod/charset"
	"moongate/internal/mod/corevars"
	"moongate/internal/mod/dav"
	"moongate/internal/mod/echo"
	"moongate/internal/mod/emptygif"
	"moongate/internal/mod/forminput"
	"moongate/internal/mod/geo"
	"moongate/internal/mod/grpc"
	"moongate/internal/mod/grpcserver"
	"moongate/internal/mod/gunzip"
	"moongate/internal/mod/gzip"
	"moongate/internal/mod/gzipstatic"
	"moongate/internal/mod/headers"
	"moongate/internal/mod/headersmore"
	"moongate/internal/mod/index"
	"moongate/internal/mod/limitconn"
	"moongate/internal/mod/limitreq"
	"moongate/internal/mod/logmod"
	"moongate/internal/mod/luamod"
	"moongate/internal/mod/mapvar"
	"moongate/internal/mod/memcached"
	"moongate/internal/mod/mirror"
	"moongate/internal/mod/notmodified"
	"moongate/internal/mod/proxy"
	"moongate/internal/mod/randomindex"
	"moongate/internal/mod/ranges"
	"moongate/internal/mod/realip"
	"moongate/internal/mod/referer"
	"moongate/internal/mod/rewrite"
	"moongate/internal/mod/securelink"
	"moongate/internal/mod/setmisc"
	"moongate/internal/mod/slice"
	"moongate/internal/mod/splitclients"
	"moongate/internal/mod/srcache"
	"moongate/internal/mod/ssi"
	"moongate/internal/mod/ssl"
	"moongate/internal/mod/static"
	"moongate/internal/mod/statuspage"
	"moongate/internal/mod/stubstatus"
	"moongate/internal/mod/sub"
	"moongate/internal/mod/tryfiles"
	"moongate/internal/mod/upstreams"
	"moongate/internal/mod/userid"
)

// Set is the list of modules and filters, in the order they run.
func Set() *engine.Set {
	assemble()
	return &engine.Set{
		// Within a phase steps run from top to bottom.
		Modules: []*engine.Module{
			&luamod.Early, // rewrite_by_lua_no_postpone, access_by_lua_no_postpone
			&corevars.Module,
			&ssl.Module,
			&h2.Module, // behind ssl, whose handshakes it has a part in
			&h3.Module,
			&mapvar.Module,
			&geo.Module,
			&splitclients.Module,
			&browser.Module,
			&referer.Module,
			&securelink.Module,
			&forminput.Module, // its body is there for the directives of rewrite
			&rewrite.Module,   // before Lua's own rewrite handlers
			&realip.Module,
			&limitreq.Module,
			&limitconn.Module,
			&access.Module,
			&authbasic.Module,
			&authrequest.Module,
			&setmisc.Module,
			&arrayvar.Module,
			&headersmore.Module, // more_set_input_headers: behind rewrite, before Lua
			&luamod.Module,
			&echo.Module,
			&srcache.Module,    // what is in the cache needs nothing below
			&logmod.Module,     // behind log_by_lua
			&grpcserver.Module, // before try_files: its calls have no file
			&tryfiles.Module,
			&mirror.Module,
			&randomindex.Module,
			&index.Module, // index, autoindex, gzip_static, static: the first that has an answer
			&autoindex.Module,
			&dav.Module,
			&gzipstatic.Module,
			&static.Module,
			&emptygif.Module,
			&stubstatus.Module,
			&statuspage.Module,
			&headers.Module,
			&userid.Module,
			&gunzip.Module,
			&addition.Module,
			&sub.Module,
			&charset.Module,
			&slice.Module,
			&ssi.Module,
			&gzip.Module,
			&upstreams.Module,
			&proxy.Module,
			&memcached.Module,
			&memcached.Memc,
			&grpc.Module,
			&grpcclient.Module,
		},

		// Response heads, then bodies, pass from top to bottom: what stands lower sees the output of what stands above it,
		// and is nearer to the client. Order as in nginx:
		//   parts of a response                                          slice, range body
		//   304 and 412                                                  not_modified
		//   third parties                                                headers-more, lua, srcache, echo
		//   add_header, expires                                          headers
		//   changes of the body                                          sub, charset, ssi, ...
		//   subrequests in their place                                   postpone
		//   compression                                                  gzip, gunzip
		//   byte ranges                                                  range
		Filters: []*engine.Filter{
			&slice.Filter,
			&ranges.Body,
			&notmodified.Filter,
			engine.Copy,
			&headersmore.Filter,
			luamod.NewTrace(),
			luamod.NewFilter(),
			srcache.NewFilter(),
			echo.NewFilter(),
			&headers.Filter,
			&userid.Filter,
			&gunzip.Filter,
			&addition.Filter,
			&sub.Filter,
			&charset.Filter,
			&ssi.Filter,
			{Name: "postpone"},
			&gzip.Filter,
			&ranges.Header,
		},
	}
}
