/* Converts messages whose records have a common shape to lines. workers/records/converter.py converts the
 * rest.
 *
 * The kernel leaves each message with anything uncommon to the Python path: nested values, escapes, unusual
 * forms of numbers and times, values over a limit, and everything that is wrong. So only Python defines
 * what a record means, and both paths make the same line. Input is hostile: each read is bounded, by a size
 * or by the zero that ends every bytes object. */
#include "configured_fields.h"
#include "constants.h"
#include "convert.h"

PyDoc_STRVAR(
    convert_doc,
    "convert($self, messages, start, lines, origins, next_offsets, records, /)\n"
    "--\n\n"
    "Convert messages until one is left to the Python path.\n\n"
    "Args:\n"
    "    messages: Consumed messages.\n"
    "    start: Position of the first message to convert.\n"
    "    lines: Gets the lines.\n"
    "    origins: Gets the origin of each line.\n"
    "    next_offsets: Gets for each partition the offset after the last message converted.\n"
    "    records: Gets for each partition the number of records converted, added to what it holds.\n\n"
    "Returns:\n"
    "    Position of the message that is left, or the number of messages; records converted; bytes of the\n"
    "    lines with a newline each; values omitted; for each thing that can be wrong with a time, how many "
    "had it.");

static PyObject *
Kernel_convert(Kernel *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 6 || !PyList_CheckExact(args[0]) || !PyLong_CheckExact(args[1]) ||
        !PyList_CheckExact(args[2]) || !PyList_CheckExact(args[3]) || !PyDict_Check(args[4]) ||
        !PyDict_Check(args[5])) {
        PyErr_SetString(PyExc_TypeError, "convert(messages: list, start: int, lines: list, origins: list, "
                                         "next_offsets: dict, records: dict)");
        return NULL;
    }
    Py_ssize_t at = PyLong_AsSsize_t(args[1]);
    if (at < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "start is negative");
        }
        return NULL;
    }
    if (self->busy || !self->ready) {
        PyErr_SetString(PyExc_RuntimeError, "a kernel converts one list at a time");
        return NULL;
    }
    self->busy = true;
    Output output = {.lines = args[2], .origins = args[3], .next_offsets = args[4], .records = args[5]};
    Outcome outcome = DONE;
    /* The size is read each time: a message's method may be Python, which may change the list. */
    while (at < PyList_GET_SIZE(args[0])) {
        PyObject *message = Py_NewRef(PyList_GET_ITEM(args[0], at));
        outcome = convert_message(self, message, &output);
        Py_DECREF(message);
        if (outcome != DONE) {
            break;
        }
        at++;
    }
    /* Also after an error: the lines that exist are counted, and no count is left for a later batch. */
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    bool flushed = flush(self, &output);
    while (self->touched_count) {
        self->accounts[self->touched[--self->touched_count]].count = 0;
    }
    self->busy = false;
    if (outcome == FAILED) {
        PyErr_Restore(type, error, traceback);
        return NULL;
    }
    PyObject *times = flushed ? PyTuple_New(TIME_COUNTS) : NULL;
    for (Py_ssize_t index = 0; times != NULL && index < TIME_COUNTS; index++) {
        PyObject *number = PyLong_FromSsize_t(output.times[index]);
        if (number == NULL) {
            Py_CLEAR(times);
            break;
        }
        PyTuple_SET_ITEM(times, index, number);
    }
    return times == NULL ? NULL
                         : Py_BuildValue("nnnnN", at, output.converted, output.size, output.omitted, times);
}

