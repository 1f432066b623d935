/* Calls the methods of a Kafka message without looking up their names each time. */
#ifndef TOWER_MESSAGE_ACCESS_H
#define TOWER_MESSAGE_ACCESS_H

#include "common.h"

typedef enum { VALUE, OFFSET, PARTITION, TIMESTAMP, TOPIC, METHODS } Method;

static const char *const METHOD_NAMES[] = {"value", "offset", "partition", "timestamp", "topic"};

typedef struct {
    PyObject *names[METHODS];
    PyTypeObject *type; /* of the previous message */
    PyObject *descriptors[METHODS];
    PyCFunction direct[METHODS]; /* the type's C functions, NULL if a method is not a plain one */
} MessageAccess;

static bool
access_open(MessageAccess *self)
{
    for (size_t index = 0; index < METHODS; index++) {
        self->names[index] = PyUnicode_InternFromString(METHOD_NAMES[index]);
        if (self->names[index] == NULL) {
            return false;
        }
    }
    return true;
}

static void
access_forget(MessageAccess *self)
{
    Py_CLEAR(self->type);
    for (size_t index = 0; index < METHODS; index++) {
        self->direct[index] = NULL;
        Py_CLEAR(self->descriptors[index]);
    }
}

static void
access_close(MessageAccess *self)
{
    access_forget(self);
    for (size_t index = 0; index < METHODS; index++) {
        Py_CLEAR(self->names[index]);
    }
}

/* Prepare for messages of another type. A method's C function may be called directly only if nothing can
 * override it: the type is immutable, and its objects have no attributes of their own. */
static bool
access_learn(MessageAccess *self, PyTypeObject *type)
{
    access_forget(self);
    self->type = (PyTypeObject *)Py_NewRef(type);
    bool fixed = PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE) && type->tp_dictoffset == 0 &&
                 type->tp_getattro == PyObject_GenericGetAttr;
    for (size_t index = 0; fixed && index < METHODS; index++) {
        PyObject *descriptor = PyObject_GetAttr((PyObject *)type, self->names[index]);
        if (descriptor == NULL) {
            return false;
        }
        self->descriptors[index] = descriptor;
        if (Py_IS_TYPE(descriptor, &PyMethodDescr_Type)) {
            PyMethodDef *definition = ((PyMethodDescrObject *)descriptor)->d_method;
            if (definition->ml_flags == METH_NOARGS && PyType_IsSubtype(type, PyDescr_TYPE(descriptor))) {
                self->direct[index] = definition->ml_meth;
            }
        }
    }
    return true;
}

/* Call a method: a new reference, or NULL with an exception set. */
static inline PyObject *
call(MessageAccess *self, PyObject *message, Method method)
{
    if (Py_TYPE(message) == self->type && self->direct[method] != NULL) {
        return self->direct[method](message, NULL);
    }
    return PyObject_CallMethodNoArgs(message, self->names[method]);
}

/* Call a method that returns an int; LEFT if it returns something else or does not fit in 64 bits. */
static Outcome
call_for_number(MessageAccess *self, PyObject *message, Method method, int64_t *to)
{
    PyObject *answer = call(self, message, method);
    if (answer == NULL) {
        return FAILED;
    }
    int overflow = 1;
    if (PyLong_CheckExact(answer)) {
        *to = PyLong_AsLongLongAndOverflow(answer, &overflow);
    }
    Py_DECREF(answer);
    return overflow ? LEFT : DONE;
}

/* Get Kafka's timestamp of a message, if it has one. */
static Outcome
call_for_timestamp(MessageAccess *self, PyObject *message, bool *timed, int64_t *milliseconds)
{
    PyObject *answer = call(self, message, TIMESTAMP);
    if (answer == NULL) {
        return FAILED;
    }
    int overflow = 1;
    if (PyTuple_CheckExact(answer) && PyTuple_GET_SIZE(answer) == 2 &&
        PyLong_CheckExact(PyTuple_GET_ITEM(answer, 0)) && PyLong_CheckExact(PyTuple_GET_ITEM(answer, 1))) {
        int kind = 1;
        *timed = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(answer, 0), &kind) != 0;
        *milliseconds = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(answer, 1), &overflow);
        overflow |= kind;
        *timed = *timed && *milliseconds > 0;
        if (!*timed) {
            *milliseconds = 0; /* the message has none, whatever the number is */
        }
    }
    Py_DECREF(answer);
    return overflow ? LEFT : DONE;
}

#endif
