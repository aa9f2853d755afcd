/* cfun_time.c: the three date forms of HTTP (RFC 9110, 5.6.7) and the cookie form, as nginx reads and writes them. */
#include "cfun.h"

#include <string.h>

static const char weekdays[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

typedef struct {
    int year, month, day, hour, min, sec, wday;   /* month 1..12, wday 0 is Sunday */
} civil;

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar; day may lie outside the month. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t era, yoe, doy;

    /* count years from March, so that the leap day is the last of its year */
    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    yoe = year - era * 400;
    doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_of(int64_t sec, civil *c)
{
    int64_t days, z, era, doe, yoe, doy, mp;

    if (sec < 0) {
        sec = 0;
    }

    days = sec / 86400;
    sec %= 86400;

    if (days > 2932896) {          /* 9999-12-31: years have four digits */
        days = 2932896;
        sec = 86399;
    }

    c->wday = (int) ((days + 4) % 7);
    c->hour = (int) (sec / 3600);
    c->min = (int) (sec / 60 % 60);
    c->sec = (int) (sec % 60);

    z = days + 719468;
    era = z / 146097;
    doe = z % 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;

    c->day = (int) (doy - (153 * mp + 2) / 5 + 1);
    c->month = (int) (mp < 10 ? mp + 3 : mp - 9);
    c->year = (int) (yoe + era * 400 + (c->month <= 2));
}

static char *put2(char *p, int v)
{
    *p++ = (char) ('0' + v / 10);
    *p++ = (char) ('0' + v % 10);
    return p;
}

static size_t put_date(char *dst, int64_t sec, char sep, int short_year)
{
    civil  c;
    char  *p = dst;

    civil_of(sec, &c);

    memcpy(p, weekdays + 3 * c.wday, 3);
    p[3] = ',';
    p[4] = ' ';
    p = put2(p + 5, c.day);
    *p++ = sep;
    memcpy(p, months + 3 * (c.month - 1), 3);
    p += 3;
    *p++ = sep;

    /* two digits were a courtesy to the browsers of 1996, and only up to 2037 */
    if (!short_year || c.year > 2037) {
        p = put2(p, c.year / 100);
    }
    p = put2(p, c.year % 100);

    *p++ = ' ';
    p = put2(p, c.hour);
    *p++ = ':';
    p = put2(p, c.min);
    *p++ = ':';
    p = put2(p, c.sec);
    memcpy(p, " GMT", 4);

    return (size_t) (p + 4 - dst);
}

size_t mg_http_time(char *dst, int64_t sec)
{
    return put_date(dst, sec, ' ', 0);
}

size_t mg_cookie_time(char *dst, int64_t sec)
{
    return put_date(dst, sec, '-', 1);
}

/* The number made of exactly n digits at *p, which moves on; -1 when there are none. */
static int number(const char **p, const char *end, int n)
{
    int v = 0;

    if (end - *p < n) {
        return -1;
    }

    while (n--) {
        unsigned d = (unsigned) (uint8_t) *(*p)++ - '0';

        if (d > 9) {
            return -1;
        }
        v = v * 10 + (int) d;
    }

    return v;
}

/* 1..12 from three letters, of which nginx looks at those that tell months apart; 0 for none. */
static int month_of(const char *p)
{
    switch (p[0]) {
    case 'J':
        return p[1] == 'a' ? 1 : p[2] == 'n' ? 6 : 7;
    case 'F':
        return 2;
    case 'M':
        return p[2] == 'r' ? 3 : 5;
    case 'A':
        return p[1] == 'p' ? 4 : 8;
    case 'S':
        return 9;
    case 'O':
        return 10;
    case 'N':
        return 11;
    case 'D':
        return 12;
    }

    return 0;
}

/* hh:mm:ss */
static int clock_at(const char **p, const char *end, civil *c)
{
    if (end - *p < 8 || (*p)[2] != ':' || (*p)[5] != ':') {
        return -1;
    }

    c->hour = number(p, end, 2);
    ++*p;
    c->min = number(p, end, 2);
    ++*p;
    c->sec = number(p, end, 2);

    return (c->hour | c->min | c->sec) < 0 ? -1 : 0;
}

/* Nov 10 23:50:13 2002, the day with one digit perhaps: asctime() */
static int parse_asctime(const char *p, const char *end, civil *c)
{
    c->month = month_of(p);
    p += 4;
    p += *p == ' ';

    c->day = number(&p, end, 1);
    if (c->day < 0) {
        return -1;
    }

    if (p < end && *p != ' ') {
        int low = number(&p, end, 1);

        if (low < 0) {
            return -1;
        }
        c->day = c->day * 10 + low;
    }

    if (end - p < 14 || *p++ != ' ' || clock_at(&p, end, c) != 0 || p == end || *p++ != ' ') {
        return -1;
    }

    c->year = number(&p, end, 4);
    return 0;
}

/* 10 Nov 2002 23:50:13 or 10-Nov-02 23:50:13 */
static int parse_day_first(const char *p, const char *end, civil *c)
{
    char sep;

    c->day = number(&p, end, 2);
    sep = *p;
    if (c->day < 0 || (sep != ' ' && sep != '-') || (sep == ' ' && end - p < 18)) {
        return -1;
    }

    p++;
    c->month = month_of(p);
    p += 3;
    if (*p++ != sep) {
        return -1;
    }

    if (sep == ' ') {
        c->year = number(&p, end, 4);

    } else {
        c->year = number(&p, end, 2);
        c->year += c->year < 0 ? 0 : c->year < 70 ? 2000 : 1900;
    }

    if (c->year < 0 || p == end || *p++ != ' ') {
        return -1;
    }

    return clock_at(&p, end, c);
}

int64_t mg_parse_http_time(const char *p, size_t len)
{
    static const int mdays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    const char  *end = p + len;
    civil        c;
    int          asctime, rc;

    while (p < end && *p != ',' && *p != ' ') {
        p++;
    }

    asctime = p < end && *p == ' ';

    for (p++; p < end && *p == ' '; p++) {
        /* void */
    }

    if (end - p < 18) {
        return -1;
    }

    rc = asctime ? parse_asctime(p, end, &c) : parse_day_first(p, end, &c);

    if (rc != 0 || c.month == 0 || c.year < 0 || c.hour > 23 || c.min > 59 || c.sec > 59) {
        return -1;
    }

    if (c.day == 29 && c.month == 2) {
        if (c.year % 4 != 0 || (c.year % 100 == 0 && c.year % 400 != 0)) {
            return -1;
        }

    } else if (c.day > mdays[c.month - 1]) {
        return -1;
    }

    return days_of(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.min * 60 + c.sec;
}
