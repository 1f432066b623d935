/* The digits of a point's time below the record's, as in workers/records/point_time.py. */
#ifndef TOWER_POINT_TIME_H
#define TOWER_POINT_TIME_H

#include "timestamp.h"

/* Remainders that the classes share. */
#define RESIDUES 64

/* Partitions from this one on have no digits. */
#define PARTITIONS 8192

/* As MAX_RECORDS in workers/types.py. */
#define MAX_RECORDS 1024

typedef struct {
    int64_t first;
    int64_t size;
    int64_t width; /* remainders of one class of milliseconds; a class of seconds has one */
} Band;

static const Band BANDS[] = {{0, 16, 14}, {16, 112, 8}, {128, 896, 4}, {1024, 7168, 2}};

#define BAND_COUNT (sizeof(BANDS) / sizeof(*BANDS))

/* As slot_of, for a partition in a band. With a constant tick and band no division is left. */
static Py_ALWAYS_INLINE inline int64_t
slot_in(int64_t tick, size_t band_number, int64_t partition, int64_t offset, int64_t index)
{
    const Band *band = &BANDS[band_number];
    int64_t all = 0, before = 0;
    for (size_t number = 0; number < BAND_COUNT; number++) {
        int64_t classes = tick == SECOND ? 1 : BANDS[number].width;
        all += classes;
        before += number < band_number ? classes : 0;
    }
    int64_t width = tick == SECOND ? 1 : band->width;
    /* The classes of seconds come first, and of each precision those of first records. */
    int64_t start = (tick == SECOND ? 0 : 2 * (int64_t)BAND_COUNT) + (index ? all : 0) + before;
    int64_t window = tick / RESIDUES * width / band->size;
    if (index) {
        /* Odd: every message of an array begins at a multiple of MAX_RECORDS. */
        window = (window - 1) | 1;
    }
    int64_t place = offset % window;
    if (index) {
        place = (place * MAX_RECORDS + index) % window;
    }
    int64_t number = place * band->size + partition - band->first;
    return number / width * RESIDUES + start + number % width;
}

/* Nanoseconds to add to a time of `tick` for the record at a place in Kafka; partition below PARTITIONS. */
static int64_t
slot_of(int64_t tick, int64_t partition, int64_t offset, int64_t index)
{
    size_t band = 0;
    while (partition >= BANDS[band].first + BANDS[band].size) {
        band++;
    }
    if (band == 0) {
        return tick == SECOND ? slot_in(SECOND, 0, partition, offset, index)
                              : slot_in(MILLISECOND, 0, partition, offset, index);
    }
    return slot_in(tick, band, partition, offset, index);
}

#endif
