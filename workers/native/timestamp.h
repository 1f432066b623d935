/* Reads a record's time, as workers/records/timestamps.py does. */
#ifndef TOWER_TIMESTAMP_H
#define TOWER_TIMESTAMP_H

#include "number.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)

/* Precision of a time with digits below the millisecond. */
#define NANOSECOND INT64_C(1)

/* Times in nanoseconds beyond this (the year 2255) are left to the Python path, whose numbers have no end.
 */
#define LATEST INT64_C(9000000000000000000)

/* ISO 8601 is read here until this year: until then a double tells its microseconds. */
#define LATEST_YEAR 2099

typedef struct {
    int64_t ns;
    int64_t tick;
    bool local; /* it was a local time without a zone */
} Timestamp;

typedef enum { READ, UNREADABLE, UNDECIDED, BROKEN } Reading;

/* A time finer than a second, by its value. */
static Timestamp
timestamp_of_ns(int64_t ns)
{
    return (Timestamp){ns, ns % MILLISECOND ? NANOSECOND : MILLISECOND, false};
}

static Reading
timestamp_of_whole(uint64_t value, Timestamp *to)
{
    if (value == 0) {
        return UNREADABLE;
    }
    uint64_t unit = value < UINT64_C(100000000000)         ? SECOND
                    : value < UINT64_C(100000000000000)    ? MILLISECOND
                    : value < UINT64_C(100000000000000000) ? 1000
                                                           : 1;
    if (value > (uint64_t)LATEST / unit) {
        return UNDECIDED;
    }
    *to = timestamp_of_ns((int64_t)(value * unit));
    if (unit == SECOND) {
        to->tick = SECOND;
    }
    return READ;
}

static Reading
timestamp_of_double(double value, Timestamp *to)
{
    if (!isfinite(value) || value <= 0) {
        return UNREADABLE;
    }
    if (value > (double)LATEST) {
        return UNDECIDED;
    }
    if (value >= 1e14 || value == floor(value)) {
        return timestamp_of_whole((uint64_t)value, to);
    }
    /* Rounded half to even, as round() does. */
    int64_t microseconds = llrint(value * (value < 1e11 ? 1e6 : 1e3));
    if (microseconds == 0) {
        return UNREADABLE;
    }
    if (microseconds > LATEST / 1000) {
        return UNDECIDED;
    }
    *to = timestamp_of_ns(microseconds * 1000);
    return READ;
}

static Reading
timestamp_of_number(const Number *from, Timestamp *to)
{
    double value;
    if (from->negative) {
        return from->plain && from->digits <= 18 ? UNREADABLE : UNDECIDED;
    }
    /* Only digits. 19 of them fit in 64 bits, too. */
    if (from->digits <= 19 && from->text.size == from->digits) {
        return timestamp_of_whole(from->mantissa, to);
    }
    switch (read_double(from, &value)) {
    case DONE:
        return timestamp_of_double(value, to);
    case LEFT:
        return UNDECIDED;
    default:
        return BROKEN;
    }
}

/* Two digits as a number, 255 if they are not digits. */
static unsigned
two_digits(const Byte *at)
{
    return is_digit(at[0]) && is_digit(at[1]) ? (unsigned)((at[0] - '0') * 10 + at[1] - '0') : 255;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, -1 if there is no such day. */
static int64_t
days_until(unsigned year, unsigned month, unsigned day)
{
    static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 1970 || year > LATEST_YEAR || month < 1 || month > 12 || day < 1) {
        return -1;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > before[month] - before[month - 1] + (leap && month == 2)) {
        return -1;
    }
    unsigned last = year - 1;
    int64_t leaps = (int64_t)(last / 4 - last / 100 + last / 400) - 477; /* 477 until the end of 1969 */
    return (int64_t)(year - 1970) * 365 + leaps + before[month - 1] + (leap && month > 2) + day - 1;
}

