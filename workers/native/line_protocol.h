/* Checks a line of line protocol that has a time and nothing unusual, and keeps its bytes.
 *
 * workers/records/line_protocol.py says what a line means. Backslashes outside strings, control characters,
 * tags that are not in order, exponents above 99 and lines without a time are left to it. */
#ifndef TOWER_LINE_PROTOCOL_H
#define TOWER_LINE_PROTOCOL_H

#include "line.h"
#include "line_tags.h"

/* Remember a field's name; false if the line has had it, or has too many fields. */
static bool
line_enter(Memory *memory, Slice name, size_t count)
{
    if (count >= memory->max_fields || count >= SEEN_NAMES / 2) {
        return false;
    }
    uint64_t hash = name.size;
    if (name.size >= 8) {
        hash += load64(name.at) * 31 + load64(name.at + name.size - 8);
    }
    else {
        for (size_t index = 0; index < name.size; index++) {
            hash = hash << 8 | name.at[index];
        }
    }
    hash = hash * 0x9E3779B97F4A7C15u >> 32;
    SeenName *seen = &memory->seen[hash % SEEN_NAMES];
    while (seen->record == memory->records) {
        if (seen->name.size == name.size && !memcmp(seen->name.at, name.at, name.size)) {
            return false;
        }
        hash++;
        seen = &memory->seen[hash % SEEN_NAMES];
    }
    *seen = (SeenName){memory->records, name};
    return true;
}

/* Skip the fields and the space behind them; NULL if they are left. Keeps their names in `layout`. */
static const Byte *
skip_fields(Memory *memory, Layout *layout, const Byte *at, const Byte *end, size_t series, Byte *bits)
{
    size_t used = 0;
    layout->count = 0;
    for (size_t count = 0;; count++) {
        Slice name = {at, 0};
        at = skip_plain(at, bits);
        name.size = (size_t)(at - name.at);
        if (*at++ != '=' || name.size == 0 || name.size > memory->max_key ||
            series + KEY_SEPARATOR_BYTES + name.size > MOST_KEY_BYTES || is_text(name, "time") ||
            !line_enter(memory, name, count)) {
            return NULL;
        }
        memory->line_hash += full_hash(name) | 1;
        if (count == layout->count && count < LAYOUT_FIELDS && name.size < LAYOUT_BYTES - used) {
            memcpy(layout->names + used, name.at, name.size + 1);
            layout->sizes[layout->count++] = (uint16_t)(name.size + 1);
            used += name.size + 1;
        }
        at = skip_value(memory, at, end, bits);
        if (at == NULL || (*at != ',' && *at != ' ')) {
            return NULL;
        }
        if (*at++ == ' ') {
            layout->is_whole = count + 1 == layout->count;
            return at;
        }
    }
}

/* Skip fields that have the names of the layout, in its order; NULL if they do not, or are left. */
static const Byte *
skip_known_fields(const Memory *memory, const Layout *layout, const Byte *at, const Byte *end, Byte *bits)
{
    const Byte *name = layout->names;
    for (size_t index = 0; index < layout->count; index++) {
        size_t size = layout->sizes[index];
        if (!begins_with(at, end, name, size)) {
            return NULL;
        }
        at = skip_value(memory, at + size, end, bits);
        if (at == NULL) {
            return NULL;
        }
        if (*at == ' ') {
            return at + 1;
        }
        if (*at++ != ',') {
            return NULL;
        }
        name += size;
    }
    return NULL;
}

