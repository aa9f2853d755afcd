/* cfun_digest.c: MD5 (RFC 1321), SHA-1 (RFC 3174), HMAC (RFC 2104) and the CRC-32 of IEEE 802.3, one-shot. */
#include "cfun.h"

#include <string.h>

void mg_hex(uint8_t *dst, const uint8_t *src, size_t len)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *dst++ = (uint8_t) hex[src[i] >> 4];
        *dst++ = (uint8_t) hex[src[i] & 15];
    }
}

static inline uint32_t rotl(uint32_t v, int n)
{
    return v << n | v >> (32 - n);
}

static inline uint32_t load_le32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return __builtin_bswap32(load_le32(p));
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    memcpy(p, &v, 4);
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    store_le32(p, __builtin_bswap32(v));
}

/*
 * Both hashes pad alike: 0x80, zeros, the length in bits in the last 8 bytes. Fills one or two blocks of 64 bytes
 * from the tail of the message and returns how many.
 */
static size_t pad_tail(uint8_t block[128], const uint8_t *tail, size_t n, uint64_t total, int big_endian)
{
    size_t    blocks = n < 56 ? 1 : 2;
    uint64_t  bits = total << 3;
    uint8_t  *len = block + blocks * 64 - 8;

    memset(block, 0, 128);
    if (n) {
        memcpy(block, tail, n);
    }
    block[n] = 0x80;

    if (big_endian) {
        store_be32(len, (uint32_t) (bits >> 32));
        store_be32(len + 4, (uint32_t) bits);

    } else {
        store_le32(len, (uint32_t) bits);
        store_le32(len + 4, (uint32_t) (bits >> 32));
    }

    return blocks;
}

/* ---- MD5 ---- */

#define F1(x, y, z)  ((z) ^ ((x) & ((y) ^ (z))))
#define F2(x, y, z)  (((x) & (z)) + ((y) & ~(z)))   /* disjoint bits: the sum shortens the dependency chain */
#define F3(x, y, z)  ((x) ^ (y) ^ (z))
#define F4(x, y, z)  ((y) ^ ((x) | ~(z)))

#define STEP(f, a, b, c, d, k, t, s)  a += load_le32(p + 4 * (k)) + (t); a += f(b, c, d); a = rotl(a, s) + b

