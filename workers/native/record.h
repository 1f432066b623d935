/* Converts the fields of one record to text, for all formats. */
#ifndef TOWER_RECORD_H
#define TOWER_RECORD_H

#include "series.h"
#include "point_time.h"
#include "fields.h"
#include "line_layout.h"

/* Most bytes of a line's fields. Longer lines are left to the Python path. */
#define FIELDS_TEXT_BYTES 65536

/* Number of fields whose order is kept for the next record, which usually has the same. */
#define SHAPE 64

/* Room for one whole number. */
#define DIGITS 24

/* The settings, and the caches that last from one record to the next. */
typedef struct {
    FieldTable fields;
    SeriesCache series;
    uint16_t shape[SHAPE]; /* index of each field of the previous record, KEPT_FIELDS for none */
    size_t tag_count;
    size_t max_fields;
    size_t max_key;
    size_t max_tag;
    size_t max_text;
    int64_t window;      /* nanoseconds */
    bool keep_own;       /* a record's own time is the point's */
    bool keep_fine;      /* one with digits below the millisecond is */
    bool read_texts;     /* times that are text are read here */
    bool read_local;     /* local times without a zone are UTC */
    PyObject *name_of;   /* called with a new name; returns its prefix as bytes, or None */
    PyObject *series_of; /* called with tag values; returns the series as bytes, or None */
    /* Called with a series, None if it is counted, and a list of names that are not; returns whether their
     * record becomes a line. */
    PyObject *admit;
    Byte *fields_text; /* FIELDS_TEXT_BYTES, and PADDED_BYTES to copy to */
    Slice *tags;
    Byte *tag_digits; /* DIGITS bytes for each tag, for tags that are numbers */
    SeenName seen[SEEN_NAMES];
    Layout *layouts; /* LAYOUTS, by series */
    Layout *layout;  /* of the line in hand */
    Slice line_series;
    LineTag *line_tags; /* by their names */
    size_t line_tag_count;
    size_t line_tags_bytes;                /* of all their texts */
    PyObject *line_tags_kept;              /* the texts */
    Byte *tagged_series;                   /* MOST_KEY_BYTES, if there are constant tags */
    uint64_t line_hash;                    /* of the series and the names of the line in hand */
    uint64_t counted_lines[COUNTED_LINES]; /* such hashes whose series and names are counted */
    uint64_t records;
} Memory;

/* The record that is being converted. */
typedef struct {
    Memory *memory;
    Byte *at; /* end of the fields written so far */
    size_t count;
    size_t omitted;
    bool unreadable; /* its time field holds no time */
    bool fresh;      /* it has a value with a name that is not counted */
    bool timed;      /* it has a time field */
    bool readable;   /* that can be read */
    Timestamp timestamp;
} Record;

static void
record_begin(Record *self, Memory *memory)
{
    if (memory->fields.full) {
        fields_forget(&memory->fields);
        for (size_t index = 0; index < SHAPE; index++) {
            memory->shape[index] = KEPT_FIELDS;
        }
    }
    memory->records++;
    for (size_t index = 0; index < memory->tag_count; index++) {
        memory->tags[index].size = 0;
    }
    *self = (Record){.memory = memory, .at = memory->fields_text};
}

/* Add a field with a new name to the table. */
static Outcome
record_learn(Memory *memory, Slice key, Field **field)
{
    PyObject *prefix = PyObject_CallFunction(memory->name_of, "s#", key.at, (Py_ssize_t)key.size);
    if (prefix == NULL) {
        return FAILED;
    }
    if (PyBytes_CheckExact(prefix)) {
        Slice text = {(const Byte *)PyBytes_AS_STRING(prefix), (size_t)PyBytes_GET_SIZE(prefix)};
        *field = fields_add(&memory->fields, key, text, OTHER, 0);
    }
    Py_DECREF(prefix);
    return *field != NULL ? DONE : PyErr_Occurred() ? FAILED : LEFT;
}