static int
Kernel_init(Kernel *self, PyObject *args, PyObject *kwargs)
{
    static char *options[] = {"json",      "msgpack",    "line",       "max_bytes",      "max_fields",
                              "max_key",   "max_tag",    "max_text",   "window",         "keep_own",
                              "keep_fine", "read_texts", "read_local", "partition_type", "origin_type",
                              "line_tags", "tag_count",  "fields",     "name_of",        "series_of",
                              "admit",     "mark",       NULL};
    Memory *memory = &self->memory;
    int json, msgpack, line, keep_own, keep_fine, read_texts, read_local;
    Py_ssize_t max_bytes, max_fields, max_key, max_tag, max_text, tag_count;
    long long window;
    PyObject *partition_type, *origin_type, *line_tags, *fields, *name_of, *series_of, *admit, *mark;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$pppnnnnnLppppOO!O!nOOOOO", options, &json, &msgpack,
                                     &line, &max_bytes, &max_fields, &max_key, &max_tag, &max_text, &window,
                                     &keep_own, &keep_fine, &read_texts, &read_local, &partition_type,
                                     &PyType_Type, &origin_type, &PyTuple_Type, &line_tags, &tag_count,
                                     &fields, &name_of, &series_of, &admit, &mark)) {
        return -1;
    }
    if (max_fields < 0 || max_key < 0 || max_tag < 0 || max_text < 0 || tag_count < 0 || tag_count > 1000 ||
        window < 0 || window > LATEST) {
        PyErr_SetString(PyExc_ValueError, "a limit is out of its range");
        return -1;
    }
    if (!PyType_IsSubtype((PyTypeObject *)origin_type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "origin_type is no tuple");
        return -1;
    }
    if (self->begun) {
        PyErr_SetString(PyExc_RuntimeError, "a kernel is initialised once");
        return -1;
    }
    self->begun = true;
    if (mark != Py_None) {
        if (PyObject_GetBuffer(mark, &self->mark, PyBUF_WRITABLE) < 0) {
            return -1;
        }
        if (self->mark.len < 2 * (Py_ssize_t)sizeof(int64_t)) {
            PyErr_SetString(PyExc_ValueError, "the mark has no room for two numbers");
            return -1;
        }
    }
    self->json = json;
    self->msgpack = msgpack;
    self->line = line;
    self->max_bytes = max_bytes;
    self->partition_type = Py_NewRef(partition_type);
    self->origin_type = (PyTypeObject *)Py_NewRef(origin_type);
    memory->name_of = Py_NewRef(name_of);
    memory->series_of = Py_NewRef(series_of);
    memory->admit = Py_NewRef(admit);
    memory->max_fields = (size_t)max_fields;
    memory->max_key = (size_t)max_key;
    memory->max_tag = (size_t)max_tag;
    memory->max_text = (size_t)max_text;
    memory->window = window;
    memory->keep_own = keep_own;
    memory->keep_fine = keep_fine;
    memory->read_texts = read_texts;
    memory->read_local = read_local;
    memory->tag_count = (size_t)tag_count;
    memory->tags = PyMem_Calloc((size_t)tag_count + 1, sizeof(Slice));
    memory->tag_digits = PyMem_Calloc((size_t)tag_count + 1, DIGITS);
    memory->fields_text = PyMem_Malloc(FIELDS_TEXT_BYTES + PADDED_BYTES);
    memory->layouts = PyMem_Calloc(LAYOUTS, sizeof(Layout));
    self->touched = PyMem_Calloc(PARTITIONS, sizeof(int64_t));
    self->accounts = PyMem_Calloc(PARTITIONS, sizeof(Account));
    for (size_t index = 0; index < SHAPE; index++) {
        memory->shape[index] = KEPT_FIELDS;
    }
    if (memory->tags == NULL || memory->tag_digits == NULL || memory->fields_text == NULL ||
        memory->layouts == NULL || self->touched == NULL || self->accounts == NULL ||
        !fields_open(&memory->fields) || !series_open(&memory->series)) {
        PyErr_NoMemory();
        return -1;
    }
    if (!access_open(&self->access) || !line_tags_open(memory, line_tags) ||
        !add_configured_fields(&memory->fields, fields)) {
        return -1;
    }
    for (size_t index = 0; index < memory->fields.count; index++) {
        const Field *field = &memory->fields.kept[index];
        if (field->kind > TIME || (field->kind == TAG && field->tag >= memory->tag_count)) {
            PyErr_SetString(PyExc_ValueError, "a field is of no known kind");
            return -1;
        }
    }
    self->ready = true;
    return 0;
}

static int
Kernel_traverse(Kernel *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->partition_type);
    Py_VISIT(self->origin_type);
    Py_VISIT(self->memory.line_tags_kept);
    Py_VISIT(self->memory.name_of);
    Py_VISIT(self->memory.series_of);
    Py_VISIT(self->memory.admit);
    Py_VISIT(self->access.type);
    Py_VISIT(self->mark.obj);
    return 0;
}

static int
Kernel_clear(Kernel *self)
{
    self->ready = false;
    Py_CLEAR(self->partition_type);
    Py_CLEAR(self->origin_type);
    Py_CLEAR(self->memory.line_tags_kept);
    Py_CLEAR(self->memory.name_of);
    Py_CLEAR(self->memory.series_of);
    Py_CLEAR(self->memory.admit);
    access_close(&self->access);
    PyBuffer_Release(&self->mark);
    return 0;
}

static void
Kernel_dealloc(Kernel *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Kernel_clear(self);
    for (int64_t index = 0; self->accounts != NULL && index < PARTITIONS; index++) {
        Py_XDECREF(self->accounts[index].topic);
        Py_XDECREF(self->accounts[index].partition);
    }
    PyMem_Free(self->accounts);
    PyMem_Free(self->touched);
    PyMem_Free(self->memory.line_tags);
    PyMem_Free(self->memory.tagged_series);
    PyMem_Free(self->memory.tags);
    PyMem_Free(self->memory.tag_digits);
    PyMem_Free(self->memory.fields_text);
    PyMem_Free(self->memory.layouts);
    fields_close(&self->memory.fields);
    series_close(&self->memory.series);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Kernel_methods[] = {
    {"convert", (PyCFunction)(void (*)(void))Kernel_convert, METH_FASTCALL, convert_doc},
    {NULL},
};

static PyType_Slot Kernel_slots[] = {
    {Py_tp_doc,
     "Converts messages whose records have a common shape to lines. Built by workers.records.native."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, Kernel_init},
    {Py_tp_dealloc, Kernel_dealloc},
    {Py_tp_traverse, Kernel_traverse},
    {Py_tp_clear, Kernel_clear},
    {Py_tp_methods, Kernel_methods},
    {0, NULL},
};

static PyType_Spec Kernel_spec = {
    .name = "workers._kernel.Kernel",
    .basicsize = sizeof(Kernel),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Kernel_slots,
};

static int
kernel_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &Kernel_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int added = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return added < 0 ? added : add_constants(module);
}

static PyModuleDef_Slot kernel_slots[] = {
    {Py_mod_exec, kernel_exec},
    {0, NULL},
};

static struct PyModuleDef kernel_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "workers._kernel",
    .m_doc = "Converts common messages to lines in C.",
    .m_slots = kernel_slots,
};

PyMODINIT_FUNC
PyInit__kernel(void)
{
    return PyModuleDef_Init(&kernel_module);
}
