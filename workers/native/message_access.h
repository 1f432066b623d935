/* What is asked of a Kafka message, without a name looked up for each question. */
#ifndef TOWER_MESSAGE_ACCESS_H
#define TOWER_MESSAGE_ACCESS_H

#include "common.h"

typedef enum { VALUE, OFFSET, PARTITION, TIMESTAMP, TOPIC, QUESTIONS } question;

static const char *const QUESTION[] = {"value", "offset", "partition", "timestamp", "topic"};

typedef struct {
    PyObject *names[QUESTIONS];
    PyTypeObject *type; /* of the message before */
    PyObject *descriptors[QUESTIONS];
    PyCFunction direct[QUESTIONS]; /* that type's own functions, NULL where a method is no plain one */
} questions;

static bool
questions_open(questions *self)
{
    for (size_t each = 0; each < QUESTIONS; each++) {
        self->names[each] = PyUnicode_InternFromString(QUESTION[each]);
        if (self->names[each] == NULL) {
            return false;
        }
    }
    return true;
}

static void
questions_forget(questions *self)
{
    Py_CLEAR(self->type);
    for (size_t each = 0; each < QUESTIONS; each++) {
        self->direct[each] = NULL;
        Py_CLEAR(self->descriptors[each]);
    }
}

static void
questions_close(questions *self)
{
    questions_forget(self);
    for (size_t each = 0; each < QUESTIONS; each++) {
        Py_CLEAR(self->names[each]);
    }
}

/* Look at a new type of messages. A method's C function may be called without the way there only where
 * nothing can stand in for it: the type is fixed, and its objects have no attributes of their own. */
static bool
questions_learn(questions *self, PyTypeObject *type)
{
    questions_forget(self);
    self->type = (PyTypeObject *)Py_NewRef(type);
    bool fixed = PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE) && type->tp_dictoffset == 0 &&
                 type->tp_getattro == PyObject_GenericGetAttr;
    for (size_t each = 0; fixed && each < QUESTIONS; each++) {
        PyObject *found = PyObject_GetAttr((PyObject *)type, self->names[each]);
        if (found == NULL) {
            return false;
        }
        self->descriptors[each] = found;
        if (Py_IS_TYPE(found, &PyMethodDescr_Type)) {
            PyMethodDef *method = ((PyMethodDescrObject *)found)->d_method;
            if (method->ml_flags == METH_NOARGS && PyType_IsSubtype(type, PyDescr_TYPE(found))) {
                self->direct[each] = method->ml_meth;
            }
        }
    }
    return true;
}

/* The answer, a new reference, or NULL with an exception set. */
static inline PyObject *
ask(questions *self, PyObject *message, question what)
{
    if (Py_TYPE(message) == self->type && self->direct[what] != NULL) {
        return self->direct[what](message, NULL);
    }
    return PyObject_CallMethodNoArgs(message, self->names[what]);
}

/* An answer that must be a whole number; LEFT where it is none that fits. */
static outcome
ask_number(questions *self, PyObject *message, question what, int64_t *to)
{
    PyObject *answer = ask(self, message, what);
    if (answer == NULL) {
        return FAILED;
    }
    int overflow = 1;
    if (PyLong_CheckExact(answer)) {
        *to = PyLong_AsLongLongAndOverflow(answer, &overflow);
    }
    Py_DECREF(answer);
    return overflow ? LEFT : TAKEN;
}

/* Kafka's timestamp of a message, if it has one. */
static outcome
ask_timestamp(questions *self, PyObject *message, bool *timed, int64_t *milliseconds)
{
    PyObject *answer = ask(self, message, TIMESTAMP);
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
        if (!*timed) {
            *milliseconds = 0; /* whatever it says, it means none */
        }
    }
    Py_DECREF(answer);
    return overflow ? LEFT : TAKEN;
}

#endif
