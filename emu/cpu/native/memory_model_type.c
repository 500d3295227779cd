/* The Python type that drives a memory model without a processor: for tests and measurements.
 *
 * A trace is a sequence of 16-byte little-endian records, a result one of 12 bytes for each:
 *
 *     record   0 operation   1 size   2 flags   3 zero   4 address   8 value   12 clocks since the event before,
 *              signed: an INT whose delivery faults gives back what it took
 *     result   0 clocks waited   4 outcome   8 physical address
 */
#include "memory_model_type.h"

#include <string.h>

#include "memory_model.h"

typedef enum {
    TRACE_READ,
    TRACE_WRITE,
    TRACE_FETCH,
    TRACE_STORE, /* puts value's 4 bytes into memory: what a write to page tables wrote */
    TRACE_CR0,
    TRACE_CR3,
    TRACE_CR4,
    TRACE_TASK_SWITCH, /* with CR3 = value */
    TRACE_INVLPG,
    TRACE_FLUSH_CACHE, /* flags 1: WBINVD */
    TRACE_SNOOP,       /* of value bytes; flags 1: the device writes */
    TRACE_DRAIN,
} TraceOperation;

typedef struct {
    uint8_t operation, size, flags, zero;
    uint32_t address, value;
    int32_t clocks;
} TraceRecord;

typedef struct {
    uint32_t clocks, outcome, physical;
} TraceResult;

typedef struct {
    PyObject_HEAD
    MemoryModel model;
    Py_buffer memory;
    int64_t now;
    bool ready;
} TypeObject;

/* ---- page tables in a buffer ------------------------------------------------------------------------------------- */

static uint32_t table_read(void *context, uint32_t physical)
{
    const TypeObject *self = context;
    uint32_t entry = 0; /* beyond memory nothing is present */
    if ((uint64_t)physical + sizeof entry <= (uint64_t)self->memory.len)
        memcpy(&entry, (char *)self->memory.buf + physical, sizeof entry);
    return entry;
}

static void table_store(TypeObject *self, uint32_t physical, uint32_t entry)
{
    if ((uint64_t)physical + sizeof entry <= (uint64_t)self->memory.len)
        memcpy((char *)self->memory.buf + physical, &entry, sizeof entry);
}

static void table_set(void *context, uint32_t physical, uint32_t bits)
{
    table_store(context, physical, table_read(context, physical) | bits);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int type_init(TypeObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"geometry", "memory", "filters", NULL};
    PyObject *dict;
    int filters = true;
    MemoryGeometry geometry;
    if (self->ready) {
        PyErr_SetString(PyExc_RuntimeError, "a memory model is made once");
        return -1;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!w*|p", names, &PyDict_Type, &dict, &self->memory, &filters) ||
        !memory_geometry_read(dict, &geometry))
        return -1;
    const char *why = memory_model_init(&self->model, &geometry, (PageTableAccess){table_read, table_set, self});
    if (why) {
        PyErr_SetString(PyExc_ValueError, why);
        return -1;
    }
    self->model.filters = filters;
    self->ready = true;
    return 0;
}

static void type_dealloc(TypeObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->ready)
        memory_model_end(&self->model);
    if (self->memory.obj)
        PyBuffer_Release(&self->memory);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- traces ------------------------------------------------------------------------------------------------------ */

static int64_t other_event(TypeObject *self, const TraceRecord *record)
{
    MemoryModel *model = &self->model;
    uint32_t cr0 = model->cr0, cr3 = model->cr3, cr4 = model->cr4, value = record->value;
    switch ((TraceOperation)record->operation) {
    case TRACE_STORE: table_store(self, record->address, value); return 0;
    case TRACE_CR0: memory_model_control(model, value, cr3, cr4, CONTROL_CR0); return 0;
    case TRACE_CR3: memory_model_control(model, cr0, value, cr4, CONTROL_CR3); return 0;
    case TRACE_CR4: memory_model_control(model, cr0, cr3, value, CONTROL_CR4); return 0;
    case TRACE_TASK_SWITCH: memory_model_control(model, cr0, value, cr4, CONTROL_TASK_SWITCH); return 0;
    case TRACE_INVLPG: memory_model_invlpg(model, record->address); return 0;
    case TRACE_FLUSH_CACHE: return memory_model_flush_cache(model, record->flags & 1, self->now);
    case TRACE_SNOOP: memory_model_snoop(model, record->address, value, record->flags & 1, self->now); return 0;
    case TRACE_DRAIN: return memory_model_drain(model, self->now);
    default: return -1;
    }
}

