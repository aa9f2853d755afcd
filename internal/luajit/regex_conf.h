/*
 * regex_conf.h: patterns of the configuration (location, server_name, rewrite, if, map). A pattern is immutable after
 * mg_rx_compile and may be used by any number of threads; match data belongs to the calling thread.
 */
#ifndef MG_REGEX_CONF_H
#define MG_REGEX_CONF_H

#include <stddef.h>
#include <stdint.h>

typedef struct mg_rx mg_rx;

/* Returns NULL with nginx's error text in err (cut at cap, NUL-terminated). pat needs a NUL after its len bytes. */
mg_rx *mg_rx_compile(const char *pat, size_t len, int caseless, char *err, size_t cap);
void mg_rx_free(mg_rx *rx);

int mg_rx_captures(const mg_rx *rx);

/* The i-th name in PCRE2's order (by bytes) and its group number; NULL when there are no more. */
const char *mg_rx_name(const mg_rx *rx, int i, int *group);

/*
 * Fills at most n values of ov with start and end of group 0, 1, ...; -1 for a group without a match. Returns the
 * number of groups set (at least 1), or PCRE2's negative result: -1 for no match.
 */
int mg_rx_match(const mg_rx *rx, const char *s, size_t len, int32_t *ov, int n);

#endif
