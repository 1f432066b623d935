/* Reads a record's time, as workers/records/timestamps.py does. */
#ifndef TOWER_TIMESTAMP_H
#define TOWER_TIMESTAMP_H

#include "number.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)

/* Seconds or milliseconds, times first record of a message or a further one: see
 * workers/records/point_time.py. */
#define CLASSES 4

/* Times in nanoseconds beyond this (the year 2255) are left to the Python path, whose numbers have no end.
 */
#define LATEST INT64_C(9000000000000000000)

/* ISO 8601 is read here until this year: until then a double tells its microseconds. */
#define LATEST_YEAR 2099

typedef struct {
    int64_t ns;
    int64_t tick;
} Timestamp;

typedef enum { READ, UNREADABLE, UNDECIDED, BROKEN } Reading;

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
    int64_t ns = (int64_t)(value * unit);
    to->tick = unit == SECOND ? SECOND : MILLISECOND;
    to->ns = ns - ns % MILLISECOND;
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
    if (value >= 1e11 || value == floor(value)) {
        return timestamp_of_whole((uint64_t)value, to);
    }
    /* Rounded half to even, as round() does. */
    int64_t microseconds = llrint(value * 1e6);
    if (microseconds > LATEST / 1000) {
        return UNDECIDED;
    }
    to->ns = microseconds / 1000 * MILLISECOND;
    to->tick = MILLISECOND;
    return READ;
}

static Reading
timestamp_of_number(const Number *from, Timestamp *to)
{
    double value;
    if (from->negative) {
        return from->plain && from->digits <= 18 ? UNREADABLE : UNDECIDED;
    }
    if (from->plain && !from->point) {
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

/* `2024-01-31T23:59:59`, with a space for the T, a fraction and a zone if need be. */
static Reading
timestamp_of_iso(Slice text, Timestamp *to)
{
    const Byte *at = text.at, *end = text.at + text.size;
    if (text.size < 19 || at[4] != '-' || at[7] != '-' || (at[10] != 'T' && at[10] != ' ') ||
        at[13] != ':' || at[16] != ':') {
        return UNDECIDED;
    }
    unsigned century = two_digits(at), year = two_digits(at + 2), hour = two_digits(at + 11),
             minute = two_digits(at + 14);
    unsigned second = two_digits(at + 17);
    int64_t days = days_until(century * 100 + year, two_digits(at + 5), two_digits(at + 8));
    if (century > 99 || year > 99 || days < 0 || hour > 23 || minute > 59 || second > 59) {
        return UNDECIDED;
    }
    int64_t seconds = days * 86400 + (int64_t)(hour * 3600 + minute * 60 + second);
    int64_t milliseconds = 0;
    bool precise = false;
    at += 19;
    if (at < end && *at == '.') {
        const Byte *digits = ++at;
        precise = true;
        while (at < end && is_digit(*at)) {
            at++;
        }
        size_t count = (size_t)(at - digits);
        if (count < 3 || count > 9) {
            return UNDECIDED;
        }
        milliseconds = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    }
    if (end - at == 1 && *at == 'Z') {
        at++;
    }
    else if (end - at >= 5 && (*at == '+' || *at == '-')) {
        unsigned hours = two_digits(at + 1), minutes = two_digits(end - 2);
        bool colon = end - at == 6 && at[3] == ':';
        if ((end - at != 5 && !colon) || hours > 23 || minutes > 59) {
            return UNDECIDED;
        }
        int64_t shift = (int64_t)(hours * 3600 + minutes * 60);
        seconds -= *at == '+' ? shift : -shift;
        at = end;
    }
    if (at != end || seconds <= 0) {
        return UNDECIDED;
    }
    to->tick = precise ? MILLISECOND : SECOND;
    to->ns = seconds * SECOND + milliseconds * MILLISECOND;
    return READ;
}

/* A time as text: a number, or ISO 8601. */
static Reading
timestamp_of_text(Slice text, Timestamp *to)
{
    text = strip(text);
    Number read;
    if (text.size == 0 || !is_digit(text.at[0])) {
        return UNDECIDED;
    }
    if (!number_of_text(text, &read)) {
        return timestamp_of_iso(text, to);
    }
    /* Zeros in front make no other number of it. */
    if (!read.point && read.digits <= 18 && read.text.size == read.digits) {
        return timestamp_of_whole(read.mantissa, to);
    }
    return read.plain && read.point ? timestamp_of_number(&read, to) : UNDECIDED;
}

#endif
