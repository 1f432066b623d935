/* Skips the parts of a line of line protocol: names, tags and values of all types. */
#ifndef TOWER_LINE_SCAN_H
#define TOWER_LINE_SCAN_H

#include "record.h"

/* Most digits of a number. As a double it is finite. */
#define LINE_DIGITS 100

/* Whether a byte may stand in a name as it is: not the zero that ends every bytes object either. */
#define PLAIN_1(at)                                                                                        \
    ((at) > ' ' && (at) != ',' && (at) != '=' && (at) != '\\' && (at) != '"' && (at) != 0x7F)
#define PLAIN_4(at) PLAIN_1(at), PLAIN_1((at) + 1), PLAIN_1((at) + 2), PLAIN_1((at) + 3)
#define PLAIN_16(at) PLAIN_4(at), PLAIN_4((at) + 4), PLAIN_4((at) + 8), PLAIN_4((at) + 12)
#define PLAIN_64(at) PLAIN_16(at), PLAIN_16((at) + 16), PLAIN_16((at) + 32), PLAIN_16((at) + 48)

static const bool IS_PLAIN[256] = {PLAIN_64(0), PLAIN_64(64), PLAIN_64(128), PLAIN_64(192)};

static inline bool
is_plain(Byte character)
{
    return IS_PLAIN[character];
}

/* Whether a message may begin a line: not JSON, msgpack, a comment or a byte order mark. From 0xE0 on there
 * are the scripts beyond the first 2,048 characters, and no maps or arrays of msgpack. */
static inline bool
may_be_line(Byte first)
{
    return is_plain(first) && (first < 0x80 || (first >= 0xE0 && first < 0xEF)) && first != '{' &&
           first != '[' && first != '#';
}

/* Skip a name or a tag's value; collect its bits in `bits`, whose highest tells whether it is ASCII. */
static inline const Byte *
skip_plain(const Byte *at, Byte *bits)
{
    while (is_plain(*at)) {
        *bits |= *at++;
    }
    return at;
}

/* Whether a name is smaller than another one, by its bytes as influxd compares them. */
static inline bool
is_below(Slice one, Slice other)
{
    int order = memcmp(one.at, other.at, one.size < other.size ? one.size : other.size);
    return order < 0 || (order == 0 && one.size < other.size);
}

static inline bool
is_text(Slice text, const char *other)
{
    return text.size == strlen(other) && !memcmp(text.at, other, text.size);
}

/* Skip the tags; NULL if they are left. */
static const Byte *
skip_tags(const Memory *memory, const Byte *at, Byte *bits)
{
    Slice last = {at, 0};
    for (size_t count = 0; *at == ','; count++) {
        Slice name = {++at, 0};
        at = skip_plain(at, bits);
        name.size = (size_t)(at - name.at);
        if (*at != '=' || name.size == 0 || name.size > memory->max_key || count == memory->max_fields ||
            !is_below(last, name) || is_text(name, "time") || is_text(name, "_field") ||
            is_text(name, "_measurement")) {
            return NULL;
        }
        last = name;
        const Byte *value = ++at;
        at = skip_plain(at, bits);
        size_t size = (size_t)(at - value);
        if (size == 0 || size > memory->max_tag) {
            return NULL;
        }
    }
    return at;
}

static inline const Byte *
skip_digits(const Byte *at)
{
    while (is_digit(*at)) {
        at++;
    }
    return at;
}

/* Skip a number of any type; NULL if it is left. */
static const Byte *
skip_number(const Byte *at)
{
    bool negative = *at == '-';
    const Byte *digits = at += negative;
    at = skip_digits(at);
    size_t count = (size_t)(at - digits);
    if (count == 0 || count > LINE_DIGITS) {
        return NULL;
    }
    if (*at == 'i') {
        /* Numbers of as many digits compare as text. */
        bool fits = count < 19 || (count == 19 && memcmp(digits, "9223372036854775807", 19) <= 0);
        return fits ? at + 1 : NULL;
    }
    if (*at == 'u') {
        return count <= 19 && !negative ? at + 1 : NULL;
    }
    if (*at == '.') {
        const Byte *fraction = ++at;
        at = skip_digits(at);
        if (at - fraction > LINE_DIGITS) {
            return NULL;
        }
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        const Byte *exponent = at;
        at = skip_digits(at);
        if (at == exponent || at - exponent > 2) {
            return NULL;
        }
    }
    return at;
}

/* Skip a string; NULL if it is left. */
static const Byte *
skip_string(const Memory *memory, const Byte *at, const Byte *end, Byte *bits)
{
    const Byte *start = ++at;
    while (*at != '"') {
        at += *at == '\\';
        if (at >= end) {
            return NULL;
        }
        *bits |= *at++;
    }
    return (size_t)(at - start) <= memory->max_text ? at + 1 : NULL;
}

static const Byte *
skip_boolean(const Byte *at)
{
    static const char *const WORDS[] = {"true", "false", "True", "False", "TRUE", "FALSE"};
    if (at[1] == ',' || at[1] == ' ') {
        return at + 1;
    }
    for (size_t index = 0; index < sizeof(WORDS) / sizeof(*WORDS); index++) {
        size_t size = strlen(WORDS[index]);
        /* Stops at the zero that ends the message at the latest. */
        if (!strncmp((const char *)at, WORDS[index], size)) {
            return at + size;
        }
    }
    return NULL;
}

/* Skip the value of a field; NULL if it is left. */
static inline const Byte *
skip_value(const Memory *memory, const Byte *at, const Byte *end, Byte *bits)
{
    switch (*at) {
    case '"':
        return skip_string(memory, at, end, bits);
    case 't':
    case 'T':
    case 'f':
    case 'F':
        return skip_boolean(at);
    default:
        return skip_number(at);
    }
}

#endif
