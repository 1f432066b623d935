/* A cache of series: measurement and tags of a line, by the values of the tags. */
#ifndef TOWER_SERIES_H
#define TOWER_SERIES_H

#include "common.h"

/* Most series in the cache. Each key has a few places. If all are occupied, a new series replaces the
 * first. */
#define KEPT_SERIES 2048
#define SERIES_PROBES 4

/* Longest tag values of one record together, in bytes. Longer ones are left to the Python path. */
#define SERIES_KEY_BYTES 1024

typedef struct {
    Byte *key; /* the text follows in the same block; NULL if the place is empty */
    uint32_t key_size;
    uint32_t text_size;
    bool counted; /* the Python path has counted it, once and for all */
} Series;

typedef struct {
    Series *kept;
    Series *last;                   /* of the previous record: most topics have few senders */
    Byte key[SERIES_KEY_BYTES + 8]; /* of the record in hand, with zeros up to a multiple of 8 */
    size_t key_size;
    uint64_t seed; /* of this process: nobody can make tags that collide */
} SeriesCache;

static bool
series_open(SeriesCache *self)
{
    self->kept = PyMem_Calloc(KEPT_SERIES, sizeof(Series));
    self->last = self->kept;
    self->seed = (uint64_t)PyHash_GetFuncDef()->hash("series", 6);
    return self->kept != NULL;
}

static void
series_close(SeriesCache *self)
{
    for (size_t index = 0; self->kept != NULL && index < KEPT_SERIES; index++) {
        PyMem_Free(self->kept[index].key);
    }
    PyMem_Free(self->kept);
    self->kept = self->last = NULL;
}

/* Build the key of some tag values: each with its size before it. False if they are too long. */
static bool
series_set_key(SeriesCache *self, const Slice *tags, size_t count)
{
    Byte *at = self->key, *end = self->key + SERIES_KEY_BYTES;
    for (size_t index = 0; index < count; index++) {
        size_t size = tags[index].size;
        if (size > SERIES_KEY_BYTES || (size_t)(end - at) < size + 2) {
            return false;
        }
        *at++ = (Byte)(size >> 8);
        *at++ = (Byte)size;
        if (size) {
            memcpy(at, tags[index].at, size);
        }
        at += size;
    }
    memset(at, 0, 8);
    self->key_size = (size_t)(at - self->key);
    return true;
}

static bool
series_has_key(const SeriesCache *self, const Series *series)
{
    return series->key != NULL && series->key_size == self->key_size &&
           !memcmp(series->key, self->key, self->key_size);
}

/* Find the key's place. It holds the key's series, another one, or none. */
static Series *
series_place(const SeriesCache *self)
{
    uint64_t hash = self->seed ^ self->key_size;
    for (size_t at = 0; at < self->key_size; at += 8) {
        /* Two shifts: a difference in high bits must reach the low ones, which select the place. */
        hash = (hash ^ load64(self->key + at)) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 47 ^ hash >> 23;
    }
    for (unsigned probe = 0; probe < SERIES_PROBES; probe++) {
        Series *place = &self->kept[(hash + probe) % KEPT_SERIES];
        if (place->key == NULL || series_has_key(self, place)) {
            return place;
        }
    }
    return &self->kept[hash % KEPT_SERIES];
}

/* Store the series of the key at its place. False with an exception set if there is no memory. */
static bool
series_put(SeriesCache *self, Series *place, Slice text)
{
    Byte *block = PyMem_Malloc(self->key_size + text.size + 1);
    if (block == NULL) {
        PyErr_NoMemory();
        return false;
    }
    memcpy(block, self->key, self->key_size);
    memcpy(block + self->key_size, text.at, text.size);
    PyMem_Free(place->key);
    *place = (Series){.key = block, .key_size = (uint32_t)self->key_size, .text_size = (uint32_t)text.size};
    return true;
}

#endif
