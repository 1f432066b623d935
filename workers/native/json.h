/* One flat JSON object.
 *
 * Bytes objects end in a zero behind their size, and no zero is taken for anything here: it ends every
 * loop, so the end need not be looked for at each byte. */
#ifndef TOWER_JSON_H
#define TOWER_JSON_H

#include "record.h"

static inline const byte *
skip_space(const byte *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') {
        at++;
    }
    return at;
}

/* The text up to the next quote; NULL where it has escapes or bytes that need a look. */
static inline const byte *
scan_text(const byte *at, slice *text, bool *ascii)
{
    const byte *start = at;
    byte classes = 0;
    while (class_of[*at] != SPECIAL) {
        classes |= class_of[*at++];
    }
    text->at = start;
    text->size = (size_t)(at - start);
    *ascii = classes == PLAIN;
    return *at == '"' ? at + 1 : NULL;
}

static outcome
json_number(record *self, const name *field, const byte **at)
{
    number read;
    const byte *end = scan_number(*at, &read, true);
    if (end == NULL) {
        return LEFT;
    }
    *at = end;
    if (field->kind == TIME) {
        return take_time(self, moment_of_number(&read, &self->moment));
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
        return TAKEN;
    }
    if (!put_name(self, field, WRITTEN_BYTES)) {
        return LEFT;
    }
    if (whole) {
        copy(self->at, read.text.at, read.text.size);
        self->at += read.text.size;
        return TAKEN;
    }
    return put_float(&self->at, &read);
}

static outcome
json_constant(record *self, const name *field, const byte **at, const byte *end)
{
    static const char *const all[] = {"true", "false", "null"};
    for (size_t each = 0; each < 3; each++) {
        slice text = {(const byte *)all[each], strlen(all[each])};
        if ((size_t)(end - *at) >= text.size && !memcmp(*at, text.at, text.size)) {
            *at += text.size;
            return take_constant(self, field, text);
        }
    }
    return LEFT;
}

static outcome
json_value(record *self, const name *field, const byte **at, const byte *end)
{
    if (**at == '"') {
        slice text;
        bool ascii;
        const byte *next = scan_text(*at + 1, &text, &ascii);
        if (next == NULL) {
            return LEFT;
        }
        *at = next;
        return take_text(self, field, text, ascii);
    }
    if (is_digit(**at) || **at == '-') {
        return json_number(self, field, at);
    }
    return json_constant(self, field, at, end);
}

static outcome
json_record(record *self, slice value)
{
    const byte *at = skip_space(value.at), *end = value.at + value.size;
    if (*at++ != '{') {
        return LEFT;
    }
    for (;;) {
        at = skip_space(at);
        if (*at++ != '"') {
            return LEFT;
        }
        outcome done = TAKEN;
        name *field = record_guess(self);
        if (field != NULL && (size_t)(end - at) > field->key_size && at[field->key_size] == '"' &&
            is_same(at, field->key, field->key_size)) {
            at += field->key_size + 1;
        }
        else {
            slice key;
            bool ascii;
            at = scan_text(at, &key, &ascii);
            done = at == NULL || !ascii ? LEFT : record_name(self, key, &field);
        }
        if (done == TAKEN) {
            done = record_enter(self, field);
        }
        if (done != TAKEN) {
            return done;
        }
        at = skip_space(at);
        if (*at++ != ':') {
            return LEFT;
        }
        at = skip_space(at);
        done = json_value(self, field, &at, end);
        if (done != TAKEN) {
            return done;
        }
        at = skip_space(at);
        if (*at == '}') {
            break;
        }
        if (*at++ != ',') {
            return LEFT;
        }
    }
    return skip_space(at + 1) == end ? TAKEN : LEFT;
}

#endif
