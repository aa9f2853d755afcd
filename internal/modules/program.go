package modules

import (
	"slices"
	"strings"

	"moongate/internal/conf"
	"moongate/internal/edge/h1"
	"moongate/internal/edge/h3"
	"moongate/internal/engine"
	"moongate/internal/errlog"
	"moongate/internal/luaapi/workerthread"
	"moongate/internal/luahost"
	"moongate/internal/mod/core"
	"moongate/internal/plane"
)

// Conf lists the modules of the configuration. The first row of a name that
// fits a block is taken.
func Conf() []*conf.Module {
	return append([]*conf.Module{&core.Module, &core.Events, &errlog.Module}, Set().ConfModules()...)
}

// NewPlane makes the data plane.
func NewPlane() plane.Plane {
	luahost.Configure = " " + strings.Join(Arguments(Conf()), " ")
	workerthread.HasPool = func(cfg *conf.Config, name string) bool {
		return slices.ContainsFunc(core.Of(cfg).Pools, func(p core.Pool) bool { return p.Name == name })
	}
	return &engine.Plane{NewConn: h1.Accept, Datagrams: h3.Serve()}
}

// Arguments are the configure arguments of moongate -V, for the modules whose
// directives are there. Scripts conclude from them what a server can do:
// nginx says "--with-" for what it leaves out unless told, "--without-" for
// what it has otherwise.
func Arguments(modules []*conf.Module) []string {
	have := map[string]conf.Context{}
	for _, m := range modules {
		for i := range m.Directives {
			have[m.Directives[i].Name] |= m.Directives[i].In
		}
	}
	args := []string{"--with-debug", "--with-pcre", "--with-pcre-jit", "--with-threads"}
	for _, f := range configure {
		has := have[f.directive]&f.in != 0
		switch {
		case has && f.with:
			args = append(args, "--with-"+f.name)
		case !has && !f.with:
			args = append(args, "--without-"+f.name)
		}
	}
	return args
}

const (
	http   = conf.HTTPServerLocation | conf.Upstream
	stream = conf.Stream | conf.StreamServer | conf.StreamUpstream
)

// configure lists nginx's configure arguments, each with a directive that
// tells whether the module is there.
var configure = []struct {
	with            bool
	name, directive string
	in              conf.Context
}{
	{true, "http_ssl_module", "ssl_certificate", http},
	{true, "http_v2_module", "http2", http},
	{true, "http_v3_module", "http3", http},
	{true, "http_realip_module", "set_real_ip_from", http},
	{true, "http_addition_module", "add_before_body", http},
	{true, "http_sub_module", "sub_filter", http},
	{true, "http_dav_module", "dav_methods", http},
	{true, "http_flv_module", "flv", http},
	{true, "http_mp4_module", "mp4", http},
	{true, "http_gunzip_module", "gunzip", http},
	{true, "http_gzip_static_module", "gzip_static", http},
	{true, "http_auth_request_module", "auth_request", http},
	{true, "http_random_index_module", "random_index", http},
	{true, "http_secure_link_module", "secure_link", http},
	{true, "http_slice_module", "slice", http},
	{true, "http_stub_status_module", "stub_status", http},
	{true, "stream", "stream", conf.Main},
	{true, "stream_ssl_module", "ssl_certificate", stream},
	{true, "stream_ssl_preread_module", "ssl_preread", stream},
	{true, "stream_realip_module", "set_real_ip_from", stream},
	{false, "http_charset_module", "charset", http},
	{false, "http_gzip_module", "gzip", http},
	{false, "http_ssi_module", "ssi", http},
	{false, "http_userid_module", "userid", http},
	{false, "http_access_module", "allow", http},
	{false, "http_auth_basic_module", "auth_basic", http},
	{false, "http_mirror_module", "mirror", http},
	{false, "http_autoindex_module", "autoindex", http},
	{false, "http_geo_module", "geo", http},
	{false, "http_map_module", "map", http},
	{false, "http_split_clients_module", "split_clients", http},
	{false, "http_referer_module", "valid_referers", http},
	{false, "http_rewrite_module", "rewrite", http},
	{false, "http_proxy_module", "proxy_pass", http},
	{false, "http_fastcgi_module", "fastcgi_pass", http},
	{false, "http_uwsgi_module", "uwsgi_pass", http},
	{false, "http_scgi_module", "scgi_pass", http},
	{false, "http_grpc_module", "grpc_pass", http},
	{false, "http_memcached_module", "memcached_pass", http},
	{false, "http_limit_conn_module", "limit_conn", http},
	{false, "http_limit_req_module", "limit_req", http},
	{false, "http_empty_gif_module", "empty_gif", http},
	{false, "http_browser_module", "ancient_browser", http},
	{false, "http_upstream_hash_module", "hash", http},
	{false, "http_upstream_ip_hash_module", "ip_hash", http},
	{false, "http_upstream_least_conn_module", "least_conn", http},
	{false, "http_upstream_random_module", "random", http},
	{false, "http_upstream_keepalive_module", "keepalive", http},
	{false, "http_upstream_zone_module", "zone", http},
	{false, "http_upstream_sticky_module", "sticky", http},
	{false, "http-cache", "proxy_cache", http},
}
