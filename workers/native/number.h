/* Numbers as line protocol, spelled as Python's repr() spells them.
 *
 * A decimal of at most 15 digits is the shortest text of the double it names, so it is copied, without
 * trailing zeros; all others go through Python's own conversion. */
#ifndef TOWER_NUMBER_H
#define TOWER_NUMBER_H

#include "common.h"

/* Most digits of a decimal that a double holds exactly. */
#define EXACT_DIGITS 15

/* Longest number in bytes. A longer one is left to the Python path. */
#define NUMBER_BYTES 40

/* Most bytes a number takes when it is written: repr() of a double has 24. */
#define WRITTEN_BYTES 48

/* From here on a whole number is written as a double, as by the Python path. */
#define WHOLE_LIMIT 1000000000000000 /* 10^15 */

/* A double holds every whole number up to this one. */
#define DOUBLE_WHOLE 9007199254740992 /* 2^53 */

static const double POWERS[] = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};

/* A number as it was sent. */
typedef struct {
    Slice text;
    uint64_t mantissa; /* all digits without the point; not valid above 18 digits */
    unsigned digits;   /* of the mantissa, with leading zeros */
    unsigned fraction; /* of these, how many are behind the point */
    bool negative;
    bool point;
    bool plain;                  /* no exponent, no sign +, a digit on both sides of the point */
    Byte copy[NUMBER_BYTES + 1]; /* of the text, if it was read from text */
} Number;

/* Write a whole number; return the cursor behind it. */
static Byte *
put_whole(Byte *out, uint64_t value)
{
    Byte digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (Byte)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count) {
        *out++ = digits[--count];
    }
    return out;
}

/* Write a double as repr() does. */
static Outcome
put_double(Byte **out, double value)
{
    double size = fabs(value);
    if (size < 1e9 && (size >= 1e-4 || size == 0)) {
        /* Measured values have few decimals, and a decimal this short is its double's repr. */
        uint64_t millionths = (uint64_t)llrint(size * 1e6);
        if ((double)millionths / 1e6 == size) {
            Byte *at = *out;
            if (signbit(value)) {
                *at++ = '-';
            }
            at = put_whole(at, millionths / 1000000);
            *at++ = '.';
            uint64_t rest = millionths % 1000000;
            do {
                *at++ = (Byte)('0' + rest / 100000);
                rest = rest % 100000 * 10;
            } while (rest);
            *out = at;
            return DONE;
        }
    }
    char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        return FAILED;
    }
    size_t length = strlen(text);
    if (length <= WRITTEN_BYTES) {
        memcpy(*out, text, length);
        *out += length;
    }
    PyMem_Free(text);
    return length <= WRITTEN_BYTES ? DONE : LEFT;
}

/* The double nearest to a number's text, as float() finds it. */
static Outcome
read_double(const Number *from, double *value)
{
    char text[NUMBER_BYTES + 1];
    if (from->plain && from->digits <= 17 && from->mantissa <= DOUBLE_WHOLE) {
        /* Both are exact, so the quotient is rounded once. */
        *value = (double)from->mantissa / POWERS[from->fraction];
        if (from->negative) {
            *value = -*value;
        }
        return DONE;
    }
    if (from->text.size > NUMBER_BYTES) {
        return LEFT;
    }
    memcpy(text, from->text.at, from->text.size);
    text[from->text.size] = 0;
    *value = PyOS_string_to_double(text, NULL, NULL);
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) {
            return FAILED;
        }
        PyErr_Clear();
        return LEFT;
    }
    return isfinite(*value) ? DONE : LEFT;
}

/* Read a number from bytes that end in a character no number has.
 *
 * Accepts what Python's float() and JSON have in common and the looser forms of text (`+1`, `.5`, `1.`,
 * leading zeros) unless `json` is true. Returns the cursor behind it, NULL if there is no number.
 */
static const Byte *
scan_number(const Byte *at, Number *to, bool json)
{
    const Byte *start = at;
    uint64_t mantissa = 0;
    to->negative = *at == '-';
    to->point = false;
    to->plain = *at != '+';
    at += to->negative || !to->plain;
    if (!to->plain && json) {
        return NULL;
    }
    const Byte *whole = at;
    while (is_digit(*at)) {
        /* It may wrap around beyond 18 digits, but is not used then. */
        mantissa = mantissa * 10 + (uint64_t)(*at++ - '0');
    }
    size_t digits = (size_t)(at - whole), fraction = 0;
    if (json && (digits == 0 || (digits > 1 && *whole == '0'))) {
        return NULL;
    }
    to->plain = to->plain && digits > 0 && (digits == 1 || *whole != '0');
    if (*at == '.') {
        const Byte *point = ++at;
        to->point = true;
        while (is_digit(*at)) {
            mantissa = mantissa * 10 + (uint64_t)(*at++ - '0');
        }
        fraction = (size_t)(at - point);
        if (json && fraction == 0) {
            return NULL;
        }
        to->plain = to->plain && fraction > 0;
    }
    digits += fraction;
    if (digits == 0) {
        return NULL;
    }
    if (*at == 'e' || *at == 'E') {
        at += at[1] == '+' || at[1] == '-' ? 2 : 1;
        if (!is_digit(*at)) {
            return NULL;
        }
        while (is_digit(*at)) {
            at++;
        }
        to->plain = false;
    }
    if (digits > 18) {
        to->plain = false;
    }
    to->mantissa = mantissa;
    to->digits = digits > 999 ? 999 : (unsigned)digits;
    to->fraction = fraction > 999 ? 999 : (unsigned)fraction;
    to->text.at = start;
    to->text.size = (size_t)(at - start);
    return at;
}

static Slice
strip(Slice text)
{
    while (text.size && text.at[0] == ' ') {
        text.at++;
        text.size--;
    }
    while (text.size && text.at[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

/* Whether all of some text is a number of at most NUMBER_BYTES. */
static bool
number_of_text(Slice text, Number *to)
{
    if (text.size > NUMBER_BYTES) {
        return false;
    }
    memcpy(to->copy, text.at, text.size);
    to->copy[text.size] = 0;
    return scan_number(to->copy, to, false) == to->copy + text.size;
}

/* Write a number with a point, or one that is a float by its size. */
static Outcome
put_float(Byte **out, const Number *from)
{
    if (from->plain && from->point && from->digits <= EXACT_DIGITS) {
        size_t size = from->text.size;
        const Byte *text = from->text.at;
        /* Below a ten-thousandth repr() writes an exponent. */
        bool small = from->mantissa && (double)from->mantissa / POWERS[from->fraction] < 1e-4;
        if (!small) {
            while (text[size - 1] == '0' && text[size - 2] != '.') {
                size--;
            }
            copy(*out, text, size);
            *out += size;
            return DONE;
        }
    }
    double value;
    Outcome outcome = read_double(from, &value);
    return outcome == DONE ? put_double(out, value) : outcome;
}

#endif
