/* Reads the fields that the settings name. */
#ifndef TOWER_CONFIGURED_FIELDS_H
#define TOWER_CONFIGURED_FIELDS_H

#include "fields.h"

/* Add the configured fields, each a tuple: name, kind, index of the tag, index of its group's first field,
 * prefix. */
static bool
add_configured_fields(FieldTable *table, PyObject *fields)
{
    PyObject *all = PySequence_Fast(fields, "fields must be a sequence");
    for (Py_ssize_t index = 0; all != NULL && index < PySequence_Fast_GET_SIZE(all); index++) {
        Py_buffer key, prefix;
        int kind, tag, group;
        PyObject *entry = PySequence_Fast_GET_ITEM(all, index);
        if (!PyTuple_Check(entry)) {
            PyErr_SetString(PyExc_TypeError, "a field must be a tuple");
            break;
        }
        if (!PyArg_ParseTuple(entry, "y*iiiy*", &key, &kind, &tag, &group, &prefix)) {
            break;
        }
        Slice text = {key.buf, (size_t)key.len}, written = {prefix.buf, (size_t)prefix.len};
        Field *field = fields_add(table, text, written, (Kind)kind, (uint16_t)tag);
        PyBuffer_Release(&key);
        PyBuffer_Release(&prefix);
        if (field == NULL) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError,
                                "a field is configured twice, or too long, or one too many");
            }
            break;
        }
        if (group < 0 || group > index) {
            PyErr_SetString(PyExc_ValueError, "a group begins with a field that comes later");
            break;
        }
        field->group = (uint16_t)group;
    }
    Py_XDECREF(all);
    table->configured = table->count;
    return !PyErr_Occurred();
}

#endif