static void md5_blocks(uint32_t h[4], const uint8_t *p, size_t n)
{
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3];

    for ( ; n; n--, p += 64) {
        uint32_t sa = a, sb = b, sc = c, sd = d;

        STEP(F1, a, b, c, d,  0, 0xd76aa478,  7); STEP(F1, d, a, b, c,  1, 0xe8c7b756, 12);
        STEP(F1, c, d, a, b,  2, 0x242070db, 17); STEP(F1, b, c, d, a,  3, 0xc1bdceee, 22);
        STEP(F1, a, b, c, d,  4, 0xf57c0faf,  7); STEP(F1, d, a, b, c,  5, 0x4787c62a, 12);
        STEP(F1, c, d, a, b,  6, 0xa8304613, 17); STEP(F1, b, c, d, a,  7, 0xfd469501, 22);
        STEP(F1, a, b, c, d,  8, 0x698098d8,  7); STEP(F1, d, a, b, c,  9, 0x8b44f7af, 12);
        STEP(F1, c, d, a, b, 10, 0xffff5bb1, 17); STEP(F1, b, c, d, a, 11, 0x895cd7be, 22);
        STEP(F1, a, b, c, d, 12, 0x6b901122,  7); STEP(F1, d, a, b, c, 13, 0xfd987193, 12);
        STEP(F1, c, d, a, b, 14, 0xa679438e, 17); STEP(F1, b, c, d, a, 15, 0x49b40821, 22);

        STEP(F2, a, b, c, d,  1, 0xf61e2562,  5); STEP(F2, d, a, b, c,  6, 0xc040b340,  9);
        STEP(F2, c, d, a, b, 11, 0x265e5a51, 14); STEP(F2, b, c, d, a,  0, 0xe9b6c7aa, 20);
        STEP(F2, a, b, c, d,  5, 0xd62f105d,  5); STEP(F2, d, a, b, c, 10, 0x02441453,  9);
        STEP(F2, c, d, a, b, 15, 0xd8a1e681, 14); STEP(F2, b, c, d, a,  4, 0xe7d3fbc8, 20);
        STEP(F2, a, b, c, d,  9, 0x21e1cde6,  5); STEP(F2, d, a, b, c, 14, 0xc33707d6,  9);
        STEP(F2, c, d, a, b,  3, 0xf4d50d87, 14); STEP(F2, b, c, d, a,  8, 0x455a14ed, 20);
        STEP(F2, a, b, c, d, 13, 0xa9e3e905,  5); STEP(F2, d, a, b, c,  2, 0xfcefa3f8,  9);
        STEP(F2, c, d, a, b,  7, 0x676f02d9, 14); STEP(F2, b, c, d, a, 12, 0x8d2a4c8a, 20);

        STEP(F3, a, b, c, d,  5, 0xfffa3942,  4); STEP(F3, d, a, b, c,  8, 0x8771f681, 11);
        STEP(F3, c, d, a, b, 11, 0x6d9d6122, 16); STEP(F3, b, c, d, a, 14, 0xfde5380c, 23);
        STEP(F3, a, b, c, d,  1, 0xa4beea44,  4); STEP(F3, d, a, b, c,  4, 0x4bdecfa9, 11);
        STEP(F3, c, d, a, b,  7, 0xf6bb4b60, 16); STEP(F3, b, c, d, a, 10, 0xbebfbc70, 23);
        STEP(F3, a, b, c, d, 13, 0x289b7ec6,  4); STEP(F3, d, a, b, c,  0, 0xeaa127fa, 11);
        STEP(F3, c, d, a, b,  3, 0xd4ef3085, 16); STEP(F3, b, c, d, a,  6, 0x04881d05, 23);
        STEP(F3, a, b, c, d,  9, 0xd9d4d039,  4); STEP(F3, d, a, b, c, 12, 0xe6db99e5, 11);
        STEP(F3, c, d, a, b, 15, 0x1fa27cf8, 16); STEP(F3, b, c, d, a,  2, 0xc4ac5665, 23);

        STEP(F4, a, b, c, d,  0, 0xf4292244,  6); STEP(F4, d, a, b, c,  7, 0x432aff97, 10);
        STEP(F4, c, d, a, b, 14, 0xab9423a7, 15); STEP(F4, b, c, d, a,  5, 0xfc93a039, 21);
        STEP(F4, a, b, c, d, 12, 0x655b59c3,  6); STEP(F4, d, a, b, c,  3, 0x8f0ccc92, 10);
        STEP(F4, c, d, a, b, 10, 0xffeff47d, 15); STEP(F4, b, c, d, a,  1, 0x85845dd1, 21);
        STEP(F4, a, b, c, d,  8, 0x6fa87e4f,  6); STEP(F4, d, a, b, c, 15, 0xfe2ce6e0, 10);
        STEP(F4, c, d, a, b,  6, 0xa3014314, 15); STEP(F4, b, c, d, a, 13, 0x4e0811a1, 21);
        STEP(F4, a, b, c, d,  4, 0xf7537e82,  6); STEP(F4, d, a, b, c, 11, 0xbd3af235, 10);
        STEP(F4, c, d, a, b,  2, 0x2ad7d2bb, 15); STEP(F4, b, c, d, a,  9, 0xeb86d391, 21);

        a += sa;
        b += sb;
        c += sc;
        d += sd;
    }

    h[0] = a;
    h[1] = b;
    h[2] = c;
    h[3] = d;
}

void mg_md5(uint8_t dst[16], const uint8_t *src, size_t len)
{
    uint32_t  h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint8_t   tail[128];
    size_t    full = len / 64;

    md5_blocks(h, src, full);
    md5_blocks(h, tail, pad_tail(tail, src + full * 64, len % 64, len, 0));

    for (int i = 0; i < 4; i++) {
        store_le32(dst + 4 * i, h[i]);
    }
}

/* ---- SHA-1 ---- */

/* The message schedule lives in a ring of 16 words; steps are unrolled by five, so that no word moves. */
#define W0(i)  (w[i] = load_be32(p + 4 * (i)))
#define W1(i)  (w[(i) & 15] = rotl(w[((i) + 13) & 15] ^ w[((i) + 8) & 15] ^ w[((i) + 2) & 15] ^ w[(i) & 15], 1))

#define CH(x, y, z)   ((z) ^ ((x) & ((y) ^ (z))))
#define PAR(x, y, z)  ((x) ^ (y) ^ (z))
#define MAJ(x, y, z)  (((x) & (y)) + ((z) & ((x) ^ (y))))

#define ROUND(f, k, W, a, b, c, d, e, i)  e += rotl(a, 5) + f(b, c, d) + (k) + W(i); b = rotl(b, 30)
#define FIVE(f, k, W, i) \
    ROUND(f, k, W, a, b, c, d, e, i);     ROUND(f, k, W, e, a, b, c, d, (i) + 1); \
    ROUND(f, k, W, d, e, a, b, c, (i) + 2); ROUND(f, k, W, c, d, e, a, b, (i) + 3); \
    ROUND(f, k, W, b, c, d, e, a, (i) + 4)

