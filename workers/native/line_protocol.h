/* Checks a line of line protocol that has a time and nothing unusual, and keeps its bytes.
 *
 * workers/records/line_protocol.py says what a line means. Backslashes outside strings, control characters,
 * tags that are not in order, exponents above 99 and lines without a time are left to it. */
#ifndef TOWER_LINE_PROTOCOL_H
#define TOWER_LINE_PROTOCOL_H

#include "line.h"

/* Most bytes of a series and a field's name, with the separator between them, that influxd has room for. */
#define MOST_KEY_BYTES 65535
#define KEY_SEPARATOR_BYTES 4

/* Most digits of a number. As a double it is finite. */
#define LINE_DIGITS 100

static inline bool
is_plain(Byte character)
{
    /* Also false for the zero that ends every bytes object. */
    return character > ' ' && character != ',' && character != '=' && character != '\\' &&
           character != '"' && character != 0x7F;
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
    uint64_t whole = 0;
    while (is_digit(*at)) {
        /* It may wrap around beyond 19 digits, but is not used then. */
        whole = whole * 10 + (uint64_t)(*at++ - '0');
    }
    size_t count = (size_t)(at - digits);
    if (count == 0 || count > LINE_DIGITS) {
        return NULL;
    }
    if (*at == 'i') {
        return count <= 19 && whole <= (uint64_t)INT64_MAX ? at + 1 : NULL;
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

/* Remember a field's name; false if the line has had it, or has too many fields. */
static bool
line_enter(Memory *memory, Slice name, size_t count)
{
    if (count >= memory->max_fields || count >= SEEN_NAMES / 2) {
        return false;
    }
    uint64_t hash = name.size;
    if (name.size >= 8) {
        hash += load64(name.at) * 31 + load64(name.at + name.size - 8);
    }
    else {
        for (size_t index = 0; index < name.size; index++) {
            hash = hash << 8 | name.at[index];
        }
    }
    hash = hash * 0x9E3779B97F4A7C15u >> 32;
    SeenName *seen = &memory->seen[hash % SEEN_NAMES];
    while (seen->record == memory->records) {
        if (seen->name.size == name.size && is_same(seen->name.at, name.at, name.size)) {
            return false;
        }
        hash++;
        seen = &memory->seen[hash % SEEN_NAMES];
    }
    *seen = (SeenName){memory->records, name};
    return true;
}

/* Skip the fields and the space behind them; NULL if they are left. */
static const Byte *
skip_fields(Memory *memory, const Byte *at, const Byte *end, size_t series, Byte *bits)
{
    for (size_t count = 0;; count++) {
        Slice name = {at, 0};
        at = skip_plain(at, bits);
        name.size = (size_t)(at - name.at);
        if (*at++ != '=' || name.size == 0 || name.size > memory->max_key ||
            series + KEY_SEPARATOR_BYTES + name.size > MOST_KEY_BYTES || is_text(name, "time") ||
            !line_enter(memory, name, count)) {
            return NULL;
        }
        switch (*at) {
        case '"':
            at = skip_string(memory, at, end, bits);
            break;
        case 't':
        case 'T':
        case 'f':
        case 'F':
            at = skip_boolean(at);
            break;
        default:
            at = skip_number(at);
        }
        if (at == NULL || (*at != ',' && *at != ' ')) {
            return NULL;
        }
        if (*at++ == ' ') {
            return at;
        }
    }
}

/* Check a message that is one line. `line` is what to send of it, `time` its time. */
static Outcome
line_check(Memory *memory, Slice message, Slice *line, int64_t *time)
{
    const Byte *at = message.at, *end = message.at + message.size;
    Byte bits = 0;
    memory->records++;
    at = skip_plain(at, &bits);
    if ((size_t)(at - message.at) > memory->max_key) {
        return LEFT;
    }
    at = skip_tags(memory, at, &bits);
    if (at == NULL || *at != ' ') {
        return LEFT;
    }
    at = skip_fields(memory, at + 1, end, (size_t)(at - message.at), &bits);
    if (at == NULL) {
        return LEFT;
    }
    const Byte *digits = at;
    uint64_t value = 0;
    while (is_digit(*at)) {
        value = value * 10 + (uint64_t)(*at++ - '0');
    }
    size_t count = (size_t)(at - digits);
    if (count == 0 || count > 19 || *digits == '0' || value > (uint64_t)LATEST) {
        return LEFT;
    }
    *line = (Slice){message.at, (size_t)(at - message.at)};
    *time = (int64_t)value;
    at += *at == '\n';
    if (at != end) {
        return LEFT;
    }
    return bits & 0x80 ? check_utf8(*line) : DONE;
}

/* The line as it is sent: the message's own bytes if they are nothing else. */
static Outcome
line_as_sent(const Memory *memory, const Coordinates *place, PyObject *value, Slice text, int64_t time,
             PyObject **line)
{
    int64_t apart = place->timed ? time - place->milliseconds * MILLISECOND : 0;
    if (apart > memory->window || apart < -memory->window) {
        return LEFT;
    }
    *line = text.size == (size_t)PyBytes_GET_SIZE(value)
                ? Py_NewRef(value)
                : PyBytes_FromStringAndSize((const char *)text.at, (Py_ssize_t)text.size);
    return *line == NULL ? FAILED : DONE;
}

#endif
