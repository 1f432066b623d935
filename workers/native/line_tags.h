/* Adds the constant tags of a route (TOWER_LINE_TAGS) to the series of a line of line protocol. */
#ifndef TOWER_LINE_TAGS_H
#define TOWER_LINE_TAGS_H

#include "line_scan.h"

static inline Byte *
put_slice(Byte *to, Slice text)
{
    memcpy(to, text.at, text.size);
    return to + text.size;
}

/* The series with the constant tags in the order of their names. A line's own tag wins. The series is
 * checked, has no backslashes, and both together have at most MOST_KEY_BYTES. */
static Slice
with_line_tags(const Memory *memory, Slice series)
{
    const LineTag *tag = memory->line_tags, *last = tag + memory->line_tag_count;
    const Byte *end = series.at + series.size, *at = memchr(series.at, ',', series.size);
    Byte *to = memory->tagged_series;
    at = at == NULL ? end : at;
    to = put_slice(to, (Slice){series.at, (size_t)(at - series.at)});
    while (at < end) {
        const Byte *equals = memchr(at, '=', (size_t)(end - at));
        const Byte *behind = memchr(equals, ',', (size_t)(end - equals));
        behind = behind == NULL ? end : behind;
        Slice name = {at + 1, (size_t)(equals - at) - 1};
        while (tag < last && is_below(tag->name, name)) {
            to = put_slice(to, tag++->text);
        }
        tag += tag < last && !is_below(name, tag->name);
        to = put_slice(to, (Slice){at, (size_t)(behind - at)});
        at = behind;
    }
    while (tag < last) {
        to = put_slice(to, tag++->text);
    }
    return (Slice){memory->tagged_series, (size_t)(to - memory->tagged_series)};
}

/* Keep the constant tags, a tuple of bytes: each as `,name=value`, in the order of the names. */
static bool
line_tags_open(Memory *memory, PyObject *tags)
{
    Py_ssize_t count = PyTuple_GET_SIZE(tags);
    if (count == 0) {
        return true;
    }
    memory->line_tags = PyMem_Calloc((size_t)count + 1, sizeof(LineTag));
    memory->tagged_series = PyMem_Malloc(MOST_KEY_BYTES);
    if (memory->line_tags == NULL || memory->tagged_series == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *tag = PyTuple_GET_ITEM(tags, index);
        const Byte *text = PyBytes_Check(tag) ? (const Byte *)PyBytes_AS_STRING(tag) : NULL;
        size_t size = text == NULL ? 0 : (size_t)PyBytes_GET_SIZE(tag);
        const Byte *equals = size ? memchr(text, '=', size) : NULL;
        if (equals == NULL || memchr(text, '\\', (size_t)(equals - text))) {
            PyErr_SetString(PyExc_ValueError, "a constant tag of line protocol has an escape in its name");
            return false;
        }
        memory->line_tags[index] = (LineTag){{text + 1, (size_t)(equals - text) - 1}, {text, size}};
        memory->line_tags_bytes += size;
    }
    memory->line_tag_count = (size_t)count;
    memory->line_tags_kept = Py_NewRef(tags);
    return true;
}

#endif