/* Read a fraction of a second of at most 9 digits; return the cursor behind it, NULL if it is none. */
static const Byte *
scan_fraction(const Byte *at, const Byte *end, int64_t *ns)
{
    int64_t unit = SECOND;
    *ns = 0;
    while (at < end && is_digit(*at)) {
        if (unit == 1) {
            return NULL;
        }
        unit /= 10;
        *ns += (*at++ - '0') * unit;
    }
    return unit == SECOND ? NULL : at;
}

/* Read a zone: `Z`, ` UTC`, `+09:00`, ` +0900`. False if it is none of these. */
static bool
scan_zone(const Byte *at, const Byte *end, int64_t *seconds)
{
    at += at < end && *at == ' ';
    size_t size = (size_t)(end - at);
    *seconds = 0;
    if (size == 1 && (*at == 'Z' || *at == 'z')) {
        return true;
    }
    if (size == 3 && !memcmp(at, "UTC", 3)) {
        return true;
    }
    if ((size != 5 && !(size == 6 && at[3] == ':')) || (*at != '+' && *at != '-')) {
        return false;
    }
    unsigned hours = two_digits(at + 1), minutes = two_digits(end - 2);
    if (hours > 23 || minutes > 59) {
        return false;
    }
    *seconds = (*at == '+' ? 1 : -1) * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

/* `2024-01-31T23:59:59`, with a space for the T, a fraction and a zone if need be. */
static Reading
timestamp_of_iso(Slice text, Timestamp *to)
{
    const Byte *at = text.at, *end = text.at + text.size;
    if (text.size < 19 || at[4] != '-' || at[7] != '-' ||
        (at[10] != 'T' && at[10] != 't' && at[10] != ' ') || at[13] != ':' || at[16] != ':') {
        return UNDECIDED;
    }
    unsigned century = two_digits(at), year = two_digits(at + 2), hour = two_digits(at + 11),
             minute = two_digits(at + 14);
    unsigned second = two_digits(at + 17);
    int64_t days = days_until(century * 100 + year, two_digits(at + 5), two_digits(at + 8));
    if (century > 99 || year > 99 || days < 0 || hour > 23 || minute > 59 || second > 59) {
        return UNDECIDED;
    }
    int64_t seconds = days * 86400 + (int64_t)(hour * 3600 + minute * 60 + second), fraction = 0, zone = 0;
    at += 19;
    bool precise = at < end && (*at == '.' || *at == ',');
    if (precise) {
        at = scan_fraction(at + 1, end, &fraction);
    }
    if (at == NULL || (at != end && !scan_zone(at, end, &zone))) {
        return UNDECIDED;
    }
    seconds -= zone;
    if (seconds <= 0) {
        return UNDECIDED;
    }
    *to = timestamp_of_ns(seconds * SECOND + fraction);
    if (!precise) {
        to->tick = SECOND;
    }
    to->local = at == end;
    return READ;
}

/* A time as text: a number, or a date and a time of day. */
static Reading
timestamp_of_text(Slice text, Timestamp *to)
{
    text = strip(text);
    const Byte *at = text.at, *end = text.at + text.size;
    uint64_t whole = 0;
    while (at < end && is_digit(*at) && at - text.at < 19) {
        whole = whole * 10 + (uint64_t)(*at++ - '0');
    }
    if (at == text.at) {
        return UNDECIDED;
    }
    if (at == end) {
        return timestamp_of_whole(whole, to);
    }
    if (*at != '.') {
        return timestamp_of_iso(text, to);
    }
    /* Seconds with a fraction, whose digits are all kept. */
    int64_t fraction;
    if (whole >= UINT64_C(9000000000) || scan_fraction(at + 1, end, &fraction) != end) {
        return UNDECIDED;
    }
    if (fraction == 0) {
        return timestamp_of_whole(whole, to);
    }
    *to = timestamp_of_ns((int64_t)whole * SECOND + fraction);
    return READ;
}

#endif
