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

/* Nanoseconds to add to a time of `tick` for the record at a place in Kafka; partition below PARTITIONS. */
static int64_t
slot_of(int64_t tick, int64_t partition, int64_t offset, int64_t index)
{
    const Band *band = BANDS;
    int64_t all = 0, before = 0;
    for (size_t number = 0; number < BAND_COUNT; number++) {
        all += tick == SECOND ? 1 : BANDS[number].width;
    }
    while (partition >= band->first + band->size) {
        before += tick == SECOND ? 1 : band->width;
        band++;
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

#endif