/* The place for the layout of lines of this series, which includes the space behind it. */
static inline Layout *
layout_of(Memory *memory, Slice series)
{
    uint64_t hash = series.size;
    size_t at = 0;
    for (; at + 8 <= series.size; at += 8) {
        hash = (hash ^ load64(series.at + at)) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    for (; at < series.size; at++) {
        hash = (hash ^ series.at[at]) * 0x9E3779B97F4A7C15u;
    }
    return &memory->layouts[(hash >> 32) % LAYOUTS];
}

/* Skip series, fields and the spaces behind them; NULL if they are left.
 *
 * Lines of one series mostly have the same fields. So the names that were checked are kept, and compared
 * with those of the next line, which is faster than to check these too. */
static const Byte *
skip_series_and_fields(Memory *memory, const Byte *start, const Byte *end, Byte *bits)
{
    /* No series that is kept has a space in it. */
    const Byte *space = memchr(start, ' ', (size_t)(end - start));
    if (space == NULL) {
        return NULL;
    }
    Slice series = {start, (size_t)(space - start) + 1};
    Layout *layout = layout_of(memory, series);
    memory->layout = layout;
    memory->line_series = (Slice){series.at, series.size - 1};
    if (layout->is_whole && layout->counted && layout->series_size == series.size &&
        !memcmp(layout->series, series.at, series.size)) {
        Byte known = layout->bits;
        const Byte *at = skip_known_fields(memory, layout, space + 1, end, &known);
        if (at != NULL) {
            *bits = known;
            return at;
        }
    }
    layout->is_whole = layout->counted = false;
    memory->line_hash = full_hash(series);
    const Byte *at = skip_plain(start, bits);
    if ((size_t)(at - start) > memory->max_key) {
        return NULL;
    }
    at = skip_tags(memory, at, bits);
    if (at != space) {
        return NULL;
    }
    at = skip_fields(memory, layout, space + 1, end, series.size - 1 + memory->line_tags_bytes, bits);
    if (at == NULL || series.size > LAYOUT_BYTES) {
        layout->is_whole = false;
        return at;
    }
    memcpy(layout->series, series.at, series.size);
    layout->series_size = (uint16_t)series.size;
    /* That names are not ASCII is not known from the values of a later line. */
    layout->bits = *bits;
    return at;
}

/* Check the line at the beginning of a message or behind another line. `line` is its text without a line
 * break, `time` its time. */
static Py_NO_INLINE Outcome
line_check(Memory *memory, const Byte *start, const Byte *end, Slice *line, int64_t *time)
{
    Byte bits = 0;
    memory->records++;
    const Byte *at = skip_series_and_fields(memory, start, end, &bits);
    if (at == NULL) {
        return LEFT;
    }
    const Byte *digits = at;
    uint64_t value = 0;
    while (is_digit(*at)) {
        value = value * 10 + (uint64_t)(*at++ - '0');
    }
    size_t count = (size_t)(at - digits);
    if (count == 0 || count > 19 || *digits == '0' || value > (uint64_t)LATEST) {
        return LEFT;
    }
    *line = (Slice){start, (size_t)(at - start)};
    *time = (int64_t)value;
    if (at != end && *at != '\n') {
        return LEFT;
    }
    return bits & 0x80 ? check_utf8(*line) : DONE;
}

/* Let the Python path count what is new with the line in hand. LEFT if there are too many already. */
static Outcome
line_admit(Memory *memory)
{
    if (memory->layout->counted) {
        return DONE;
    }
    uint64_t *counted = &memory->counted_lines[memory->line_hash % COUNTED_LINES];
    if (*counted != memory->line_hash) {
        Slice series = memory->line_series;
        PyObject *names = PyList_New(0);
        for (size_t index = 0; names != NULL && index < SEEN_NAMES; index++) {
            const SeenName *seen = &memory->seen[index];
            if (seen->record != memory->records) {
                continue;
            }
            /* With its equals sign, as the Python path writes names. */
            PyObject *name = PyBytes_FromStringAndSize((const char *)seen->name.at, seen->name.size + 1);
            if (name == NULL || PyList_Append(names, name) < 0) {
                Py_CLEAR(names);
            }
            Py_XDECREF(name);
        }
        PyObject *text = PyBytes_FromStringAndSize((const char *)series.at, series.size);
        Outcome outcome = call_admit(memory, text, names);
        if (outcome != DONE) {
            return outcome;
        }
        *counted = memory->line_hash;
    }
    memory->layout->counted = memory->layout->is_whole;
    return DONE;
}

/* The checked line as it is sent: the message's own bytes if they are nothing else. LEFT if its time or
 * Kafka's may not be right. */
static Py_NO_INLINE Outcome
line_as_sent(Memory *memory, const Coordinates *place, PyObject *value, Slice text, int64_t time,
             PyObject **line)
{
    int64_t kafka = place->timed ? place->milliseconds * MILLISECOND : time;
    int64_t apart = time - kafka;
    if (!is_plausible(time) || !is_plausible(kafka) || apart > memory->window || apart < -memory->window) {
        return LEFT;
    }
    Slice rest = {text.at + memory->line_series.size, text.size - memory->line_series.size};
    if (memory->line_tag_count) {
        memory->line_series = with_line_tags(memory, memory->line_series);
    }
    Outcome admitted = line_admit(memory);
    if (admitted != DONE) {
        return admitted;
    }
    if (memory->line_tag_count) {
        *line = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(memory->line_series.size + rest.size));
        if (*line != NULL) {
            put_slice(put_slice((Byte *)PyBytes_AS_STRING(*line), memory->line_series), rest);
        }
    }
    else if (text.size == (size_t)PyBytes_GET_SIZE(value)) {
        *line = Py_NewRef(value);
    }
    else {
        *line = PyBytes_FromStringAndSize((const char *)text.at, (Py_ssize_t)text.size);
    }
    return *line == NULL ? FAILED : DONE;
}

#endif
