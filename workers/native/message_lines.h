/* Converts a message of one or several lines of line protocol. */
#ifndef TOWER_MESSAGE_LINES_H
#define TOWER_MESSAGE_LINES_H

#include "line_protocol.h"
#include "output.h"

/* The origin of one of several lines: workers.types.Origin, a tuple of message, index and bytes. */
static PyObject *
origin_of_line(const Kernel *self, PyObject *message, Py_ssize_t index, Slice text, PyObject *line)
{
    PyObject *number = PyLong_FromSsize_t(index);
    PyObject *raw = self->memory.line_tag_count
                        ? PyBytes_FromStringAndSize((const char *)text.at, (Py_ssize_t)text.size)
                        : Py_NewRef(line);
    PyObject *origin =
        number == NULL || raw == NULL ? NULL : self->origin_type->tp_alloc(self->origin_type, 3);
    if (origin == NULL) {
        Py_XDECREF(number);
        Py_XDECREF(raw);
        return NULL;
    }
    PyTuple_SET_ITEM(origin, 0, Py_NewRef(message));
    PyTuple_SET_ITEM(origin, 1, number);
    PyTuple_SET_ITEM(origin, 2, raw);
    return origin;
}

/* Check and append the line at `at`, which moves behind it. */
static Outcome
add_line(Kernel *self, PyObject *message, PyObject *value, const Coordinates *place, Output *output,
         const Byte **at, Py_ssize_t index)
{
    const Byte *end = (const Byte *)PyBytes_AS_STRING(value) + PyBytes_GET_SIZE(value);
    Slice text;
    int64_t time;
    PyObject *line;
    Outcome outcome = may_be_line(**at) ? line_check(&self->memory, *at, end, &text, &time) : LEFT;
    if (outcome == DONE) {
        outcome = line_as_sent(&self->memory, place, value, text, time, &line);
    }
    if (outcome != DONE) {
        return outcome;
    }
    *at += text.size;
    *at += *at < end;
    PyObject *origin =
        index == 0 && *at == end ? Py_NewRef(message) : origin_of_line(self, message, index, text, line);
    bool appended = origin != NULL && append_line(output, line, origin);
    Py_XDECREF(origin);
    Py_DECREF(line);
    return appended ? DONE : FAILED;
}

/* Whether a message may have more lines than are allowed: then none becomes a line, and so none may count
 * as a new series before. */
static bool
may_have_too_many_lines(const Byte *at, const Byte *end)
{
    size_t count = 0;
    if (end - at < MOST_LINES * LEAST_LINE_BYTES) {
        return false;
    }
    while (count < MOST_LINES && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        count++;
    }
    return count == MOST_LINES;
}

/* Append the lines of a message: all or none. `count` is their number. */
static Py_NO_INLINE Outcome
add_lines(Kernel *self, PyObject *message, PyObject *value, const Coordinates *place, Output *output,
          Py_ssize_t *count)
{
    const Byte *at = (const Byte *)PyBytes_AS_STRING(value), *end = at + PyBytes_GET_SIZE(value);
    Py_ssize_t kept = PyList_GET_SIZE(output->lines), size = output->size;
    Outcome outcome = may_have_too_many_lines(at, end) ? LEFT : DONE;
    for (*count = 0; outcome == DONE && at < end; ++*count) {
        outcome = add_line(self, message, value, place, output, &at, *count);
    }
    if (outcome != DONE) {
        keep_lines(output, kept);
        output->size = size;
    }
    return outcome;
}

#endif
