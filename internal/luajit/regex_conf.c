/* regex_conf.c: see regex_conf.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "regex_conf.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct mg_rx {
    pcre2_code     *code;
    int             jit;
    uint32_t        ncap;
    uint32_t        name_count;
    uint32_t        name_size;
    const uint8_t  *names;
};

mg_rx *mg_rx_compile(const char *pat, size_t len, int caseless, char *err, size_t cap)
{
    int           code;
    size_t        off;
    mg_rx        *rx = calloc(1, sizeof(*rx));
    PCRE2_UCHAR   text[128];

    if (rx == NULL) {
        snprintf(err, cap, "regex \"%s\" compilation failed: no memory", pat);
        return NULL;
    }

    rx->code = pcre2_compile((PCRE2_SPTR) pat, len, caseless ? PCRE2_CASELESS : 0, &code, &off, NULL);

    if (rx->code == NULL) {
        free(rx);
        pcre2_get_error_message(code, text, sizeof(text));

        if (off == len) {
            snprintf(err, cap, "pcre2_compile() failed: %s in \"%s\"", (char *) text, pat);

        } else {
            snprintf(err, cap, "pcre2_compile() failed: %s in \"%s\" at \"%s\"", (char *) text, pat, pat + off);
        }

        return NULL;
    }

    rx->jit = pcre2_jit_compile(rx->code, PCRE2_JIT_COMPLETE) == 0;
    pcre2_pattern_info(rx->code, PCRE2_INFO_CAPTURECOUNT, &rx->ncap);
    pcre2_pattern_info(rx->code, PCRE2_INFO_NAMECOUNT, &rx->name_count);
    pcre2_pattern_info(rx->code, PCRE2_INFO_NAMEENTRYSIZE, &rx->name_size);
    pcre2_pattern_info(rx->code, PCRE2_INFO_NAMETABLE, &rx->names);
    return rx;
}

void mg_rx_free(mg_rx *rx)
{
    pcre2_code_free(rx->code);
    free(rx);
}

int mg_rx_captures(const mg_rx *rx)
{
    return (int) rx->ncap;
}

const char *mg_rx_name(const mg_rx *rx, int i, int *group)
{
    const uint8_t *p;

    if ((uint32_t) i >= rx->name_count) {
        return NULL;
    }

    p = rx->names + (size_t) i * rx->name_size;
    *group = p[0] << 8 | p[1];
    return (const char *) p + 2;
}

/* ---- match data, one per thread, freed with the thread ---- */

static pthread_once_t                 mg_rx_once = PTHREAD_ONCE_INIT;
static pthread_key_t                  mg_rx_key;
static __thread pcre2_match_data     *mg_rx_md;
static __thread uint32_t              mg_rx_pairs;

static void mg_rx_thread_end(void *md)
{
    pcre2_match_data_free(md);
}

static void mg_rx_key_create(void)
{
    pthread_key_create(&mg_rx_key, mg_rx_thread_end);
}

static pcre2_match_data *mg_rx_grow(uint32_t pairs)
{
    pthread_once(&mg_rx_once, mg_rx_key_create);
    pcre2_match_data_free(mg_rx_md);

    mg_rx_pairs = pairs < 16 ? 16 : pairs;
    mg_rx_md = pcre2_match_data_create(mg_rx_pairs, NULL);
    if (mg_rx_md == NULL) {
        mg_rx_pairs = 0;
    }

    pthread_setspecific(mg_rx_key, mg_rx_md);
    return mg_rx_md;
}

int mg_rx_match(const mg_rx *rx, const char *s, size_t len, int32_t *ov, int n)
{
    int                rc = PCRE2_ERROR_JIT_STACKLIMIT;
    PCRE2_SPTR         subj = (PCRE2_SPTR) (s != NULL ? s : "");
    PCRE2_SIZE        *v;
    pcre2_match_data  *md = mg_rx_pairs > rx->ncap ? mg_rx_md : mg_rx_grow(rx->ncap + 1);

    if (md == NULL) {
        return PCRE2_ERROR_NOMEMORY;
    }

    if (rx->jit) {
        rc = pcre2_match(rx->code, subj, len, 0, 0, md, NULL);
    }

    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        /* nginx without "pcre_jit on" knows no such limit */
        rc = pcre2_match(rx->code, subj, len, 0, PCRE2_NO_JIT, md, NULL);
    }

    if (rc < 0) {
        return rc;
    }

    v = pcre2_get_ovector_pointer(md);

    if (n > 2 * ((int) rx->ncap + 1)) {
        n = 2 * ((int) rx->ncap + 1);
    }

    for (int i = 0; i < n; i++) {
        ov[i] = i < 2 * rc ? (int32_t) v[i] : -1;
    }

    return rc;
}
