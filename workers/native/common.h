/* Types and functions that all parts of the kernel use. */
#ifndef TOWER_COMMON_H
#define TOWER_COMMON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The outcome of converting a record, or a part of it. */
typedef enum {
    FAILED = -1, /* a Python exception is set */
    DONE = 0,    /* converted */
    LEFT = 1,    /* not converted: the Python path converts the whole message */
} Outcome;

typedef unsigned char Byte;

/* Bytes that belong to another object. */
typedef struct {
    const Byte *at;
    size_t size;
} Slice;

/* What a byte may mean inside text. SPECIAL bytes need escapes or are control characters: the Python path
 * handles them. */
enum { PLAIN = 0, BEYOND_ASCII = 1, SPECIAL = 2 };

#define CLASS_1(at)                                                                                        \
    ((at) < 0x20 || (at) == '"' || (at) == '\\' || (at) == 0x7F ? SPECIAL                                  \
     : (at) >= 0x80                                             ? BEYOND_ASCII                             \
                                                                : PLAIN)
#define CLASS_4(at) CLASS_1(at), CLASS_1((at) + 1), CLASS_1((at) + 2), CLASS_1((at) + 3)
#define CLASS_16(at) CLASS_4(at), CLASS_4((at) + 4), CLASS_4((at) + 8), CLASS_4((at) + 12)
#define CLASS_64(at) CLASS_16(at), CLASS_16((at) + 16), CLASS_16((at) + 32), CLASS_16((at) + 48)

static const Byte CLASS_OF[256] = {CLASS_64(0), CLASS_64(64), CLASS_64(128), CLASS_64(192)};

static inline bool
is_digit(Byte character)
{
    return (Byte)(character - '0') < 10;
}

/* Moves of fixed size without a call. */
static inline uint64_t
load64(const Byte *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static inline uint32_t
load32(const Byte *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* memcpy() of a few bytes: two moves that may overlap. */
static inline void
copy(Byte *to, const Byte *from, size_t size)
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
        for (size_t index = 0; index < size; index++) {
            to[index] = from[index];
        }
    }
    else {
        memcpy(to, from, size);
    }
}

/* Names and numbers are short and of all sizes, so a branch by the size is predicted wrongly all the time.
 * The functions below have none up to PADDED_BYTES bytes. */
#define PADDED_BYTES 16

/* Room for text of this size that has PADDED_BYTES bytes at least. */
static inline size_t
padded(size_t size)
{
    return size < PADDED_BYTES ? PADDED_BYTES : size;
}

/* Whether bytes up to `end`, which has a zero behind it, begin with a text. The text is padded. */
static inline bool
begins_with(const Byte *at, const Byte *end, const Byte *text, size_t size)
{
    static const Byte MASK[2 * PADDED_BYTES] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                255, 255, 255, 255, 255, 255, 255, 255};
    if (size > PADDED_BYTES || end - at < PADDED_BYTES - 1) {
        return (size_t)(end - at) >= size && !memcmp(at, text, size);
    }
    const Byte *mask = MASK + PADDED_BYTES - size;
    uint64_t differs = (load64(at) ^ load64(text)) & load64(mask);
    return !(differs | ((load64(at + 8) ^ load64(text + 8)) & load64(mask + 8)));
}

/* Copy padded text to where there is room for PADDED_BYTES bytes. */
static inline void
copy_padded(Byte *to, const Byte *from, size_t size)
{
    if (size > PADDED_BYTES) {
        memcpy(to, from, size);
        return;
    }
    uint64_t first = load64(from), last = load64(from + 8);
    memcpy(to, &first, 8);
    memcpy(to + 8, &last, 8);
}

/* Check that text is UTF-8 as Python reads it: DONE if it is, else LEFT. */
static Outcome
check_utf8(Slice text)
{
    PyObject *decoded = PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)text.size, "strict");
    if (decoded == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
            return FAILED;
        }
        PyErr_Clear();
        return LEFT;
    }
    Py_DECREF(decoded);
    return DONE;
}

#endif
