/* The words all parts of the kernel share. */
#ifndef TOWER_COMMON_H
#define TOWER_COMMON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What became of a record, or of a part of it. */
typedef enum {
    FAILED = -1, /* a Python exception is set */
    TAKEN = 0,   /* done here */
    LEFT = 1,    /* nothing was done: the Python path decides about the whole record */
} outcome;

typedef unsigned char byte;

/* Some bytes of somebody else's. */
typedef struct {
    const byte *at;
    size_t size;
} slice;

/* Bytes by what they may mean inside text. Escaping and checking is for the Python path, so all that needs
 * it is told apart here, once. */
enum { PLAIN = 0, BEYOND_ASCII = 1, SPECIAL = 2 };

static byte class_of[256];

static void
fill_classes(void)
{
    for (int each = 0; each < 256; each++) {
        bool special = each < 0x20 || each == '"' || each == '\\' || each == 0x7F;
        class_of[each] = special ? SPECIAL : each >= 0x80 ? BEYOND_ASCII : PLAIN;
    }
}

static inline bool
is_digit(byte each)
{
    return (byte)(each - '0') < 10;
}

/* memcmp() and memcpy() of a few bytes, without a call: two moves of fixed size, which may overlap. */
static inline uint64_t
load64(const byte *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static inline uint32_t
load32(const byte *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static inline bool
is_same(const byte *one, const byte *other, size_t size)
{
    if (size >= 4 && size <= 8) {
        return load32(one) == load32(other) && load32(one + size - 4) == load32(other + size - 4);
    }
    if (size > 8 && size <= 16) {
        return load64(one) == load64(other) && load64(one + size - 8) == load64(other + size - 8);
    }
    if (size == 2) {
        return one[0] == other[0] && one[1] == other[1];
    }
    return !memcmp(one, other, size);
}

static inline void
copy(byte *to, const byte *from, size_t size)
{
    if (size >= 4 && size <= 8) {
        uint32_t first = load32(from), last = load32(from + size - 4);
        memcpy(to, &first, 4);
        memcpy(to + size - 4, &last, 4);
    }
    else if (size > 8 && size <= 16) {
        uint64_t first = load64(from), last = load64(from + size - 8);
        memcpy(to, &first, 8);
        memcpy(to + size - 8, &last, 8);
    }
    else if (size < 4) {
        for (size_t each = 0; each < size; each++) {
            to[each] = from[each];
        }
    }
    else {
        memcpy(to, from, size);
    }
}

/* TAKEN where some bytes are UTF-8 as Python reads it. */
static outcome
check_utf8(slice text)
{
    PyObject *read = PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)text.size, "strict");
    if (read == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
            return FAILED;
        }
        PyErr_Clear();
        return LEFT;
    }
    Py_DECREF(read);
    return TAKEN;
}

#endif
