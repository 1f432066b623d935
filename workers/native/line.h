/* The line of a record: series, fields and time. */
#ifndef TOWER_LINE_H
#define TOWER_LINE_H

#include "record.h"

/* The values of the record's tags as a tuple of str, None for a tag it does not have. NULL with an
 * exception set: UnicodeDecodeError if a value is no UTF-8. */
static PyObject *
tag_values(const Memory *memory)
{
    PyObject *values = PyTuple_New((Py_ssize_t)memory->tag_count);
    for (size_t index = 0; values != NULL && index < memory->tag_count; index++) {
        Slice tag = memory->tags[index];
        PyObject *value = tag.size == 0
                              ? Py_NewRef(Py_None)
                              : PyUnicode_DecodeUTF8((const char *)tag.at, (Py_ssize_t)tag.size, "strict");
        if (value == NULL) {
            Py_CLEAR(values);
            break;
        }
        PyTuple_SET_ITEM(values, (Py_ssize_t)index, value);
    }
    return values;
}

/* Get the series of the record's tags from the Python path, and store it at the key's place. */
static Outcome
series_learn(Memory *memory, Series *place)
{
    PyObject *values = tag_values(memory);
    if (values == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
            return FAILED;
        }
        PyErr_Clear();
        return LEFT;
    }
    PyObject *text = PyObject_CallOneArg(memory->series_of, values);
    Py_DECREF(values);
    if (text == NULL) {
        return FAILED;
    }
    Outcome outcome = LEFT;
    if (PyBytes_CheckExact(text)) {
        Slice bytes = {(const Byte *)PyBytes_AS_STRING(text), (size_t)PyBytes_GET_SIZE(text)};
        outcome = series_put(&memory->series, place, bytes) ? DONE : FAILED;
    }
    Py_DECREF(text);
    return outcome;
}

/* The series of the record's tags, from the cache or from the Python path. */
static Outcome
record_series(Memory *memory, Slice *text)
{
    SeriesCache *cache = &memory->series;
    if (!series_set_key(cache, memory->tags, memory->tag_count)) {
        return LEFT;
    }
    if (!series_has_key(cache, cache->last)) {
        Series *place = series_place(cache);
        if (!series_has_key(cache, place)) {
            Outcome outcome = series_learn(memory, place);
            if (outcome != DONE) {
                return outcome;
            }
        }
        cache->last = place;
    }
    text->at = cache->last->key + cache->last->key_size;
    text->size = cache->last->text_size;
    return DONE;
}

/* Names of the record in hand that are not counted and have a value, as a list. */
static PyObject *
fresh_names(const Memory *memory)
{
    PyObject *names = PyList_New(0);
    for (size_t index = 0; names != NULL && index < memory->fields.count; index++) {
        const Field *field = &memory->fields.kept[index];
        if (field->counted || field->valued != memory->records) {
            continue;
        }
        PyObject *name = PyBytes_FromStringAndSize((const char *)field->prefix, field->prefix_size);
        if (name == NULL || PyList_Append(names, name) < 0) {
            Py_CLEAR(names);
        }
        Py_XDECREF(name);
    }
    return names;
}

/* Let the Python path count a series and names. Takes both references, of which one may be NULL. */
static Outcome
call_admit(Memory *memory, PyObject *series, PyObject *names)
{
    PyObject *answer = series == NULL || names == NULL
                           ? NULL
                           : PyObject_CallFunctionObjArgs(memory->admit, series, names, NULL);
    Py_XDECREF(series);
    Py_XDECREF(names);
    Outcome outcome = answer == NULL ? FAILED : answer == Py_True ? DONE : LEFT;
    Py_XDECREF(answer);
    return outcome;
}

/* Let the Python path count what is new with this record. LEFT if there are too many already. */
static Outcome
record_admit(const Record *self)
{
    Memory *memory = self->memory;
    Series *series = memory->series.last;
    if (!self->fresh && series->counted) {
        return DONE;
    }
    PyObject *text =
        series->counted
            ? Py_NewRef(Py_None)
            : PyBytes_FromStringAndSize((const char *)series->key + series->key_size, series->text_size);
    Outcome outcome = call_admit(memory, text, fresh_names(memory));
    if (outcome != DONE) {
        return outcome;
    }
    series->counted = true;
    for (size_t index = 0; index < memory->fields.count; index++) {
        Field *field = &memory->fields.kept[index];
        field->counted = field->counted || field->valued == memory->records;
    }
    return DONE;
}

/* A record's place in Kafka, and Kafka's time of its message. */
typedef struct {
    int64_t partition;
    int64_t offset;
    bool timed; /* whether the message has a timestamp */
    int64_t milliseconds;
} Coordinates;

