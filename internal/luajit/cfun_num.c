/*
 * cfun_num.c: numbers to text and back, exactly as printf("%.14g") and strtod do in the C locale, only faster.
 *
 * Both directions rest on one fact: 5^27 fits 64 bits, so scaling a 53 or 64 bit integer by a power of ten up to
 * 10^27 is exact in 128 bits, and rounding the exact result once is correct rounding. What lies outside goes to libc.
 */
#define _GNU_SOURCE   /* strtod_l */
#include "cfun.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 u128;

#define MAX_POW5 27

static const uint64_t pow5[MAX_POW5 + 1] = {
    1ull, 5ull, 25ull, 125ull, 625ull, 3125ull, 15625ull, 78125ull, 390625ull, 1953125ull, 9765625ull, 48828125ull,
    244140625ull, 1220703125ull, 6103515625ull, 30517578125ull, 152587890625ull, 762939453125ull, 3814697265625ull,
    19073486328125ull, 95367431640625ull, 476837158203125ull, 2384185791015625ull, 11920928955078125ull,
    59604644775390625ull, 298023223876953125ull, 1490116119384765625ull, 7450580596923828125ull,
};

static const uint64_t pow10u[] = {
    1ull, 10ull, 100ull, 1000ull, 10000ull, 100000ull, 1000000ull, 10000000ull, 100000000ull, 1000000000ull,
    10000000000ull, 100000000000ull, 1000000000000ull, 10000000000000ull, 100000000000000ull, 1000000000000000ull,
    10000000000000000ull, 100000000000000000ull, 1000000000000000000ull,
};

static const char pairs[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static inline int count_digits(uint64_t v)
{
    /* log10 from log2, 1233/4096 being just above log10(2); one comparison settles it */
    int t = ((64 - __builtin_clzll(v | 1)) * 1233) >> 12;

    return t + (v >= pow10u[t]) + (v == 0);
}

/* Writes exactly n digits. */
static inline void put_digits(char *dst, uint64_t v, int n)
{
    char *p = dst + n;

    while (n >= 2) {
        p -= 2;
        n -= 2;
        memcpy(p, pairs + v % 100 * 2, 2);
        v /= 100;
    }

    if (n) {
        *--p = (char) ('0' + v % 10);
    }
}

static size_t fmt_libc(char *dst, double x, int precision)
{
    int n = snprintf(dst, MG_FMT_G_MAX, "%.*g", precision, x);

    /* the program's locale may have another decimal point */
    for (int i = 0; i < n; i++) {
        char c = dst[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && c != '-' && c != '+') {
            dst[i] = '.';
        }
    }

    return (size_t) n;
}

/* Digits d (n of them, no trailing zeros) times 10^(e10 - n + 1), in the form %g chooses. */
static size_t fmt_decimal(char *dst, uint64_t d, int n, int e10, int precision)
{
    char *p = dst;

    if (e10 < -4 || e10 >= precision) {
        int ae = e10 < 0 ? -e10 : e10;

        put_digits(p + 1, d, n);
        p[0] = p[1];
        if (n > 1) {
            p[1] = '.';
            p += n + 1;

        } else {
            p++;
        }

        *p++ = 'e';
        *p++ = e10 < 0 ? '-' : '+';
        memcpy(p, pairs + ae * 2, 2);   /* |e10| < 40 here */
        return (size_t) (p + 2 - dst);
    }

    if (e10 < 0) {
        memcpy(p, "0.0000", 6);
        p += 1 - e10;
        put_digits(p, d, n);
        return (size_t) (p + n - dst);
    }

    if (n <= e10 + 1) {
        put_digits(p, d, n);
        memset(p + n, '0', (size_t) (e10 + 1 - n));
        return (size_t) (e10 + 1);
    }

    put_digits(p + 1, d, n);
    memmove(p, p + 1, (size_t) (e10 + 1));
    p[e10 + 1] = '.';
    return (size_t) (n + 1);
}

size_t mg_fmt_g(char *dst, double x, int precision)
{
    char     *p = dst;
    uint64_t  bits, m, q, limit;
    int       e2, e10, k, n, sh;

    if (x > -1e15 && x < 1e15) {
        int64_t i = (int64_t) x;

        if ((double) i == x && (i != 0 || !signbit(x))) {
            uint64_t u = i < 0 ? (uint64_t) -i : (uint64_t) i;

            if (precision >= 15 || u < pow10u[precision]) {
                if (i < 0) {
                    *p++ = '-';
                }

                n = count_digits(u);
                put_digits(p, u, n);
                return (size_t) (p + n - dst);
            }
        }
    }

    memcpy(&bits, &x, 8);
    e2 = (int) (bits >> 52 & 0x7ff);
    if (e2 == 0 || e2 == 0x7ff || precision > 17) {
        return fmt_libc(dst, x, precision);
    }

    m = (bits & 0xfffffffffffffull) | 1ull << 52;
    e2 -= 1075;

    /* floor(log10) of the power of two below x: right, or one too low */
    e10 = ((e2 + 52) * 78913) >> 18;
    limit = pow10u[precision];

    for ( ;; ) {
        u128 v, rest, half;

        k = precision - 1 - e10;
        sh = -(e2 + k);
        if (k < 0 || k > MAX_POW5 || sh <= 0 || sh > 120) {
            return fmt_libc(dst, x, precision);
        }

        v = (u128) m * pow5[k];
        q = (uint64_t) (v >> sh);
        if (v >> sh >= limit) {
            e10++;
            continue;
        }

        rest = v & (((u128) 1 << sh) - 1);
        half = (u128) 1 << (sh - 1);
        q += rest > half || (rest == half && (q & 1));
        break;
    }

    if (q == limit) {
        q /= 10;
        e10++;
    }

    n = precision;
    if (q % 100000000 == 0) {
        q /= 100000000;
        n -= 8;
    }
    if (q % 10000 == 0) {
        q /= 10000;
        n -= 4;
    }
    if (q % 100 == 0) {
        q /= 100;
        n -= 2;
    }
    while (q % 10 == 0) {
        q /= 10;
        n--;
    }

    if (x < 0) {
        *p++ = '-';
    }

    return (size_t) (p - dst) + fmt_decimal(p, q, n, e10, precision);
}

/* ---- text to number ---- */

static const double exact10[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
};

static locale_t c_locale;

__attribute__((constructor)) static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
}

