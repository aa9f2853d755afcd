/* crypto.h: what crypto.go calls of libcrypto, and what crypto_export.c needs of crypto.go. */
#ifndef MG_CRYPTO_H
#define MG_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

/* Kinds of objects. */
enum { MG_CHAIN = 1, MG_KEY, MG_STORE, MG_CERT };

/* Finds libcrypto and makes its names those of the process; 1 when it is there. */
int mg_crypto_open(void);

/* Makes an object of DER texts that lie behind each other, each with its length in front (4 bytes, native). */
void *mg_crypto_make(int kind, const uint8_t *der, size_t len);
void mg_crypto_free(int kind, void *p);

/* The DER texts of an object, in the same form, in memory to be freed; NULL when it is none. */
uint8_t *mg_crypto_der(int kind, void *p, size_t *len);

/* Signs a digest: pad 0 for none (ECDSA), 1 PKCS #1, 6 PSS. Returns the length, 0 for failure. */
size_t mg_crypto_sign(void *key, int pad, const char *md, const uint8_t *digest, size_t dlen, uint8_t *sig, size_t cap);

#endif
