/* The way of one message through the kernel, and the accounts of its partition. */
#ifndef TOWER_CONVERT_H
#define TOWER_CONVERT_H

#include "json.h"
#include "line.h"
#include "message_access.h"
#include "msgpack.h"

/* Records of one partition since the last flush. */
typedef struct {
    PyObject *topic;
    PyObject *partition; /* workers.types.Partition, the key of the accounts */
    int64_t end;
    int64_t count;
} account;

typedef struct {
    PyObject_HEAD memory memory;
    questions questions;
    bool json, msgpack;
    Py_ssize_t largest;
    PyObject *partition_type;
    account *accounts; /* by number of the partition */
    int64_t *touched;  /* numbers whose account is not empty */
    size_t touched_count;
    bool begun, ready, busy;
} Kernel;

/* What one call is given and adds up. */
typedef struct {
    PyObject *lines, *origins, *ends, *records;
    Py_ssize_t size, left_out, disbelieved;
} tally;

/* Enter what is counted into the batch's own accounts. */
static bool
flush(Kernel *self, const tally *tally)
{
    for (size_t each = 0; each < self->touched_count; each++) {
        account *account = &self->accounts[self->touched[each]];
        if (account->count == 0) {
            continue;
        }
        PyObject *old = PyDict_GetItemWithError(tally->records, account->partition);
        if (old == NULL && PyErr_Occurred()) {
            return false;
        }
        PyObject *end = PyLong_FromLongLong(account->end);
        PyObject *count = PyLong_FromLongLong(account->count);
        PyObject *sum = count == NULL ? NULL : old == NULL ? Py_NewRef(count) : PyNumber_Add(old, count);
        bool done = end != NULL && sum != NULL &&
                    PyDict_SetItem(tally->ends, account->partition, end) == 0 &&
                    PyDict_SetItem(tally->records, account->partition, sum) == 0;
        Py_XDECREF(end);
        Py_XDECREF(count);
        Py_XDECREF(sum);
        if (!done) {
            return false;
        }
        account->count = 0;
    }
    self->touched_count = 0;
    return true;
}

/* Find the account of a message's partition, ready to count in. */
static outcome
find_account(Kernel *self, PyObject *message, int64_t number, const tally *tally, account **found)
{
    account *account = *found = &self->accounts[number];
    PyObject *topic = ask(&self->questions, message, TOPIC);
    if (topic == NULL) {
        return FAILED;
    }
    if (!PyUnicode_CheckExact(topic)) {
        Py_DECREF(topic);
        return LEFT;
    }
    if (account->topic != NULL && (account->topic == topic || !PyUnicode_Compare(account->topic, topic))) {
        Py_DECREF(topic);
        return TAKEN;
    }
    if (account->count && !flush(self, tally)) {
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
    return TAKEN;
}

static outcome
read_record(Kernel *self, record *record, slice value)
{
    byte first = *value.at;
    if (self->msgpack && is_map(first)) {
        return msgpack_record(record, value);
    }
    return self->json ? json_record(record, value) : LEFT;
}

/* Append a line and where it came from: both or none. */
static bool
keep(tally *tally, PyObject *line, PyObject *message)
{
    if (PyList_Append(tally->lines, line) < 0) {
        return false;
    }
    if (PyList_Append(tally->origins, message) < 0) {
        Py_ssize_t count = PyList_GET_SIZE(tally->lines);
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        PyList_SetSlice(tally->lines, count - 1, count, NULL);
        PyErr_Restore(type, error, traceback);
        return false;
    }
    tally->size += PyBytes_GET_SIZE(line) + 1;
    return true;
}

/* Make the line of one message's value. */
static outcome
take_value(Kernel *self, PyObject *message, PyObject *value, tally *tally)
{
    coordinates place = {0};
    record record;
    slice bytes = {(const byte *)PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value)};
    record_begin(&record, &self->memory);
    outcome done = read_record(self, &record, bytes);
    if (done == TAKEN) {
        done = ask_number(&self->questions, message, PARTITION, &place.partition);
    }
    if (done == TAKEN) {
        done = ask_number(&self->questions, message, OFFSET, &place.offset);
    }
    if (done == TAKEN) {
        done = ask_timestamp(&self->questions, message, &place.timed, &place.milliseconds);
    }
    if (done != TAKEN) {
        return done;
    }
    if (place.partition < 0 || place.partition >= self->memory.partitions || place.offset < 0 ||
        place.offset == INT64_MAX || place.milliseconds < 0 || place.milliseconds > LATEST / MILLISECOND) {
        return LEFT;
    }
    account *account;
    done = find_account(self, message, place.partition, tally, &account);
    if (done != TAKEN) {
        return done;
    }
    PyObject *line;
    done = record_line(&record, &place, &line, &tally->disbelieved);
    if (done != TAKEN) {
        return done;
    }
    bool kept = keep(tally, line, message);
    Py_DECREF(line);
    if (!kept) {
        return FAILED;
    }
    if (account->count++ == 0) {
        self->touched[self->touched_count++] = place.partition;
    }
    account->end = place.offset + 1;
    tally->left_out += (Py_ssize_t)record.left_out;
    return TAKEN;
}

static outcome
take_message(Kernel *self, PyObject *message, tally *tally)
{
    if (Py_TYPE(message) != self->questions.type && !questions_learn(&self->questions, Py_TYPE(message))) {
        return FAILED;
    }
    PyObject *value = ask(&self->questions, message, VALUE);
    if (value == NULL) {
        return FAILED;
    }
    outcome done = LEFT;
    if (PyBytes_CheckExact(value) && PyBytes_GET_SIZE(value) <= self->largest) {
        done = take_value(self, message, value, tally);
    }
    Py_DECREF(value);
    return done;
}

#endif
