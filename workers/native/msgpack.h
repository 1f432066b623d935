/* One flat msgpack map. */
#ifndef TOWER_MSGPACK_H
#define TOWER_MSGPACK_H

#include "record.h"

/* Fluentd's EventTime: extension 0 of 8 bytes. */
#define EVENT_TIME 0

static bool
is_map(Byte first)
{
    return (first & 0xF0) == 0x80 || first == 0xDE;
}

/* Read `size` bytes as an unsigned number, most significant first. False if there are fewer bytes. */
static bool
read_number(const Byte **at, const Byte *end, size_t size, uint64_t *to)
{
    if ((size_t)(end - *at) < size) {
        return false;
    }
    *to = 0;
    for (size_t index = 0; index < size; index++) {
        *to = *to << 8 | *(*at)++;
    }
    return true;
}

/* Read text: fixstr, str 8 or str 16. False if it is not text or is cut short. */
static bool
read_string(const Byte **at, const Byte *end, Slice *text)
{
    uint64_t size;
    if (*at >= end) {
        return false;
    }
    Byte first = *(*at)++;
    if ((first & 0xE0) == 0xA0) {
        size = first & 0x1F;
    }
    else if ((first != 0xD9 && first != 0xDA) || !read_number(at, end, first == 0xD9 ? 1 : 2, &size)) {
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

static Outcome
msgpack_text(Record *self, const Field *field, Slice text)
{
    Byte classes = 0;
    for (size_t index = 0; index < text.size; index++) {
        classes |= CLASS_OF[text.at[index]];
    }
    return classes & SPECIAL ? LEFT : add_text(self, field, text, classes == PLAIN);
}

static Outcome
msgpack_whole(Record *self, const Field *field, bool negative, uint64_t size)
{
    if (field->kind == TIME) {
        return add_time(self, negative ? UNREADABLE : timestamp_of_whole(size, &self->timestamp));
    }
    if (field->kind == TAG) {
        Memory *memory = self->memory;
        Byte *digits = memory->tag_digits + DIGITS * field->tag, *cursor = digits;
        if (negative) {
            *cursor++ = '-';
        }
        Slice text = {digits, (size_t)(put_whole(cursor, size) - digits)};
        memory->tags[field->tag] = text;
        return text.size <= memory->max_tag ? DONE : LEFT;
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
    return DONE;
}

static Outcome
msgpack_double(Record *self, const Field *field, double value)
{
    if (field->kind == TIME) {
        return add_time(self, timestamp_of_double(value, &self->timestamp));
    }
    if (field->kind == TAG) {
        return LEFT;
    }
    if (!isfinite(value)) {
        self->omitted++;
        return DONE;
    }
    return put_name(self, field, WRITTEN_BYTES) ? put_double(&self->at, value) : LEFT;
}

static Outcome
msgpack_event_time(Record *self, const Field *field, const Byte **at, const Byte *end)
{
    uint64_t seconds, nanoseconds;
    if (field->kind != TIME || *at >= end || *(*at)++ != EVENT_TIME || !read_number(at, end, 4, &seconds) ||
        !read_number(at, end, 4, &nanoseconds)) {
        return LEFT;
    }
    self->timestamp = timestamp_of_ns((int64_t)seconds * SECOND + (int64_t)nanoseconds);
    return self->timestamp.ns ? add_time(self, READ) : LEFT;
}

static Outcome
msgpack_value(Record *self, const Field *field, const Byte **at, const Byte *end)
{
    static const Slice nil = {(const Byte *)"null", 4}, no = {(const Byte *)"false", 5},
                       yes = {(const Byte *)"true", 4};
    uint64_t bits;
    Slice text;
    if (*at >= end) {
        return LEFT;
    }
    Byte first = **at;
    if ((first & 0xE0) == 0xA0 || first == 0xD9 || first == 0xDA) {
        return read_string(at, end, &text) ? msgpack_text(self, field, text) : LEFT;
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
        return add_constant(self, field, nil);
    case 0xC2:
        return add_constant(self, field, no);
    case 0xC3:
        return add_constant(self, field, yes);
    case 0xC7: /* ext 8, whose size is a byte */
        return *at < end && *(*at)++ == 8 ? msgpack_event_time(self, field, at, end) : LEFT;
    case 0xD7: /* fixext 8 */
        return msgpack_event_time(self, field, at, end);
    case 0xCA: {
        float value;
        if (!read_number(at, end, 4, &bits)) {
            return LEFT;
        }
        uint32_t half = (uint32_t)bits;
        memcpy(&value, &half, 4);
        return msgpack_double(self, field, value);
    }
    case 0xCB: {
        double value;
        if (!read_number(at, end, 8, &bits)) {
            return LEFT;
        }
        memcpy(&value, &bits, 8);
        return msgpack_double(self, field, value);
    }
    case 0xCC:
    case 0xCD:
    case 0xCE:
    case 0xCF:
        return read_number(at, end, (size_t)1 << (first - 0xCC), &bits)
                   ? msgpack_whole(self, field, false, bits)
                   : LEFT;
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3: {
        size_t size = (size_t)1 << (first - 0xD0);
        if (!read_number(at, end, size, &bits)) {
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

static Py_NO_INLINE Outcome
msgpack_record(Record *self, Slice value)
{
    const Byte *at = value.at, *end = value.at + value.size;
    uint64_t count = *at & 0x0F;
    if (*at++ == 0xDE && !read_number(&at, end, 2, &count)) {
        return LEFT;
    }
    while (count--) {
        Slice key;
        if (!read_string(&at, end, &key)) {
            return LEFT;
        }
        Outcome outcome = DONE;
        Field *field = record_guess(self);
        if (field == NULL || key.size != field->key_size ||
            !begins_with(key.at, end, field->key, key.size)) {
            for (size_t index = 0; index < key.size; index++) {
                if (CLASS_OF[key.at[index]] != PLAIN) {
                    return LEFT;
                }
            }
            outcome = record_find(self, key, &field);
        }
        if (outcome == DONE) {
            outcome = record_enter(self, field);
        }
        if (outcome == DONE) {
            outcome = msgpack_value(self, field, &at, end);
        }
        if (outcome != DONE) {
            return outcome;
        }
    }
    return at == end ? DONE : LEFT;
}

#endif
