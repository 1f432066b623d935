/* One flat msgpack map. */
#ifndef TOWER_MSGPACK_H
#define TOWER_MSGPACK_H

#include "record.h"

/* Fluentd's EventTime: extension 0 of 8 bytes. */
#define EVENT_TIME 0

static bool
is_map(byte first)
{
    return (first & 0xF0) == 0x80 || first == 0xDE;
}

/* Take `size` bytes as an unsigned number, most significant first; false where there are not so many. */
static bool
take_number(const byte **at, const byte *end, size_t size, uint64_t *to)
{
    if ((size_t)(end - *at) < size) {
        return false;
    }
    *to = 0;
    for (size_t each = 0; each < size; each++) {
        *to = *to << 8 | *(*at)++;
    }
    return true;
}

/* Take text: fixstr, str 8 or str 16; false where it is none or cut short. */
static bool
take_string(const byte **at, const byte *end, slice *text)
{
    uint64_t size;
    if (*at >= end) {
        return false;
    }
    byte first = *(*at)++;
    if ((first & 0xE0) == 0xA0) {
        size = first & 0x1F;
    }
    else if ((first != 0xD9 && first != 0xDA) || !take_number(at, end, first == 0xD9 ? 1 : 2, &size)) {
        return false;
    }
    if ((uint64_t)(end - *at) < size) {
        return false;
    }
    text->at = *at;
    text->size = (size_t)size;
    *at += size;
    return true;
}

static outcome
msgpack_text(record *self, const name *field, slice text)
{
    byte classes = 0;
    for (size_t each = 0; each < text.size; each++) {
        classes |= class_of[text.at[each]];
    }
    return classes & SPECIAL ? LEFT : take_text(self, field, text, classes == PLAIN);
}

static outcome
msgpack_whole(record *self, const name *field, bool negative, uint64_t size)
{
    if (field->kind == TIME) {
        return take_time(self, negative ? UNREADABLE : moment_of_whole(size, &self->moment));
    }
    if (field->kind == TAG) {
        memory *memory = self->memory;
        byte *digits = memory->tag_digits + DIGITS * field->tag, *cursor = digits;
        if (negative) {
            *cursor++ = '-';
        }
        slice text = {digits, (size_t)(put_whole(cursor, size) - digits)};
        memory->tags[field->tag] = text;
        return text.size <= memory->max_tag ? TAKEN : LEFT;
    }
    if (!put_name(self, field, WRITTEN_BYTES)) {
        return LEFT;
    }
    if (size >= WHOLE_LIMIT) {
        return put_double(&self->at, negative ? -(double)size : (double)size);
    }
    if (negative) {
        *self->at++ = '-';
    }
    self->at = put_whole(self->at, size);
    return TAKEN;
}

static outcome
msgpack_double(record *self, const name *field, double value)
{
    if (field->kind == TIME) {
        return take_time(self, moment_of_double(value, &self->moment));
    }
    if (field->kind == TAG) {
        return LEFT;
    }
    if (!isfinite(value)) {
        self->left_out++;
        return TAKEN;
    }
    return put_name(self, field, WRITTEN_BYTES) ? put_double(&self->at, value) : LEFT;
}

static outcome
msgpack_event_time(record *self, const name *field, const byte **at, const byte *end)
{
    uint64_t seconds, nanoseconds;
    if (field->kind != TIME || *at >= end || *(*at)++ != EVENT_TIME || !take_number(at, end, 4, &seconds) ||
        !take_number(at, end, 4, &nanoseconds)) {
        return LEFT;
    }
    int64_t ns = (int64_t)seconds * SECOND + (int64_t)nanoseconds;
    self->moment = (moment){ns - ns % MILLISECOND, MILLISECOND};
    return take_time(self, READ);
}

static outcome
msgpack_value(record *self, const name *field, const byte **at, const byte *end)
{
    static const slice nil = {(const byte *)"null", 4}, no = {(const byte *)"false", 5},
                       yes = {(const byte *)"true", 4};
    uint64_t bits;
    slice text;
    if (*at >= end) {
        return LEFT;
    }
    byte first = **at;
    if ((first & 0xE0) == 0xA0 || first == 0xD9 || first == 0xDA) {
        return take_string(at, end, &text) ? msgpack_text(self, field, text) : LEFT;
    }
    ++*at;
    if (first < 0x80) {
        return msgpack_whole(self, field, false, first);
    }
    if (first >= 0xE0) {
        return msgpack_whole(self, field, true, 256u - first);
    }
    switch (first) {
    case 0xC0:
        return take_constant(self, field, nil);
    case 0xC2:
        return take_constant(self, field, no);
    case 0xC3:
        return take_constant(self, field, yes);
    case 0xC7: /* ext 8, whose size is a byte */
        return *at < end && *(*at)++ == 8 ? msgpack_event_time(self, field, at, end) : LEFT;
    case 0xD7: /* fixext 8 */
        return msgpack_event_time(self, field, at, end);
    case 0xCA: {
        float value;
        if (!take_number(at, end, 4, &bits)) {
            return LEFT;
        }
        uint32_t half = (uint32_t)bits;
        memcpy(&value, &half, 4);
        return msgpack_double(self, field, value);
    }
    case 0xCB: {
        double value;
        if (!take_number(at, end, 8, &bits)) {
            return LEFT;
        }
        memcpy(&value, &bits, 8);
        return msgpack_double(self, field, value);
    }
    case 0xCC:
    case 0xCD:
    case 0xCE:
    case 0xCF:
        return take_number(at, end, (size_t)1 << (first - 0xCC), &bits)
                   ? msgpack_whole(self, field, false, bits)
                   : LEFT;
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3: {
        size_t size = (size_t)1 << (first - 0xD0);
        if (!take_number(at, end, size, &bits)) {
            return LEFT;
        }
        /* Two's complement: the sign bit counts below zero. */
        uint64_t sign = UINT64_C(1) << (size * 8 - 1);
        return bits & sign ? msgpack_whole(self, field, true, sign - (bits ^ sign))
                           : msgpack_whole(self, field, false, bits);
    }
    default:
        return LEFT;
    }
}

static outcome
msgpack_record(record *self, slice value)
{
    const byte *at = value.at, *end = value.at + value.size;
    uint64_t count = *at & 0x0F;
    if (*at++ == 0xDE && !take_number(&at, end, 2, &count)) {
        return LEFT;
    }
    while (count--) {
        slice key;
        if (!take_string(&at, end, &key)) {
            return LEFT;
        }
        outcome done = TAKEN;
        name *field = record_guess(self);
        if (field == NULL || key.size != field->key_size || !is_same(key.at, field->key, key.size)) {
            for (size_t each = 0; each < key.size; each++) {
                if (class_of[key.at[each]] != PLAIN) {
                    return LEFT;
                }
            }
            done = record_name(self, key, &field);
        }
        if (done == TAKEN) {
            done = record_enter(self, field);
        }
        if (done == TAKEN) {
            done = msgpack_value(self, field, &at, end);
        }
        if (done != TAKEN) {
            return done;
        }
    }
    return at == end ? TAKEN : LEFT;
}

#endif