static bool trace_step(TypeObject *self, const TraceRecord *record, TraceResult *result)
{
    MemoryModel *model = &self->model;
    int64_t clocks;
    self->now += record->clocks;
    model->outcome = model->physical = 0;
    if (record->operation <= TRACE_FETCH)
        clocks = memory_model_access(model, record->address, record->size, (MemoryKind)record->operation,
                                     record->flags, self->now);
    else
        clocks = other_event(self, record);
    if (clocks < 0)
        return false;
    self->now += clocks;
    *result = (TraceResult){(uint32_t)clocks, model->outcome, model->physical};
    return true;
}

static bool check_trace(const Py_buffer *trace)
{
    const TraceRecord *records = trace->buf;
    if (trace->len % (Py_ssize_t)sizeof *records)
        return PyErr_Format(PyExc_ValueError, "a trace is made of records of 16 bytes"), false;
    for (Py_ssize_t i = 0; i < trace->len / (Py_ssize_t)sizeof *records; i++) {
        const TraceRecord *record = &records[i];
        if (record->operation > TRACE_DRAIN ||
            (record->operation <= TRACE_FETCH && (record->size < 1 || record->size > 16)) ||
            (record->operation == TRACE_SNOOP && record->value < 1))
            return PyErr_Format(PyExc_ValueError, "record %zd has no such operation or size", i), false;
    }
    return true;
}

/* run(trace): the results, as bytes; with `quiet`, none. */
static PyObject *type_run(TypeObject *self, PyObject *args)
{
    Py_buffer trace;
    int quiet = false;
    if (!PyArg_ParseTuple(args, "y*|p", &trace, &quiet))
        return NULL;
    PyObject *bytes = NULL;
    if (check_trace(&trace)) {
        Py_ssize_t count = trace.len / (Py_ssize_t)sizeof(TraceRecord);
        bytes = PyBytes_FromStringAndSize(NULL, quiet ? 0 : count * (Py_ssize_t)sizeof(TraceResult));
        for (Py_ssize_t i = 0; bytes && i < count; i++) {
            TraceResult result = {0};
            trace_step(self, (const TraceRecord *)trace.buf + i, &result);
            if (!quiet)
                memcpy(PyBytes_AS_STRING(bytes) + i * (Py_ssize_t)sizeof result, &result, sizeof result);
        }
    }
    PyBuffer_Release(&trace);
    return bytes;
}

/* passes(trace, times): how many of its accesses the filter lets through, as the model is now, summed over `times`. */
static PyObject *type_passes(TypeObject *self, PyObject *args)
{
    Py_buffer trace;
    int times = 1;
    if (!PyArg_ParseTuple(args, "y*|i", &trace, &times))
        return NULL;
    unsigned long long passed = 0;
    bool good = check_trace(&trace);
    const TraceRecord *records = trace.buf;
    const TraceRecord *end = records + trace.len / (Py_ssize_t)sizeof *records;
    for (; good && times > 0; times--) {
        BusUse bus;
        for (const TraceRecord *record = records; record < end; record++)
            passed += record->operation <= TRACE_FETCH &&
                      memory_model_filter(&self->model, record->address, record->size, (MemoryKind)record->operation,
                                          record->flags, &bus);
        __asm__ volatile("" ::: "memory");
    }
    PyBuffer_Release(&trace);
    return good ? PyLong_FromUnsignedLongLong(passed) : NULL;
}

/* ---- contents ---------------------------------------------------------------------------------------------------- */

static PyObject *type_counters(TypeObject *self, PyObject *unused) { return memory_counters_dict(&self->model); }
static PyObject *type_tlb(TypeObject *self, PyObject *unused) { return memory_tlb_list(&self->model, false); }
static PyObject *type_lines(TypeObject *self, PyObject *unused) { return memory_lines_list(&self->model); }

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void *)type_run, METH_VARARGS, NULL},
    {"passes", (PyCFunction)(void *)type_passes, METH_VARARGS, NULL},
    {"counters", (PyCFunction)(void *)type_counters, METH_NOARGS, NULL},
    {"tlb", (PyCFunction)(void *)type_tlb, METH_NOARGS, NULL},
    {"lines", (PyCFunction)(void *)type_lines, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)PyType_GenericNew},
    {Py_tp_init, (void *)type_init},
    {Py_tp_dealloc, (void *)type_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)"A memory system as a timing model, driven by traces; see memory_model.h."},
    {0, NULL},
};

static PyType_Spec spec = {"hillemu.emu.cpu._core.MemoryModel", sizeof(TypeObject), 0, Py_TPFLAGS_DEFAULT, slots};

bool memory_model_type_add(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    if (type && !PyModule_AddObject(module, "MemoryModel", type))
        return true;
    Py_XDECREF(type);
    return false;
}
