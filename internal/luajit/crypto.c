/*
 * crypto.c: OpenSSL's libcrypto, where it is installed. Its names become visible to ffi.C, as in OpenResty, and
 * certificates and keys that Lua holds are its objects, so that libraries can work on them. Without it they are
 * blocks of memory that nobody but we can read. Nothing of TLS itself is done here.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"

typedef struct {
    void *(*d2i_x509)(void **, const uint8_t **, long);
    int (*i2d_x509)(void *, uint8_t **);
    void (*x509_free)(void *);
    void *(*d2i_key)(void **, const uint8_t **, long);
    int (*i2d_key)(void *, uint8_t **);
    void (*key_free)(void *);
    void *(*sk_new)(void);
    int (*sk_push)(void *, void *);
    int (*sk_num)(void *);
    void *(*sk_value)(void *, int);
    void (*sk_pop_free)(void *, void (*)(void *));
    void *(*store_objects)(void *);
    void *(*object_x509)(void *);
    void (*err_clear)(void);
    void *(*ctx_new)(void *, void *);
    void (*ctx_free)(void *);
    int (*sign_init)(void *);
    int (*sign)(void *, uint8_t *, size_t *, const uint8_t *, size_t);
    int (*ctrl_str)(void *, const char *, const char *);
} mg_crypto;

static mg_crypto       C;
static int             have;
static pthread_once_t  once = PTHREAD_ONCE_INIT;

static void crypto_load(void)
{
    static const char *names[] = {"libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so"};
    static const struct {
        const char *name;
        size_t      at;
    } syms[] = {
        {"d2i_X509", offsetof(mg_crypto, d2i_x509)},
        {"i2d_X509", offsetof(mg_crypto, i2d_x509)},
        {"X509_free", offsetof(mg_crypto, x509_free)},
        {"d2i_AutoPrivateKey", offsetof(mg_crypto, d2i_key)},
        {"i2d_PrivateKey", offsetof(mg_crypto, i2d_key)},
        {"EVP_PKEY_free", offsetof(mg_crypto, key_free)},
        {"OPENSSL_sk_new_null", offsetof(mg_crypto, sk_new)},
        {"OPENSSL_sk_push", offsetof(mg_crypto, sk_push)},
        {"OPENSSL_sk_num", offsetof(mg_crypto, sk_num)},
        {"OPENSSL_sk_value", offsetof(mg_crypto, sk_value)},
        {"OPENSSL_sk_pop_free", offsetof(mg_crypto, sk_pop_free)},
        {"X509_STORE_get0_objects", offsetof(mg_crypto, store_objects)},
        {"X509_OBJECT_get0_X509", offsetof(mg_crypto, object_x509)},
        {"ERR_clear_error", offsetof(mg_crypto, err_clear)},
        {"EVP_PKEY_CTX_new", offsetof(mg_crypto, ctx_new)},
        {"EVP_PKEY_CTX_free", offsetof(mg_crypto, ctx_free)},
        {"EVP_PKEY_sign_init", offsetof(mg_crypto, sign_init)},
        {"EVP_PKEY_sign", offsetof(mg_crypto, sign)},
        {"EVP_PKEY_CTX_ctrl_str", offsetof(mg_crypto, ctrl_str)},
    };
    void  *lib = NULL;
    size_t i;

    for (i = 0; lib == NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        lib = dlopen(names[i], RTLD_LAZY | RTLD_GLOBAL);
    }

    if (lib == NULL) {
        return;
    }

    for (i = 0; i < sizeof(syms) / sizeof(syms[0]); i++) {
        void *f = dlsym(lib, syms[i].name);

        if (f == NULL) {
            return;
        }

        memcpy((char *) &C + syms[i].at, &f, sizeof(f));
    }

    have = 1;
}

int mg_crypto_open(void)
{
    pthread_once(&once, crypto_load);
    return have;
}

/* --- objects without libcrypto: a mark, a length, the texts --- */

static const uint8_t blob_mark[16] = "\x93moongate object";

typedef struct {
    uint8_t mark[16];
    size_t  len;
    uint8_t der[];
} mg_blob;

static mg_blob *as_blob(void *p)
{
    return memcmp(p, blob_mark, sizeof(blob_mark)) == 0 ? p : NULL;
}

static void *blob_make(const uint8_t *der, size_t len)
{
    mg_blob *b = malloc(sizeof(mg_blob) + len);

    if (b != NULL) {
        memcpy(b->mark, blob_mark, sizeof(blob_mark));
        b->len = len;
        memcpy(b->der, der, len);
    }

    return b;
}

/* --- libcrypto's objects --- */

