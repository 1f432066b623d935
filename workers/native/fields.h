/* The table of fields: of each name as it is sent, the field's kind and the name to write. */
#ifndef TOWER_FIELDS_H
#define TOWER_FIELDS_H

#include "common.h"

/* Most fields in the table. If it is full, all but the configured ones are removed, so that a sender of
 * ever new names cannot fill the memory. */
#define KEPT_FIELDS 1024

/* Longest name in bytes. A longer one is left to the Python path. */
#define FIELD_NAME_BYTES 256

/* Size of the hash table, and how many places are probed. If none of these is free, the table is full. */
#define FIELD_PLACES (4 * KEPT_FIELDS)
#define FIELD_PROBES 16

/* The kind of a field. workers/records/native.py reads these from the module. */
typedef enum { OTHER = 0, NUMBER = 1, TAG = 2, TIME = 3 } Kind;

typedef struct {
    Byte *key;          /* the name as it is sent and a quote; the prefix follows in the same block */
    const Byte *prefix; /* `name=` as it is written: renamed and escaped. Both are padded. */
    uint32_t hash;
    uint16_t key_size;
    uint16_t prefix_size;
    uint16_t tag; /* index of the tag, if the field is one */
    uint16_t kind;
    uint16_t group;  /* index of the first field of those that a rename may give one name */
    bool counted;    /* the Python path has counted its name, once and for all */
    uint64_t valued; /* number of the last record that has written a value, while it is not counted */
    uint64_t seen;   /* number of the last record with a field of the group; used in its first field only */
} Field;

typedef struct {
    Field *kept;
    uint16_t *places; /* index in `kept` plus one, or 0 */
    size_t count;
    size_t configured; /* number of fields that are never removed; they come first */
    bool full;         /* a name found no place: all are removed before the next record */
} FieldTable;

static bool
fields_open(FieldTable *self)
{
    self->kept = PyMem_Calloc(KEPT_FIELDS, sizeof(Field));
    self->places = PyMem_Calloc(FIELD_PLACES, sizeof(uint16_t));
    return self->kept != NULL && self->places != NULL;
}

static void
fields_close(FieldTable *self)
{
    for (size_t index = 0; index < self->count; index++) {
        PyMem_Free(self->kept[index].key);
    }
    PyMem_Free(self->kept);
    PyMem_Free(self->places);
    memset(self, 0, sizeof(*self));
}

/* Python's own hash of bytes, with a key of this process: nobody can make names that collide. */
static uint64_t
full_hash(Slice key)
{
    return (uint64_t)PyHash_GetFuncDef()->hash(key.at, (Py_ssize_t)key.size);
}

static uint32_t
hash_of(Slice key)
{
    return (uint32_t)full_hash(key);
}

/* Find a field by its name, NULL if it is not in the table. `place` is the place for it, FIELD_PLACES if
 * there is none. */
static Field *
fields_find(const FieldTable *self, Slice key, uint32_t hash, size_t *place)
{
    for (uint32_t probe = 0; probe < FIELD_PROBES; probe++) {
        *place = (hash + probe) % FIELD_PLACES;
        uint16_t index = self->places[*place];
        if (index == 0) {
            return NULL;
        }
        Field *field = &self->kept[index - 1];
        if (field->hash == hash && field->key_size == key.size && !memcmp(field->key, key.at, key.size)) {
            return field;
        }
    }
    *place = FIELD_PLACES;
    return NULL;
}

/* Add a field in a group of its own. NULL without an exception if it is there already or there is no place.
 */
static Field *
fields_add(FieldTable *self, Slice key, Slice prefix, Kind kind, uint16_t tag)
{
    size_t place;
    uint32_t hash = hash_of(key);
    if (key.size > FIELD_NAME_BYTES || prefix.size > 4 * FIELD_NAME_BYTES ||
        fields_find(self, key, hash, &place)) {
        return NULL;
    }
    if (place == FIELD_PLACES || self->count == KEPT_FIELDS) {
        self->full = true;
        return NULL;
    }
    Byte *block = PyMem_Calloc(1, padded(key.size + 1) + padded(prefix.size));
    if (block == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    Byte *written = block + padded(key.size + 1);
    memcpy(block, key.at, key.size);
    block[key.size] = '"';
    memcpy(written, prefix.at, prefix.size);
    Field *field = &self->kept[self->count++];
    *field = (Field){.key = block,
                     .prefix = written,
                     .hash = hash,
                     .key_size = (uint16_t)key.size,
                     .prefix_size = (uint16_t)prefix.size,
                     .tag = tag,
                     .kind = kind,
                     .group = (uint16_t)(self->count - 1)};
    self->places[place] = (uint16_t)self->count;
    return field;
}

/* Remove all fields but the configured ones. */
static void
fields_forget(FieldTable *self)
{
    for (size_t index = self->configured; index < self->count; index++) {
        PyMem_Free(self->kept[index].key);
    }
    self->count = self->configured;
    self->full = false;
    memset(self->places, 0, FIELD_PLACES * sizeof(uint16_t));
    for (size_t index = 0; index < self->count; index++) {
        size_t place;
        Slice key = {self->kept[index].key, self->kept[index].key_size};
        fields_find(self, key, self->kept[index].hash, &place);
        /* Each had a place when it was added, and the order is the same. */
        self->places[place] = (uint16_t)(index + 1);
    }
}

#endif
