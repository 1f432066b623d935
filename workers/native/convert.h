/* Converts one message, and counts it for its partition. */
#ifndef TOWER_CONVERT_H
#define TOWER_CONVERT_H

#include "json.h"
#include "message_lines.h"
#include "msgpack.h"

static Outcome
read_record(Kernel *self, Record *record, Slice value)
{
    Byte first = *value.at;
    if (self->msgpack && is_map(first)) {
        return msgpack_record(record, value);
    }
    return self->json ? json_record(record, value) : LEFT;
}

/* Get Kafka's time of a message, and check its place in Kafka. */
static Outcome
locate(Kernel *self, PyObject *message, Coordinates *place)
{
    Outcome outcome = call_for_timestamp(&self->access, message, &place->timed, &place->milliseconds);
    if (outcome != DONE) {
        return outcome;
    }
    bool is_odd = place->partition < 0 || place->partition >= PARTITIONS || place->offset < 0 ||
                  place->offset == INT64_MAX || place->milliseconds > LATEST / MILLISECOND;
    return is_odd ? LEFT : DONE;
}

/* Append the line of a record that was read. */
static Outcome
add_record(Record *record, PyObject *message, const Coordinates *place, Output *output)
{
    PyObject *line;
    Outcome outcome = record_line(record, place, &line, output->times);
    if (outcome != DONE) {
        return outcome;
    }
    bool appended = append_line(output, line, message);
    Py_DECREF(line);
    output->omitted += appended ? (Py_ssize_t)record->omitted : 0;
    return appended ? DONE : FAILED;
}

/* Convert one message's value to its lines. */
static Outcome
convert_value(Kernel *self, PyObject *message, PyObject *value, Coordinates *place, Output *output)
{
    Record record;
    Account *account;
    Py_ssize_t count = 1;
    Slice bytes = {(const Byte *)PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value)};
    bool is_line = self->line && may_be_line(*bytes.at);
    Outcome outcome = DONE;
    if (!is_line) {
        record_begin(&record, &self->memory);
        outcome = read_record(self, &record, bytes);
    }
    if (outcome == DONE) {
        outcome = locate(self, message, place);
    }
    if (outcome == DONE) {
        outcome = find_account(self, message, place->partition, output, &account);
    }
    if (outcome == DONE) {
        outcome = is_line ? add_lines(self, message, value, place, output, &count)
                          : add_record(&record, message, place, output);
    }
    if (outcome != DONE) {
        return outcome;
    }
    if (account->count == 0) {
        self->touched[self->touched_count++] = place->partition;
    }
    account->count += count;
    account->next_offset = place->offset + 1;
    output->converted += count;
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
        outcome = convert_value(self, message, value, &place, output);
    }
    Py_DECREF(value);
    return outcome;
}

#endif