/* What was wrong with times, in the order of PROBLEMS in workers/records/record_time.py. */
typedef enum {
    TIME_UNREADABLE,
    TIME_IMPLAUSIBLE,
    TIME_OUTSIDE,
    KAFKA_IMPLAUSIBLE,
    LOCAL_AHEAD,
    TIME_COUNTS
} TimeCount;

/* As in workers/records/record_time.py. */
#define EARLIEST_PLAUSIBLE (INT64_C(946684800) * SECOND)
#define LATEST_PLAUSIBLE (INT64_C(4102444800) * SECOND)
#define ZONE_AHEAD (INT64_C(14) * 60 * SECOND)
#define FARTHEST_ZONE ((INT64_C(14) * 60 + 1) * 60 * SECOND)

static bool
is_plausible(int64_t ns)
{
    return ns >= EARLIEST_PLAUSIBLE && ns < LATEST_PLAUSIBLE;
}

/* Choose the record's time or Kafka's. Sets a bit in `counted` for each thing that was wrong. */
static Outcome
choose_time(const Record *self, const Coordinates *place, Timestamp *timestamp, bool *is_own,
            unsigned *counted)
{
    Timestamp kafka = {place->milliseconds * MILLISECOND, MILLISECOND, false};
    bool is_kafka_plausible = place->timed && is_plausible(kafka.ns);
    bool has_own = self->readable && is_plausible(self->timestamp.ns);
    *counted = (unsigned)self->unreadable << TIME_UNREADABLE |
               (unsigned)(self->readable && !has_own) << TIME_IMPLAUSIBLE |
               (unsigned)(place->timed && !is_kafka_plausible) << KAFKA_IMPLAUSIBLE;
    *is_own = has_own;
    if (has_own && is_kafka_plausible) {
        int64_t ahead = self->timestamp.ns - kafka.ns;
        *counted |= (unsigned)(self->timestamp.local && ahead > ZONE_AHEAD && ahead <= FARTHEST_ZONE)
                    << LOCAL_AHEAD;
        *is_own = ahead <= self->memory->window && ahead >= -self->memory->window;
        *counted |= (unsigned)!*is_own << TIME_OUTSIDE;
    }
    *timestamp = *is_own ? self->timestamp : kafka;
    /* Without a plausible time the Python path decides. */
    return *is_own || is_kafka_plausible ? DONE : LEFT;
}

/* The time of the point: see workers/records/point_time.py. */
static int64_t
point_time(const Memory *memory, const Coordinates *place, Timestamp timestamp, bool is_own)
{
    if (is_own && (memory->keep_own || (memory->keep_fine && timestamp.tick == NANOSECOND))) {
        return timestamp.ns;
    }
    int64_t tick = timestamp.tick == SECOND ? SECOND : MILLISECOND;
    /* Division by a constant is a multiplication. */
    int64_t below = tick == SECOND ? timestamp.ns % SECOND : timestamp.ns % MILLISECOND;
    return timestamp.ns - below + slot_of(tick, place->partition, place->offset, 0);
}

/* Build the line. `counts` has a number for each `TimeCount`. */
static Py_NO_INLINE Outcome
record_line(Record *self, const Coordinates *place, PyObject **line, Py_ssize_t *counts)
{
    Memory *memory = self->memory;
    Timestamp timestamp;
    bool is_own;
    unsigned counted;
    Outcome chosen = choose_time(self, place, &timestamp, &is_own, &counted);
    if (chosen != DONE) {
        return chosen;
    }
    size_t fields = (size_t)(self->at - memory->fields_text);
    if (fields == 0) {
        return LEFT;
    }
    Slice series;
    Outcome outcome = record_series(memory, &series);
    if (outcome == DONE) {
        outcome = record_admit(self);
    }
    if (outcome != DONE) {
        return outcome;
    }
    Byte time[DIGITS];
    size_t digits =
        (size_t)(put_whole(time, (uint64_t)point_time(memory, place, timestamp, is_own)) - time);
    size_t size = series.size + fields + digits + 2;
    *line = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (*line == NULL) {
        return FAILED;
    }
    Byte *at = (Byte *)PyBytes_AS_STRING(*line);
    memcpy(at, series.at, series.size);
    at += series.size;
    *at++ = ' ';
    memcpy(at, memory->fields_text, fields);
    at += fields;
    *at++ = ' ';
    memcpy(at, time, digits);
    for (unsigned index = 0; counted && index < TIME_COUNTS; index++) {
        counts[index] += counted >> index & 1;
    }
    return DONE;
}

#endif
