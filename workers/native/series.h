/* Measurement and tags of a line, kept by the values of its tags. */
#ifndef TOWER_SERIES_H
#define TOWER_SERIES_H

#include "common.h"

/* Tag sets that are kept. One has a few places to be in; where all are taken, the newest has the first. */
#define HEADS 2048
#define HEAD_PROBES 4

/* Longest tag values of one record together; longer ones are left to the Python path. */
#define HEAD_KEY_BYTES 1024

typedef struct {
    byte *key; /* and behind it, in the same memory, the text; NULL where there is none */
    uint32_t key_size;
    uint32_t text_size;
} head;

typedef struct {
    head *kept;
    head *last;                   /* of the record before: most streams come from few senders */
    byte key[HEAD_KEY_BYTES + 8]; /* and zeros up to a multiple of 8 */
    size_t key_size;
    uint64_t seed; /* of this process: nobody can make tags that collide */
} heads;

static bool
heads_open(heads *self)
{
    self->kept = PyMem_Calloc(HEADS, sizeof(head));
    self->last = self->kept;
    self->seed = (uint64_t)PyHash_GetFuncDef()->hash("heads", 5);
    return self->kept != NULL;
}

static void
heads_close(heads *self)
{
    for (size_t each = 0; self->kept != NULL && each < HEADS; each++) {
        PyMem_Free(self->kept[each].key);
    }
    PyMem_Free(self->kept);
    self->kept = self->last = NULL;
}

/* Put the tags' values into one key, each with its size before it. */
static bool
heads_key(heads *self, const slice *tags, size_t count)
{
    byte *at = self->key, *end = self->key + HEAD_KEY_BYTES;
    for (size_t each = 0; each < count; each++) {
        size_t size = tags[each].size;
        if (size > HEAD_KEY_BYTES || (size_t)(end - at) < size + 2) {
            return false;
        }
        *at++ = (byte)(size >> 8);
        *at++ = (byte)size;
        if (size) {
            memcpy(at, tags[each].at, size);
        }
        at += size;
    }
    memset(at, 0, 8);
    self->key_size = (size_t)(at - self->key);
    return true;
}

static bool
heads_is(const heads *self, const head *which)
{
    return which->key != NULL && which->key_size == self->key_size &&
           !memcmp(which->key, self->key, self->key_size);
}

/* The place of the key: it holds the key's head, or another, or none. */
static head *
heads_place(const heads *self)
{
    uint64_t hash = self->seed ^ self->key_size;
    for (size_t at = 0; at < self->key_size; at += 8) {
        /* Both shifts: what differs in the high bits of a part must reach the low ones, and so the place.
         */
        hash = (hash ^ load64(self->key + at)) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 47 ^ hash >> 23;
    }
    for (unsigned probe = 0; probe < HEAD_PROBES; probe++) {
        head *place = &self->kept[(hash + probe) % HEADS];
        if (place->key == NULL || heads_is(self, place)) {
            return place;
        }
    }
    return &self->kept[hash % HEADS];
}

/* Keep the head of the key at its place; false without memory, with an exception set. */
static bool
heads_put(heads *self, head *place, slice text)
{
    byte *copy = PyMem_Malloc(self->key_size + text.size + 1);
    if (copy == NULL) {
        PyErr_NoMemory();
        return false;
    }
    memcpy(copy, self->key, self->key_size);
    memcpy(copy + self->key_size, text.at, text.size);
    PyMem_Free(place->key);
    *place = (head){.key = copy, .key_size = (uint32_t)self->key_size, .text_size = (uint32_t)text.size};
    return true;
}

#endif
