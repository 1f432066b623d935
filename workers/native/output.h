/* What the messages of one call become: lines with their origins, and counts by partition. */
#ifndef TOWER_OUTPUT_H
#define TOWER_OUTPUT_H

#include "line.h"
#include "message_access.h"

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
    PyTypeObject *origin_type;
    Account *accounts; /* by partition number, PARTITIONS of them */
    int64_t *touched;  /* numbers of the partitions whose account is not empty */
    size_t touched_count;
    Py_buffer mark; /* gets partition and offset of each record before it is converted, if there is one */
    bool begun, ready, busy;
} Kernel;

/* What one call of `convert` fills and counts. */
typedef struct {
    PyObject *lines, *origins, *next_offsets, *records;
    Py_ssize_t size, omitted, converted, times[TIME_COUNTS];
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

/* Remove the items behind the first `count`. Unlike PyList_SetSlice, this needs no memory and so cannot
 * fail: lines and origins never come apart. */
static void
keep_items(PyObject *list, Py_ssize_t count)
{
    while (PyList_GET_SIZE(list) > count) {
        Py_ssize_t last = PyList_GET_SIZE(list) - 1;
        PyObject *item = PyList_GET_ITEM(list, last);
        Py_SET_SIZE(list, last);
        Py_DECREF(item);
    }
}

/* Remove the lines behind the first `count` and their origins. */
static void
keep_lines(Output *output, Py_ssize_t count)
{
    keep_items(output->lines, count);
    keep_items(output->origins, count);
}

/* Append a line and its origin: both or none. */
static bool
append_line(Output *output, PyObject *line, PyObject *origin)
{
    if (PyList_Append(output->lines, line) < 0) {
        return false;
    }
    if (PyList_Append(output->origins, origin) < 0) {
        keep_lines(output, PyList_GET_SIZE(output->lines) - 1);
        return false;
    }
    output->size += PyBytes_GET_SIZE(line) + 1;
    return true;
}

#endif