static void sha1_blocks(uint32_t h[5], const uint8_t *p, size_t n)
{
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    uint32_t w[16];

    for ( ; n; n--, p += 64) {
        uint32_t sa = a, sb = b, sc = c, sd = d, se = e;

        FIVE(CH, 0x5a827999, W0, 0);
        FIVE(CH, 0x5a827999, W0, 5);
        FIVE(CH, 0x5a827999, W0, 10);
        ROUND(CH, 0x5a827999, W0, a, b, c, d, e, 15);
        ROUND(CH, 0x5a827999, W1, e, a, b, c, d, 16);
        ROUND(CH, 0x5a827999, W1, d, e, a, b, c, 17);
        ROUND(CH, 0x5a827999, W1, c, d, e, a, b, 18);
        ROUND(CH, 0x5a827999, W1, b, c, d, e, a, 19);
        FIVE(PAR, 0x6ed9eba1, W1, 20);
        FIVE(PAR, 0x6ed9eba1, W1, 25);
        FIVE(PAR, 0x6ed9eba1, W1, 30);
        FIVE(PAR, 0x6ed9eba1, W1, 35);
        FIVE(MAJ, 0x8f1bbcdc, W1, 40);
        FIVE(MAJ, 0x8f1bbcdc, W1, 45);
        FIVE(MAJ, 0x8f1bbcdc, W1, 50);
        FIVE(MAJ, 0x8f1bbcdc, W1, 55);
        FIVE(PAR, 0xca62c1d6, W1, 60);
        FIVE(PAR, 0xca62c1d6, W1, 65);
        FIVE(PAR, 0xca62c1d6, W1, 70);
        FIVE(PAR, 0xca62c1d6, W1, 75);

        a += sa;
        b += sb;
        c += sc;
        d += sd;
        e += se;
    }

    h[0] = a;
    h[1] = b;
    h[2] = c;
    h[3] = d;
    h[4] = e;
}

static const uint32_t sha1_start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};

/* Hashes the rest of a message of which `before` bytes (whole blocks) are in h already. */
static void sha1_finish(uint32_t h[5], uint8_t dst[20], const uint8_t *src, size_t len, uint64_t before)
{
    uint8_t  tail[128];
    size_t   full = len / 64;

    sha1_blocks(h, src, full);
    sha1_blocks(h, tail, pad_tail(tail, src + full * 64, len % 64, before + len, 1));

    for (int i = 0; i < 5; i++) {
        store_be32(dst + 4 * i, h[i]);
    }
}

void mg_sha1(uint8_t dst[20], const uint8_t *src, size_t len)
{
    uint32_t h[5];

    memcpy(h, sha1_start, sizeof(h));
    sha1_finish(h, dst, src, len, 0);
}

void mg_hmac_sha1(uint8_t dst[20], const uint8_t *key, size_t klen, const uint8_t *src, size_t len)
{
    uint32_t  h[5];
    uint8_t   pad[64], k[20], inner[20];

    if (klen > 64) {
        mg_sha1(k, key, klen);
        key = k;
        klen = 20;
    }

    memset(pad, 0x36, 64);
    for (size_t i = 0; i < klen; i++) {
        pad[i] ^= key[i];
    }

    memcpy(h, sha1_start, sizeof(h));
    sha1_blocks(h, pad, 1);
    sha1_finish(h, inner, src, len, 64);

    for (size_t i = 0; i < 64; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }

    memcpy(h, sha1_start, sizeof(h));
    sha1_blocks(h, pad, 1);
    sha1_finish(h, dst, inner, 20, 64);
}

/* ---- CRC-32 ---- */

/* crc_table[k][b] is the CRC of byte b followed by k zero bytes: eight bytes per step. */
static uint32_t crc_table[8][256];

__attribute__((constructor)) static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++) {
            c = (c >> 1) ^ (0xedb88320 & -(c & 1));
        }
        crc_table[0][i] = c;
    }

    for (int i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            uint32_t c = crc_table[k - 1][i];

            crc_table[k][i] = (c >> 8) ^ crc_table[0][c & 0xff];
        }
    }
}

uint32_t mg_crc32(const uint8_t *p, size_t len)
{
    uint32_t c = 0xffffffff;

    for ( ; len >= 8; len -= 8, p += 8) {
        uint32_t a = load_le32(p) ^ c, b = load_le32(p + 4);

        c = crc_table[7][a & 0xff] ^ crc_table[6][a >> 8 & 0xff] ^ crc_table[5][a >> 16 & 0xff] ^ crc_table[4][a >> 24]
            ^ crc_table[3][b & 0xff] ^ crc_table[2][b >> 8 & 0xff] ^ crc_table[1][b >> 16 & 0xff]
            ^ crc_table[0][b >> 24];
    }

    while (len--) {
        c = (c >> 8) ^ crc_table[0][(c ^ *p++) & 0xff];
    }

    return ~c;
}
