/* Fields by name: what a field is, and how its name is written. */
#ifndef TOWER_FIELDS_H
#define TOWER_FIELDS_H

#include "common.h"

/* Names that are kept; past that all but the configured ones are forgotten, so that a sender of ever new
 * names cannot fill the memory. */
#define NAMES 1024

/* Longest name; a longer one is left to the Python path. */
#define NAME_BYTES 256

/* Places for names, and how many are tried. If none of these is free, the table counts as full. */
#define NAME_PLACES (4 * NAMES)
#define NAME_PROBES 16

/* What a field is, as in workers/records/native.py. */
typedef enum { OTHER = 0, NUMBER = 1, TAG = 2, TIME = 3 } kind;

typedef struct {
    byte *key;          /* and behind it, in the same memory, the prefix */
    const byte *prefix; /* `name=` of the new name, escaped */
    uint32_t hash;
    uint16_t key_size;
    uint16_t prefix_size;
    uint16_t tag; /* for a tag: which one */
    uint16_t kind;
    uint16_t group; /* index of the first of the names that may become one name by a rename */
    uint64_t seen;  /* number of the last record that had one of the group; kept by its first name */
} name;

typedef struct {
    name *kept;
    uint16_t *places; /* index in `kept` plus one, or 0 */
    size_t count;
    size_t configured; /* the first so many are never forgotten */
    bool full;         /* a name found no place: all are forgotten before the next record */
} names;

static bool
names_open(names *self)
{
    self->kept = PyMem_Calloc(NAMES, sizeof(name));
    self->places = PyMem_Calloc(NAME_PLACES, sizeof(uint16_t));
    return self->kept != NULL && self->places != NULL;
}

static void
names_close(names *self)
{
    for (size_t each = 0; each < self->count; each++) {
        PyMem_Free(self->kept[each].key);
    }
    PyMem_Free(self->kept);
    PyMem_Free(self->places);
    memset(self, 0, sizeof(*self));
}

/* Python's own hash of bytes, with a key of this process: nobody can make names that collide. */
static uint32_t
hash_of(slice key)
{
    return (uint32_t)PyHash_GetFuncDef()->hash(key.at, (Py_ssize_t)key.size);
}

/* The name, NULL where it is not kept; `place` is where it would be put, NAME_PLACES for nowhere. */
static name *
names_find(const names *self, slice key, uint32_t hash, size_t *place)
{
    for (uint32_t probe = 0; probe < NAME_PROBES; probe++) {
        *place = (hash + probe) % NAME_PLACES;
        uint16_t index = self->places[*place];
        if (index == 0) {
            return NULL;
        }
        name *found = &self->kept[index - 1];
        if (found->hash == hash && found->key_size == key.size && !memcmp(found->key, key.at, key.size)) {
            return found;
        }
    }
    *place = NAME_PLACES;
    return NULL;
}

/* Keep a name that is not kept yet, in a group of its own; NULL without an exception where there is no
 * place for it. */
static name *
names_add(names *self, slice key, slice prefix, kind kind_, uint16_t tag)
{
    size_t place;
    uint32_t hash = hash_of(key);
    if (key.size > NAME_BYTES || prefix.size > 4 * NAME_BYTES || names_find(self, key, hash, &place)) {
        return NULL;
    }
    if (place == NAME_PLACES || self->count == NAMES) {
        self->full = true;
        return NULL;
    }
    byte *copy = PyMem_Malloc(key.size + prefix.size + 1);
    if (copy == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(copy, key.at, key.size);
    memcpy(copy + key.size, prefix.at, prefix.size);
    name *made = &self->kept[self->count++];
    *made = (name){.key = copy,
                   .prefix = copy + key.size,
                   .hash = hash,
                   .key_size = (uint16_t)key.size,
                   .prefix_size = (uint16_t)prefix.size,
                   .tag = tag,
                   .kind = kind_,
                   .group = (uint16_t)(self->count - 1)};
    self->places[place] = (uint16_t)self->count;
    return made;
}

/* Forget all names but the configured ones. */
static void
names_forget(names *self)
{
    for (size_t each = self->configured; each < self->count; each++) {
        PyMem_Free(self->kept[each].key);
    }
    self->count = self->configured;
    self->full = false;
    memset(self->places, 0, NAME_PLACES * sizeof(uint16_t));
    for (size_t each = 0; each < self->count; each++) {
        size_t place;
        slice key = {self->kept[each].key, self->kept[each].key_size};
        names_find(self, key, self->kept[each].hash, &place);
        /* There was a place for each when it was added, and the order is the same. */
        self->places[place] = (uint16_t)(each + 1);
    }
}

#endif
