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