/* Find the next field by its name, which is plain ASCII, or add it to the table. */
static Outcome
record_find(Record *self, Slice key, Field **field)
{
    Memory *memory = self->memory;
    size_t place;
    *field = fields_find(&memory->fields, key, hash_of(key), &place);
    if (*field == NULL) {
        if (key.size == 0 || key.size > FIELD_NAME_BYTES) {
            return LEFT;
        }
        Outcome outcome = record_learn(memory, key, field);
        if (outcome != DONE) {
            return outcome;
        }
    }
    if (self->count < SHAPE) {
        memory->shape[self->count] = (uint16_t)(*field - memory->fields.kept);
    }
    return DONE;
}

/* The field at this place of the previous record, NULL if there was none. */
static inline Field *
record_guess(const Record *self)
{
    const Memory *memory = self->memory;
    if (self->count >= SHAPE || memory->shape[self->count] >= memory->fields.count) {
        return NULL;
    }
    return &memory->fields.kept[memory->shape[self->count]];
}

/* Count a field in: LEFT if the record has had one of its group already, or has too many fields. */
static inline Outcome
record_enter(Record *self, const Field *field)
{
    uint64_t *seen = &self->memory->fields.kept[field->group].seen;
    if (*seen == self->memory->records || self->count >= self->memory->max_fields) {
        return LEFT;
    }
    *seen = self->memory->records;
    self->count++;
    return DONE;
}

/* Write a field's name. False if the line becomes too long with a value of `size` bytes. */
static inline bool
put_name(Record *self, const Field *field, size_t size)
{
    if (!field->counted) {
        self->fresh = true;
        self->memory->fields.kept[field - self->memory->fields.kept].valued = self->memory->records;
    }
    Byte *start = self->memory->fields_text;
    if ((size_t)(self->at - start) + field->prefix_size + size + 3 > FIELDS_TEXT_BYTES) {
        return false;
    }
    if (self->at != start) {
        *self->at++ = ',';
    }
    copy_padded(self->at, field->prefix, field->prefix_size);
    self->at += field->prefix_size;
    return true;
}

static Outcome
add_time(Record *self, Reading read)
{
    if (self->timed) {
        /* Two time fields: the Python path decides which one counts. */
        return LEFT;
    }
    self->timed = true;
    self->readable = read == READ;
    self->unreadable = read == UNREADABLE;
    if (read == READ && self->timestamp.local && !self->memory->read_local) {
        return LEFT;
    }
    return read == BROKEN ? FAILED : read == UNDECIDED ? LEFT : DONE;
}

/* Add a number that was sent as text. */
static Outcome
add_text_number(Record *self, const Field *field, Slice text)
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
        return DONE;
    }
    Number read;
    if (!number_of_text(text, &read)) {
        return LEFT;
    }
    return put_float(&self->at, &read);
}

static Outcome
add_text(Record *self, const Field *field, Slice text, bool ascii)
{
    Memory *memory = self->memory;
    Timestamp *timestamp = &self->timestamp;
    switch ((Kind)field->kind) {
    case NUMBER: {
        Slice bare = strip(text);
        if (bare.size == 0 || (*bare.at >= 'A' && *bare.at <= 'z')) {
            /* `No Such Instance`: no number begins with a letter. */
            self->omitted++;
            return ascii ? DONE : LEFT;
        }
        return ascii ? add_text_number(self, field, text) : LEFT;
    }
    case TAG:
        if (text.size > memory->max_tag) {
            return LEFT;
        }
        memory->tags[field->tag] = text;
        return DONE;
    case TIME:
        return ascii && memory->read_texts ? add_time(self, timestamp_of_text(text, timestamp)) : LEFT;
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
    return ascii ? DONE : check_utf8(text);
}

/* Add null, true or false. */
static Outcome
add_constant(Record *self, const Field *field, Slice text)
{
    bool null = *text.at == 'n';
    switch ((Kind)field->kind) {
    case TAG:
        return null ? DONE : LEFT;
    case TIME:
        return add_time(self, UNREADABLE);
    case NUMBER:
        self->omitted++;
        return DONE;
    case OTHER:
        break;
    }
    if (null) {
        self->omitted++;
        return DONE;
    }
    if (!put_name(self, field, text.size)) {
        return LEFT;
    }
    copy(self->at, text.at, text.size);
    self->at += text.size;
    return DONE;
}

#endif
