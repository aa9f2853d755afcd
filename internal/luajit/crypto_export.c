/*
 * crypto_export.c: what Lua libraries take of OpenResty's TLS functions by ffi.cdef: the names, arguments and results are
 * its. The work is done in Go (mg_go_tls).
 */
#include <string.h>

#include "_cgo_export.h"
#include "crypto.h"

enum { NGX_OK = 0, NGX_ERROR = -1 };

enum {
    OP_CERT_DER = 1,
    OP_KEY_DER,
    OP_PEM_CERT,
    OP_DER_CERT,
    OP_PEM_KEY,
    OP_DER_KEY,
    OP_CLEAR,
    OP_SET_DER_CERT,
    OP_SET_DER_KEY,
    OP_SET_CERT,
    OP_SET_KEY,
    OP_VERIFY,
    OP_CLIENT_RANDOM,
    OP_SERVER_RANDOM,
    OP_MASTER_KEY,
    OP_SSL,
    OP_CIPHERS,
};

typedef struct {
    void       *r;
    const void *in;
    size_t      len;
    const char *extra;
    void       *a, *b;
    int         n;
    void       *out;
    size_t      cap;
} mg_tls_args;

static int ask(int op, mg_tls_args g, size_t *n, char **err)
{
    size_t len = 0;
    char  *problem = mg_go_tls(op, (uintptr_t) g.r, (void *) g.in, g.len, (char *) g.extra, (uintptr_t) g.a, (uintptr_t) g.b, g.n, g.out, g.cap, &len);

    if (problem != NULL) {
        if (err != NULL) {
            *err = problem;
        }

        return NGX_ERROR;
    }

    if (n != NULL) {
        *n = len;
    }

    return NGX_OK;
}

/* The most that DER takes for a text of n bytes is n. */
int ngx_http_lua_ffi_cert_pem_to_der(const unsigned char *pem, size_t len, unsigned char *der, char **err)
{
    size_t n;
    int    rc = ask(OP_CERT_DER, (mg_tls_args){.in = pem, .len = len, .out = der, .cap = len}, &n, err);

    return rc == NGX_OK ? (int) n : rc;
}

int ngx_http_lua_ffi_priv_key_pem_to_der(const unsigned char *pem, size_t len, const unsigned char *pass, unsigned char *der, char **err)
{
    size_t n;
    int    rc = ask(OP_KEY_DER, (mg_tls_args){.in = pem, .len = len, .extra = (const char *) pass, .out = der, .cap = len}, &n, err);

    return rc == NGX_OK ? (int) n : rc;
}

static void *parse(int op, const void *in, size_t len, char **err)
{
    void *p = NULL;

    ask(op, (mg_tls_args){.in = in, .len = len, .out = &p, .cap = sizeof(p)}, NULL, err);
    return p;
}

void *ngx_http_lua_ffi_parse_pem_cert(const unsigned char *pem, size_t len, char **err) { return parse(OP_PEM_CERT, pem, len, err); }

void *ngx_http_lua_ffi_parse_der_cert(const char *der, size_t len, char **err) { return parse(OP_DER_CERT, der, len, err); }

void *ngx_http_lua_ffi_parse_pem_priv_key(const unsigned char *pem, size_t len, char **err) { return parse(OP_PEM_KEY, pem, len, err); }

void *ngx_http_lua_ffi_parse_der_priv_key(const char *der, size_t len, char **err) { return parse(OP_DER_KEY, der, len, err); }

void ngx_http_lua_ffi_free_cert(void *p) { mg_crypto_free(MG_CHAIN, p); }

void ngx_http_lua_ffi_free_priv_key(void *p) { mg_crypto_free(MG_KEY, p); }

void ngx_http_lua_ffi_proxy_ssl_free_verify_cert(void *p) { mg_crypto_free(MG_CERT, p); }

int ngx_http_lua_ffi_ssl_clear_certs(void *r, char **err) { return ask(OP_CLEAR, (mg_tls_args){.r = r}, NULL, err); }

int ngx_http_lua_ffi_ssl_set_der_certificate(void *r, const char *der, size_t len, char **err)
{
    return ask(OP_SET_DER_CERT, (mg_tls_args){.r = r, .in = der, .len = len}, NULL, err);
}

int ngx_http_lua_ffi_ssl_set_der_private_key(void *r, const char *der, size_t len, char **err)
{
    return ask(OP_SET_DER_KEY, (mg_tls_args){.r = r, .in = der, .len = len}, NULL, err);
}

int ngx_http_lua_ffi_set_cert(void *r, void *cert, char **err) { return ask(OP_SET_CERT, (mg_tls_args){.r = r, .a = cert}, NULL, err); }

int ngx_http_lua_ffi_set_priv_key(void *r, void *key, char **err) { return ask(OP_SET_KEY, (mg_tls_args){.r = r, .a = key}, NULL, err); }

int ngx_http_lua_ffi_ssl_verify_client(void *r, void *ca, void *trusted, int depth, char **err)
{
    return ask(OP_VERIFY, (mg_tls_args){.r = r, .a = ca, .b = trusted, .n = depth}, NULL, err);
}

/* A capacity of 0 asks for the length. */
static int bytes(int op, void *r, unsigned char *out, size_t *outlen, char **err)
{
    return ask(op, (mg_tls_args){.r = r, .out = out, .cap = *outlen}, outlen, err);
}

int ngx_http_lua_ffi_ssl_client_random(void *r, unsigned char *out, size_t *outlen, char **err)
{
    return bytes(OP_CLIENT_RANDOM, r, out, outlen, err);
}

int ngx_http_lua_ffi_ssl_server_random(void *r, unsigned char *out, size_t *outlen, char **err)
{
    return bytes(OP_SERVER_RANDOM, r, out, outlen, err);
}

int ngx_http_lua_ffi_ssl_session_master_key(void *r, unsigned char *out, size_t *outlen, char **err)
{
    return bytes(OP_MASTER_KEY, r, out, outlen, err);
}

void *ngx_http_lua_ffi_get_req_ssl_pointer(void *r, char **err)
{
    (void) ask(OP_SSL, (mg_tls_args){.r = r}, NULL, err);
    return NULL;
}

int ngx_http_lua_ffi_req_shared_ssl_ciphers(void *r, uint16_t *ciphers, uint16_t *nciphers, int filter_grease, char **err)
{
    size_t n = 0;
    int    rc = ask(OP_CIPHERS, (mg_tls_args){.r = r, .n = filter_grease, .out = ciphers, .cap = 2 * (size_t) *nciphers}, &n, err);

    *nciphers = (uint16_t) (n / 2);
    return rc;
}
