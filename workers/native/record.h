/* One record on its way to a line: what its fields become, whatever format they came in. */
#ifndef TOWER_RECORD_H
#define TOWER_RECORD_H

#include "heads.h"
#include "moment.h"
#include "names.h"

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
    PyObject *name_of; /* called with a new name: its prefix as bytes, or None */
    PyObject *head_of; /* called with the tags' values: the head as bytes, or None */
    byte *fields;      /* FIELDS_BYTES, and room for one number more */
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

/* Enter a field's name: each may come once. */
static inline outcome
record_enter(record *self, name *field)
{
    if (field->seen == self->memory->records || self->count >= self->memory->max_fields) {
        return LEFT;
    }
    field->seen = self->memory->records;
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

/* The head of the record's tags, from before or from the Python path. */
static outcome
record_head(memory *memory, slice *text)
{
    heads *heads = &memory->heads;
    if (!heads_key(heads, memory->tags, memory->tag_count)) {
        return LEFT;
    }
    head *found = heads->last;
    if (!heads_is(heads, found)) {
        found = heads_place(heads);
        if (!heads_is(heads, found)) {
            PyObject *values = PyTuple_New((Py_ssize_t)memory->tag_count);
            for (size_t each = 0; values != NULL && each < memory->tag_count; each++) {
                slice tag = memory->tags[each];
                PyObject *value = Py_NewRef(Py_None);
                if (tag.size) {
                    Py_DECREF(value);
                    value = PyUnicode_DecodeUTF8((const char *)tag.at, (Py_ssize_t)tag.size, "strict");
                }
                if (value == NULL) {
                    Py_CLEAR(values);
                    break;
                }
                PyTuple_SET_ITEM(values, (Py_ssize_t)each, value);
            }
            if (values == NULL) {
                if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                    return FAILED;
                }
                PyErr_Clear();
                return LEFT;
            }
            PyObject *made = PyObject_CallOneArg(memory->head_of, values);
            Py_DECREF(values);
            if (made == NULL) {
                return FAILED;
            }
            bool kept = false, known = PyBytes_CheckExact(made);
            if (known) {
                slice all = {(const byte *)PyBytes_AS_STRING(made), (size_t)PyBytes_GET_SIZE(made)};
                kept = heads_put(heads, found, all);
            }
            Py_DECREF(made);
            if (!kept) {
                return known ? FAILED : LEFT;
            }
        }
        heads->last = found;
    }
    text->at = found->key + found->key_size;
    text->size = found->text_size;
    return TAKEN;
}

/* Where a record stands in Kafka. */
typedef struct {
    int64_t partition;
    int64_t offset;
    bool timed;
    int64_t milliseconds;
} coordinates;

/* The finished line; `disbelieved` counts times too far from Kafka's. */
static outcome
record_line(record *self, const coordinates *place, PyObject **line, Py_ssize_t *disbelieved)
{
    memory *memory = self->memory;
    moment moment = {place->milliseconds * MILLISECOND, MILLISECOND};
    bool doubted = false;
    if (self->readable) {
        int64_t apart = place->timed ? self->moment.ns - moment.ns : 0;
        doubted = apart > memory->window || apart < -memory->window;
    }
    if (self->readable && !doubted) {
        moment = self->moment;
    }
    else if (!place->timed) {
        return LEFT;
    }
    size_t fields = (size_t)(self->at - memory->fields);
    if (fields == 0) {
        return LEFT;
    }
    slice head;
    outcome done = record_head(memory, &head);
    if (done != TAKEN) {
        return done;
    }
    /* What identity.py does for the first record of a message. */
    int64_t slots = moment.tick / (CLASSES * memory->partitions);
    int64_t slot = (place->offset % slots * memory->partitions + place->partition) * CLASSES;
    byte time[DIGITS];
    slot += moment.tick == SECOND ? 0 : 1;
    size_t digits = (size_t)(put_whole(time, (uint64_t)(moment.ns + slot)) - time);
    size_t size = head.size + fields + digits + 2;
    *line = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (*line == NULL) {
        return FAILED;
    }
    byte *at = (byte *)PyBytes_AS_STRING(*line);
    memcpy(at, head.at, head.size);
    at += head.size;
    *at++ = ' ';
    memcpy(at, memory->fields, fields);
    at += fields;
    *at++ = ' ';
    memcpy(at, time, digits);
    *disbelieved += doubted;
    return TAKEN;
}

#endif
