/* What is kept of lines of line protocol: limits, names in the line in hand, and the names of a series. */
#ifndef TOWER_LINE_LAYOUT_H
#define TOWER_LINE_LAYOUT_H

#include "common.h"

/* Places for the names of the fields of one line of line protocol, of which it may use half. */
#define SEEN_NAMES 256

typedef struct {
    uint64_t record; /* number of the record that had the name */
    Slice name;
} SeenName;

/* Number of series whose fields' names are kept for their next line, and the room for them: bytes of the
 * series, bytes of all names, and number of names. */
#define LAYOUTS 64
#define LAYOUT_BYTES 512
#define LAYOUT_FIELDS 32

/* Number of combinations of a series and names that are known to be counted, besides those of layouts. */
#define COUNTED_LINES 4096

typedef struct {
    bool counted;  /* the Python path has counted its series and its names, once and for all */
    bool is_whole; /* has all names of a line that was valid */
    Byte bits;     /* all of that line's bytes together: the highest bit tells whether they are ASCII */
    uint16_t series_size;
    uint16_t count;
    uint16_t sizes[LAYOUT_FIELDS]; /* of each name, with its equals sign */
    Byte series[LAYOUT_BYTES];     /* with the space behind it */
    Byte names[LAYOUT_BYTES + PADDED_BYTES];
} Layout;

/* Most bytes of a series and a field's name, with the separator between them, that influxd has room for. */
#define MOST_KEY_BYTES 65535
#define KEY_SEPARATOR_BYTES 4

/* Most lines of one message, as in workers/types.py. */
#define MOST_LINES 10000

/* `m f=1 946684800000000000` and a line break: no line that is taken is shorter. */
#define LEAST_LINE_BYTES 25

/* A constant tag of line protocol. */
typedef struct {
    Slice name;
    Slice text; /* as it is written: `,name=value` */
} LineTag;

#endif