static void *chain_make(const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    void          *sk = C.sk_new();
    uint32_t       n;

    while (sk != NULL && p < end) {
        const uint8_t *q = p + sizeof(n);
        void          *x;

        memcpy(&n, p, sizeof(n));
        x = C.d2i_x509(NULL, &q, (long) n);

        if (x == NULL || !C.sk_push(sk, x)) {
            C.x509_free(x);
            C.sk_pop_free(sk, C.x509_free);
            C.err_clear();
            return NULL;
        }

        p += sizeof(n) + n;
    }

    return sk;
}

void *mg_crypto_make(int kind, const uint8_t *der, size_t len)
{
    const uint8_t *p = der + sizeof(uint32_t);
    void          *o;

    if (len < sizeof(uint32_t)) {
        return NULL;
    }

    if (!mg_crypto_open()) {
        return blob_make(der, len);
    }

    switch (kind) {
    case MG_CHAIN:
        return chain_make(der, len);
    case MG_KEY:
        o = C.d2i_key(NULL, &p, (long) (len - sizeof(uint32_t)));
        break;
    default:
        o = C.d2i_x509(NULL, &p, (long) (len - sizeof(uint32_t)));
    }

    if (o == NULL) {
        C.err_clear();
    }

    return o;
}

void mg_crypto_free(int kind, void *p)
{
    if (p == NULL) {
        return;
    }

    if (as_blob(p) != NULL) {
        free(p);
        return;
    }

    if (!have) {
        return;
    }

    switch (kind) {
    case MG_CHAIN:
        C.sk_pop_free(p, C.x509_free);
        break;
    case MG_KEY:
        C.key_free(p);
        break;
    default:
        C.x509_free(p);
    }
}

typedef struct {
    uint8_t *p;
    size_t   len, cap;
} mg_out;

static int put(mg_out *o, int (*i2d)(void *, uint8_t **), void *x)
{
    int      n = i2d(x, NULL);
    uint32_t size = (uint32_t) n;
    uint8_t *q;

    if (n <= 0) {
        return 0;
    }

    if (o->len + sizeof(size) + (size_t) n > o->cap) {
        o->cap = 2 * o->cap + sizeof(size) + (size_t) n;
        q = realloc(o->p, o->cap);

        if (q == NULL) {
            return 0;
        }

        o->p = q;
    }

    memcpy(o->p + o->len, &size, sizeof(size));
    q = o->p + o->len + sizeof(size);
    o->len += sizeof(size) + (size_t) n;
    return i2d(x, &q) > 0;
}

uint8_t *mg_crypto_der(int kind, void *p, size_t *len)
{
    mg_out   o = {NULL, 0, 0};
    mg_blob *b = as_blob(p);
    int      i, ok = 1;

    if (b != NULL) {
        o.p = malloc(b->len + 1);

        if (o.p != NULL) {
            memcpy(o.p, b->der, b->len);
        }

        *len = b->len;
        return o.p;
    }

    if (!mg_crypto_open()) {
        return NULL;
    }

    switch (kind) {
    case MG_CHAIN:
        for (i = 0; ok && i < C.sk_num(p); i++) {
            ok = put(&o, C.i2d_x509, C.sk_value(p, i));
        }

        break;
    case MG_STORE:
        p = C.store_objects(p);

        for (i = 0; ok && i < C.sk_num(p); i++) {
            void *x = C.object_x509(C.sk_value(p, i));

            if (x != NULL) {
                ok = put(&o, C.i2d_x509, x);
            }
        }

        break;
    case MG_KEY:
        ok = put(&o, C.i2d_key, p);
        break;
    default:
        ok = put(&o, C.i2d_x509, p);
    }

    if (!ok) {
        C.err_clear();
        free(o.p);
        return NULL;
    }

    *len = o.len;
    return o.p != NULL ? o.p : malloc(1);
}

size_t mg_crypto_sign(void *key, int pad, const char *md, const uint8_t *digest, size_t dlen, uint8_t *sig, size_t cap)
{
    void  *ctx = C.ctx_new(key, NULL);
    size_t n = cap;
    int    ok = ctx != NULL && C.sign_init(ctx) > 0;

    if (ok && pad != 0) {
        ok = C.ctrl_str(ctx, "rsa_padding_mode", pad == 6 ? "pss" : "pkcs1") > 0;
    }

    if (ok && md != NULL) {
        ok = C.ctrl_str(ctx, "digest", md) > 0;
    }

    if (ok && pad == 6) {
        ok = C.ctrl_str(ctx, "rsa_pss_saltlen", "digest") > 0;
    }

    ok = ok && C.sign(ctx, sig, &n, digest, dlen) > 0;

    if (!ok) {
        C.err_clear();
    }

    C.ctx_free(ctx);
    return ok ? n : 0;
}
