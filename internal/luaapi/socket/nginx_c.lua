-- resty.openssl.auxiliary.nginx_c, for lua-resty-openssl's resty.openssl.ssl. TLS is not OpenSSL's here, so what is given is an
-- SSL that never spoke, with a session that has the certificate, cipher suite and protocol of the connection: good to be read.
local ffi = require "ffi"
local C, char = ffi.C, string.char
local peer_session = package.loaded.moongate_peer.session

ffi.cdef [[
const void *mg_TLS_method(void) __asm__("TLS_client_method");
const void *mg_TLS12_method(void) __asm__("TLSv1_2_client_method");
void *mg_SSL_CTX_new(const void *method) __asm__("SSL_CTX_new");
void mg_SSL_CTX_free(void *ctx) __asm__("SSL_CTX_free");
void *mg_SSL_new(void *ctx) __asm__("SSL_new");
void mg_SSL_free(void *ssl) __asm__("SSL_free");
int mg_SSL_set_session(void *ssl, void *session) __asm__("SSL_set_session");
void *mg_d2i_SSL_SESSION(void *session, const unsigned char **der, long len) __asm__("d2i_SSL_SESSION");
void mg_SSL_SESSION_free(void *session) __asm__("SSL_SESSION_free");
typedef struct ssl_st SSL;
]]

local contexts = {} -- by protocol

local function context(version)
    local ctx = contexts[version]
    if not ctx then
        ctx = C.mg_SSL_CTX_new(version == 0x0303 and C.mg_TLS12_method() or C.mg_TLS_method())
        if ctx == nil then return nil end
        ctx = ffi.gc(ctx, C.mg_SSL_CTX_free)
        contexts[version] = ctx
    end
    return ctx
end

-- der is a value of a type: RFC 5280's certificates are longer than the short form of lengths allows.
local function der(tag, value)
    local n = #value
    if n < 0x80 then return char(tag, n) .. value end
    if n < 0x100 then return char(tag, 0x81, n) .. value end
    if n < 0x10000 then return char(tag, 0x82, math.floor(n / 256), n % 256) .. value end
    return char(tag, 0x83, math.floor(n / 65536), math.floor(n / 256) % 256, n % 256) .. value
end

local function two(n) return char(math.floor(n / 256), n % 256) end

-- session is OpenSSL's serialized form of one without secrets.
local function session(certificate, suite, version)
    return der(0x30, der(0x02, "\1") .. der(0x02, two(version)) .. der(0x04, two(suite)) .. der(0x04, "") .. der(0x04, ("\0"):rep(48))
        .. der(0xa3, certificate))
end

local function none() return nil, "not supported: TLS is not OpenSSL's here" end

local function get_socket_ssl(sock)
    local certificate, suite, version = peer_session(sock)
    if not certificate then return nil, suite end
    local text = session(certificate, suite, version)
    local at = ffi.new("const unsigned char *[1]", ffi.cast("const unsigned char *", text))
    local sess = C.mg_d2i_SSL_SESSION(nil, at, #text)
    local ctx = context(version)
    local ssl = ctx and C.mg_SSL_new(ctx)
    if sess == nil or ssl == nil then
        if sess ~= nil then C.mg_SSL_SESSION_free(sess) end
        if ssl ~= nil then C.mg_SSL_free(ssl) end
        return none()
    end
    ssl = ffi.gc(ffi.cast("SSL *", ssl), C.mg_SSL_free)
    C.mg_SSL_set_session(ssl, sess)
    C.mg_SSL_SESSION_free(sess)
    return ssl
end

return {get_req_ssl = none, get_req_ssl_ctx = none, get_socket_ssl = get_socket_ssl, get_socket_ssl_ctx = none}
