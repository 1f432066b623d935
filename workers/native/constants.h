/* Constants that the module exports. */
#ifndef TOWER_CONSTANTS_H
#define TOWER_CONSTANTS_H

#include "convert.h"

/* The version of Tower that this kernel is part of: workers/__init__.py says the same. */
#define VERSION "0.2.0"

/* Constants that the Python path shares: workers/records/native.py reads the kinds, a test compares the
 * rest. */
static const struct {
    const char *name;
    long value;
} CONSTANTS[] = {
    {"OTHER", OTHER},
    {"NUMBER", NUMBER},
    {"TAG", TAG},
    {"TIME", TIME},
    {"SECOND", SECOND},
    {"MILLISECOND", MILLISECOND},
    {"NANOSECOND", NANOSECOND},
    {"RESIDUES", RESIDUES},
    {"PARTITIONS", PARTITIONS},
    {"MAX_RECORDS", MAX_RECORDS},
    {"EVENT_TIME", EVENT_TIME},
    {"EXACT_DIGITS", EXACT_DIGITS},
    {"WHOLE_LIMIT", WHOLE_LIMIT},
    {"KEPT_FIELDS", KEPT_FIELDS},
    {"FIELD_NAME_BYTES", FIELD_NAME_BYTES},
};

static int
add_constants(PyObject *module)
{
    for (size_t index = 0; index < sizeof(CONSTANTS) / sizeof(*CONSTANTS); index++) {
        if (PyModule_AddIntConstant(module, CONSTANTS[index].name, CONSTANTS[index].value) < 0) {
            return -1;
        }
    }
    return PyModule_AddStringConstant(module, "VERSION", VERSION);
}

#endif
