/* Converts one message, and counts it for its partition. */
#ifndef TOWER_CONVERT_H
#define TOWER_CONVERT_H

#include "json.h"
#include "line_protocol.h"
#include "message_access.h"
#include "msgpack.h"

/* The messages of one partition that are converted but not yet in the batch's counts. */
typedef struct {
    PyObject *topic;
    PyObject *partition; /* workers.types.Partition, the key of the batch's counts */
    int64_t next_offset;
    int64_t count;
} Account;

typedef struct {
    PyObject_HEAD Memory memory;
    MessageAccess access;
    bool json, msgpack, line;
    Py_ssize_t max_bytes;
    PyObject *partition_type;
    Account *accounts; /* by partition number, PARTITIONS of them */
    int64_t *touched;  /* numbers of the partitions whose account is not empty */
    size_t touched_count;
    Py_buffer mark; /* gets partition and offset of each record before it is converted, if there is one */
    bool begun, ready, busy;
} Kernel;

/* What one call of `convert` fills and counts. */
typedef struct {
    PyObject *lines, *origins, *next_offsets, *records;
    Py_ssize_t size, omitted, times[TIME_COUNTS];
} Output;

/* Add the accounts to the batch's counts. */
static bool
flush(Kernel *self, const Output *output)
{
    for (size_t index = 0; index < self->touched_count; index++) {
        Account *account = &self->accounts[self->touched[index]];
        if (account->count == 0) {
            continue;
        }
        PyObject *old = PyDict_GetItemWithError(output->records, account->partition);
        if (old == NULL && PyErr_Occurred()) {
            return false;
        }
        PyObject *next_offset = PyLong_FromLongLong(account->next_offset);
        PyObject *count = PyLong_FromLongLong(account->count);
        PyObject *sum = count == NULL ? NULL : old == NULL ? Py_NewRef(count) : PyNumber_Add(old, count);
        bool is_stored = next_offset != NULL && sum != NULL &&
                         PyDict_SetItem(output->next_offsets, account->partition, next_offset) == 0 &&
                         PyDict_SetItem(output->records, account->partition, sum) == 0;
        Py_XDECREF(next_offset);
        Py_XDECREF(count);
        Py_XDECREF(sum);
        if (!is_stored) {
            return false;
        }
        account->count = 0;
    }
    self->touched_count = 0;
    return true;
}

/* Find the account of a message's partition. */
static Outcome
find_account(Kernel *self, PyObject *message, int64_t number, const Output *output, Account **result)
{
    Account *account = *result = &self->accounts[number];
    PyObject *topic = call(&self->access, message, TOPIC);
    if (topic == NULL) {
        return FAILED;
    }
    if (!PyUnicode_CheckExact(topic)) {
        Py_DECREF(topic);
        return LEFT;
    }
    if (account->topic != NULL && (account->topic == topic || !PyUnicode_Compare(account->topic, topic))) {
        Py_DECREF(topic);
        return DONE;
    }
    if (account->count && !flush(self, output)) {
        Py_DECREF(topic);
        return FAILED;
    }
    PyObject *partition = PyObject_CallFunction(self->partition_type, "OL", topic, (long long)number);
    if (partition == NULL) {
        Py_DECREF(topic);
        return FAILED;
    }
    Py_XSETREF(account->topic, topic);
    Py_XSETREF(account->partition, partition);
    return DONE;
}

static Outcome
read_record(Kernel *self, Record *record, Slice value)
{
    Byte first = *value.at;
    if (self->msgpack && is_map(first)) {
        return msgpack_record(record, value);
    }
    return self->json ? json_record(record, value) : LEFT;
}

/* Append a line and its message: both or none. */
static bool
append_line(Output *output, PyObject *line, PyObject *message)
{
    if (PyList_Append(output->lines, line) < 0) {
        return false;
    }
    if (PyList_Append(output->origins, message) < 0) {
        Py_ssize_t count = PyList_GET_SIZE(output->lines);
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        PyList_SetSlice(output->lines, count - 1, count, NULL);
        PyErr_Restore(type, error, traceback);
        return false;
    }
    output->size += PyBytes_GET_SIZE(line) + 1;
    return true;
}

/* Convert one message's value to a line. */
static Outcome
convert_value(Kernel *self, PyObject *message, PyObject *value, Coordinates place, Output *output)
{
    Record record;
    Slice bytes = {(const Byte *)PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value)};
    Slice sent;
    int64_t time;
    bool is_line = self->line && may_be_line(*bytes.at);
    Outcome outcome;
    if (is_line) {
        outcome = line_check(&self->memory, bytes, &sent, &time);
    }
    else {
        record_begin(&record, &self->memory);
        outcome = read_record(self, &record, bytes);
    }
    if (outcome == DONE) {
        outcome = call_for_timestamp(&self->access, message, &place.timed, &place.milliseconds);
    }
    if (outcome != DONE) {
        return outcome;
    }
    if (place.partition < 0 || place.partition >= PARTITIONS || place.offset < 0 ||
        place.offset == INT64_MAX || place.milliseconds > LATEST / MILLISECOND) {
        return LEFT;
    }
    Account *account;
    outcome = find_account(self, message, place.partition, output, &account);
    if (outcome != DONE) {
        return outcome;
    }
    PyObject *line;
    outcome = is_line ? line_as_sent(&self->memory, &place, value, sent, time, &line)
                      : record_line(&record, &place, &line, output->times);
    if (outcome != DONE) {
        return outcome;
    }
    bool appended = append_line(output, line, message);
    Py_DECREF(line);
    if (!appended) {
        return FAILED;
    }
    if (account->count++ == 0) {
        self->touched[self->touched_count++] = place.partition;
    }
    account->next_offset = place.offset + 1;
    output->omitted += is_line ? 0 : (Py_ssize_t)record.omitted;
    return DONE;
}

static Outcome
convert_message(Kernel *self, PyObject *message, Output *output)
{
    if (Py_TYPE(message) != self->access.type && !access_learn(&self->access, Py_TYPE(message))) {
        return FAILED;
    }
    Coordinates place = {0};
    Outcome outcome = call_for_number(&self->access, message, PARTITION, &place.partition);
    if (outcome == DONE) {
        outcome = call_for_number(&self->access, message, OFFSET, &place.offset);
    }
    if (outcome != DONE) {
        return outcome;
    }
    if (self->mark.buf != NULL) {
        /* If this record ends the process, the next one finds its place here. */
        memcpy(self->mark.buf, &place.partition, sizeof(int64_t));
        memcpy((Byte *)self->mark.buf + sizeof(int64_t), &place.offset, sizeof(int64_t));
    }
    PyObject *value = call(&self->access, message, VALUE);
    if (value == NULL) {
        return FAILED;
    }
    outcome = LEFT;
    if (PyBytes_CheckExact(value) && PyBytes_GET_SIZE(value) <= self->max_bytes) {
        outcome = convert_value(self, message, value, place, output);
    }
    Py_DECREF(value);
    return outcome;
}

#endif
