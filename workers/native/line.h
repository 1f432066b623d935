/* The finished line of a record: head, fields and time. */
#ifndef TOWER_LINE_H
#define TOWER_LINE_H

#include "record.h"

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
            PyObject *made = PyObject_CallOneArg(memory->series_of, values);
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
    /* What workers/records/point_time.py does for the first record of a message. */
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
