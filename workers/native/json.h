/* One flat JSON object.
 *
 * Python's bytes objects end in a zero behind their size, and no loop here continues past a zero. So no
 * loop checks for the end at each byte. */
#ifndef TOWER_JSON_H
#define TOWER_JSON_H

#include "record.h"

static inline const Byte *
skip_space(const Byte *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') {
        at++;
    }
    return at;
}

/* Read text up to the next quote. NULL if it has escapes or control characters. */
static inline const Byte *
scan_text(const Byte *at, Slice *text, bool *ascii)
{
    const Byte *start = at;
    Byte classes = 0;
    while (CLASS_OF[*at] != SPECIAL) {
        classes |= CLASS_OF[*at++];
    }
    text->at = start;
    text->size = (size_t)(at - start);
    *ascii = classes == PLAIN;
    return *at == '"' ? at + 1 : NULL;
}

static Outcome
json_number(Record *self, const Field *field, const Byte **at, const Byte *end)
{
    Number read;
    const Byte *next = scan_number(*at, &read, true);
    if (next == NULL) {
        return LEFT;
    }
    *at = next;
    if (field->kind == TIME) {
        return add_time(self, timestamp_of_number(&read, &self->timestamp));
    }
    bool whole = read.plain && !read.point && read.digits <= EXACT_DIGITS;
    if (whole && read.negative && read.mantissa == 0) {
        return LEFT;
    }
    if (field->kind == TAG) {
        if (!whole || read.text.size > self->memory->max_tag) {
            return LEFT;
        }
        self->memory->tags[field->tag] = read.text;
        return DONE;
    }
    if (!put_name(self, field, WRITTEN_BYTES)) {
        return LEFT;
    }
    if (whole) {
        if (read.text.size <= PADDED_BYTES && end - read.text.at >= PADDED_BYTES) {
            copy_padded(self->at, read.text.at, read.text.size);
        }
        else {
            memcpy(self->at, read.text.at, read.text.size);
        }
        self->at += read.text.size;
        return DONE;
    }
    return put_float(&self->at, &read);
}

static Outcome
json_constant(Record *self, const Field *field, const Byte **at, const Byte *end)
{
    static const char *const all[] = {"true", "false", "null"};
    for (size_t index = 0; index < 3; index++) {
        Slice text = {(const Byte *)all[index], strlen(all[index])};
        if ((size_t)(end - *at) >= text.size && !memcmp(*at, text.at, text.size)) {
            *at += text.size;
            return add_constant(self, field, text);
        }
    }
    return LEFT;
}

static Outcome
json_value(Record *self, const Field *field, const Byte **at, const Byte *end)
{
    if (**at == '"') {
        Slice text;
        bool ascii;
        const Byte *next = scan_text(*at + 1, &text, &ascii);
        if (next == NULL) {
            return LEFT;
        }
        *at = next;
        return add_text(self, field, text, ascii);
    }
    if (is_digit(**at) || **at == '-') {
        return json_number(self, field, at, end);
    }
    return json_constant(self, field, at, end);
}

static Py_NO_INLINE Outcome
json_record(Record *self, Slice value)
{
    const Byte *at = skip_space(value.at), *end = value.at + value.size;
    if (*at++ != '{') {
        return LEFT;
    }
    for (;;) {
        at = skip_space(at);
        if (*at++ != '"') {
            return LEFT;
        }
        Outcome outcome = DONE;
        Field *field = record_guess(self);
        if (field != NULL && begins_with(at, end, field->key, field->key_size + 1u)) {
            at += field->key_size + 1;
        }
        else {
            Slice key;
            bool ascii;
            at = scan_text(at, &key, &ascii);
            outcome = at == NULL || !ascii ? LEFT : record_find(self, key, &field);
        }
        if (outcome == DONE) {
            outcome = record_enter(self, field);
        }
        if (outcome != DONE) {
            return outcome;
        }
        at = skip_space(at);
        if (*at++ != ':') {
            return LEFT;
        }
        at = skip_space(at);
        outcome = json_value(self, field, &at, end);
        if (outcome != DONE) {
            return outcome;
        }
        at = skip_space(at);
        if (*at == '}') {
            break;
        }
        if (*at++ != ',') {
            return LEFT;
        }
    }
    return skip_space(at + 1) == end ? DONE : LEFT;
}

#endif