static double strtod_c(const char *p, char **end)
{
    return c_locale != (locale_t) 0 ? strtod_l(p, end, c_locale) : strtod(p, end);
}

/* v * 2^e, v not 0 and the result a normal double; sticky tells that v lacks nonzero bits below. */
static double round_double(uint64_t v, int e, int sticky)
{
    int       lz = __builtin_clzll(v);
    uint64_t  m, rest, bits;
    double    d;

    if (lz >= 11) {                /* at most 53 bits: exact, callers have sticky only with 62 bits and more */
        return ldexp((double) v, e);
    }

    m = v >> (11 - lz);
    rest = v << (53 + lz);         /* the bits cut off, left-aligned */
    e += 11 - lz;

    if (rest > 1ull << 63 || (rest == 1ull << 63 && (sticky || (m & 1)))) {
        if (++m == 1ull << 53) {
            m >>= 1;
            e++;
        }
    }

    bits = (m & 0xfffffffffffffull) | (uint64_t) (e + 1075) << 52;
    memcpy(&d, &bits, 8);
    return d;
}

/* n / d for n < d * 2^64 */
static inline uint64_t div128(u128 n, uint64_t d, uint64_t *rem)
{
#if defined(__x86_64__)
    uint64_t q;

    __asm__("divq %4" : "=a"(q), "=d"(*rem) : "0"((uint64_t) n), "1"((uint64_t) (n >> 64)), "r"(d) : "cc");
    return q;
#else
    *rem = (uint64_t) (n % d);
    return (uint64_t) (n / d);
#endif
}

/* w * 10^e for w != 0 and |e| <= MAX_POW5 */
static double scale10(uint64_t w, int e)
{
    if (e >= 0) {
        u128      v = (u128) w * pow5[e];
        uint64_t  hi = (uint64_t) (v >> 64);
        int       s;

        if (hi == 0) {
            return round_double((uint64_t) v, e, 0);
        }

        s = 64 - __builtin_clzll(hi);
        return round_double((uint64_t) (v >> s), e + s, (v & (((u128) 1 << s) - 1)) != 0);
    }

    int       a = __builtin_clzll(w);
    int       b = __builtin_clzll(pow5[-e]);
    uint64_t  rem, q;

    q = div128((u128) (w << a) << 63, pow5[-e] << b, &rem);
    return round_double(q, b - a - 63 + e, rem != 0);
}

static const char *parse_libc(const char *p, double *value)
{
    char *end;

    *value = strtod_c(p, &end);
    return end;
}

const char *mg_parse_number(const char *p, double *value, int *integer)
{
    const char *s = p, *start;
    uint64_t    w = 0;
    int         neg, digits, e = 0;
    double      d;

    *integer = 0;

    neg = *s == '-';
    s += neg || *s == '+';
    start = s;

    while ((unsigned) (*s - '0') < 10) {
        w = w * 10 + (unsigned) (*s++ - '0');
    }

    digits = (int) (s - start > 1000 ? 1000 : s - start);
    if (digits == 0 || *s == 'x') {
        return parse_libc(p, value);            /* -.5, -inf, 0x10 */
    }

    if (*s != '.' && (*s | 0x20) != 'e') {
        *integer = 1;
        if (digits > 18) {
            const char *end = parse_libc(p, value);
            *value += 0.0;                      /* a long -0 is 0 as well */
            return end;
        }
        *value = neg ? (double) -(int64_t) w : (double) (int64_t) w;
        return s;
    }

    if (*s == '.') {
        const char *f = ++s;

        while ((unsigned) (*s - '0') < 10) {
            w = w * 10 + (unsigned) (*s++ - '0');
        }

        if (s - f > 1000) {
            return parse_libc(p, value);
        }

        e = -(int) (s - f);
        digits -= e;
    }

    if ((*s | 0x20) == 'e') {
        const char *x = s + 1;
        int         xneg = *x == '-', xv = 0;

        x += xneg || *x == '+';
        if ((unsigned) (*x - '0') < 10) {
            while ((unsigned) (*x - '0') < 10) {
                xv = xv > 9999 ? xv : xv * 10 + (*x - '0');
                x++;
            }
            s = x;
            e += xneg ? -xv : xv;
        }
    }

    if (digits > 19) {
        /* w may have overflowed, unless the number only began with zeros */
        const char *z = start;

        while (*z == '0' || *z == '.') {
            digits -= *z++ == '0';
        }
        if (digits > 19) {
            return parse_libc(p, value);
        }
    }

    if (w == 0) {
        d = 0.0;

    } else if (w <= 1ull << 53 && e >= -22 && e <= 22) {
        d = e < 0 ? (double) w / exact10[-e] : (double) w * exact10[e];

    } else if (e >= -MAX_POW5 && e <= MAX_POW5) {
        d = scale10(w, e);

    } else {
        return parse_libc(p, value);
    }

    *value = neg ? -d : d;
    return s;
}
