/* One record on its way to a line: what its fields become, whatever format they came in. */
#ifndef TOWER_RECORD_H
#define TOWER_RECORD_H

#include "series.h"
#include "timestamp.h"
#include "fields.h"

/* Bytes of fields a line may have; longer lines are made by the Python path. */
#define FIELDS_BYTES 65536

/* Fields whose order is remembered from one record to the next. */
#define SHAPE 64

/* Room for one whole number. */
#define DIGITS 24

/* The settings and what was learnt from records before. */
typedef struct {
    names names;
    heads heads;
    uint16_t shape[SHAPE]; /* the name at each place of the record before: an index, or NAMES for none */
    size_t tag_count;
    size_t max_fields;
    size_t max_tag;
    size_t max_text;
    int64_t window; /* nanoseconds */
    int64_t partitions;
    PyObject *name_of;   /* called with a new name: its prefix as bytes, or None */
    PyObject *series_of; /* called with the tags' values: the head as bytes, or None */
    byte *fields;        /* FIELDS_BYTES, and room for one number more */
    slice *tags;
    byte *tag_digits; /* DIGITS bytes for each tag, where it is a number */
    uint64_t records;
} memory;

/* The record in hand. */
typedef struct {
    memory *memory;
    byte *at; /* behind the fields written so far */
    size_t count;
    size_t left_out;
    bool timed;    /* it has a time field */
    bool readable; /* that can be read */
    moment moment;
} record;

static void
record_begin(record *self, memory *memory)
{
    if (memory->names.full) {
        names_forget(&memory->names);
        for (size_t each = 0; each < SHAPE; each++) {
            memory->shape[each] = NAMES;
        }
    }
    memory->records++;
    for (size_t each = 0; each < memory->tag_count; each++) {
        memory->tags[each].size = 0;
    }
    *self = (record){.memory = memory, .at = memory->fields};
}

/* Learn a name that was not met before. */
static outcome
record_learn(memory *memory, slice key, name **found)
{
    PyObject *prefix = PyObject_CallFunction(memory->name_of, "s#", key.at, (Py_ssize_t)key.size);
    if (prefix == NULL) {
        return FAILED;
    }
    if (PyBytes_CheckExact(prefix)) {
        slice text = {(const byte *)PyBytes_AS_STRING(prefix), (size_t)PyBytes_GET_SIZE(prefix)};
        *found = names_add(&memory->names, key, text, OTHER, 0);
    }
    Py_DECREF(prefix);
    return *found != NULL ? TAKEN : PyErr_Occurred() ? FAILED : LEFT;
}

/* Find the next field by its name, which is plain ASCII. */
static outcome
record_name(record *self, slice key, name **found)
{
    memory *memory = self->memory;
    size_t place;
    *found = names_find(&memory->names, key, hash_of(key), &place);
    if (*found == NULL) {
        if (key.size == 0 || key.size > NAME_BYTES) {
            return LEFT;
        }
        outcome done = record_learn(memory, key, found);
        if (done != TAKEN) {
            return done;
        }
    }
    if (self->count < SHAPE) {
        memory->shape[self->count] = (uint16_t)(*found - memory->names.kept);
    }
    return TAKEN;
}

/* The name that stood here in the record before, NULL where there was none. */
static inline name *
record_guess(const record *self)
{
    const memory *memory = self->memory;
    if (self->count >= SHAPE || memory->shape[self->count] >= memory->names.count) {
        return NULL;
    }
    return &memory->names.kept[memory->shape[self->count]];
}

/* Enter a field's name: each may come once, and of names that may become one name only one. */
static inline outcome
record_enter(record *self, const name *field)
{
    uint64_t *seen = &self->memory->names.kept[field->group].seen;
    if (*seen == self->memory->records || self->count >= self->memory->max_fields) {
        return LEFT;
    }
    *seen = self->memory->records;
    self->count++;
    return TAKEN;
}

/* Write a field's name; false where the line grows too long. `size` is that of the value to come. */
static inline bool
put_name(record *self, const name *field, size_t size)
{
    byte *start = self->memory->fields;
    if ((size_t)(self->at - start) + field->prefix_size + size + 3 > FIELDS_BYTES) {
        return false;
    }
    if (self->at != start) {
        *self->at++ = ',';
    }
    copy(self->at, field->prefix, field->prefix_size);
    self->at += field->prefix_size;
    return true;
}

static outcome
take_time(record *self, reading read)
{
    if (self->timed) {
        /* Two fields that may tell the time: which one counts is not decided here. */
        return LEFT;
    }
    self->timed = true;
    self->readable = read == READ;
    self->left_out += read == UNREADABLE;
    return read == BROKEN ? FAILED : read == UNDECIDED ? LEFT : TAKEN;
}

/* A number sent as text. */
static outcome
take_text_number(record *self, const name *field, slice text)
{
    text = strip(text);
    size_t digits = 0;
    while (digits < text.size && is_digit(text.at[digits])) {
        digits++;
    }
    if (!put_name(self, field, WRITTEN_BYTES)) {
        return LEFT;
    }
    if (digits == text.size && digits > 0 && digits <= EXACT_DIGITS) {
        while (text.size > 1 && *text.at == '0') {
            text.at++;
            text.size--;
        }
        copy(self->at, text.at, text.size);
        self->at += text.size;
        return TAKEN;
    }
    number read;
    if (!number_of_text(text, &read)) {
        return LEFT;
    }
    return put_float(&self->at, &read);
}

static outcome
take_text(record *self, const name *field, slice text, bool ascii)
{
    memory *memory = self->memory;
    moment *moment = &self->moment;
    switch ((kind)field->kind) {
    case NUMBER: {
        slice bare = strip(text);
        if (bare.size == 0 || (*bare.at >= 'A' && *bare.at <= 'z')) {
            /* `No Such Instance`: no number begins with a letter. */
            self->left_out++;
            return ascii ? TAKEN : LEFT;
        }
        return ascii ? take_text_number(self, field, text) : LEFT;
    }
    case TAG:
        if (text.size > memory->max_tag) {
            return LEFT;
        }
        memory->tags[field->tag] = text;
        return TAKEN;
    case TIME:
        return ascii ? take_time(self, moment_of_text(text, moment)) : LEFT;
    case OTHER:
        break;
    }
    if (text.size > memory->max_text || !put_name(self, field, text.size + 2)) {
        return LEFT;
    }
    *self->at++ = '"';
    copy(self->at, text.at, text.size);
    self->at += text.size;
    *self->at++ = '"';
    return ascii ? TAKEN : check_utf8(text);
}

/* null, true or false. */
static outcome
take_constant(record *self, const name *field, slice text)
{
    bool null = *text.at == 'n';
    switch ((kind)field->kind) {
    case TAG:
        return null ? TAKEN : LEFT;
    case TIME:
        return take_time(self, UNREADABLE);
    case NUMBER:
        self->left_out++;
        return TAKEN;
    case OTHER:
        break;
    }
    if (null) {
        self->left_out++;
        return TAKEN;
    }
    if (!put_name(self, field, text.size)) {
        return LEFT;
    }
    copy(self->at, text.at, text.size);
    self->at += text.size;
    return TAKEN;
}

#endif
