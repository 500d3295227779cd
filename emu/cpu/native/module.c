/* The Python type: one Core is one processor.  emu/cpu/core.py is its only user and documents it. */
#include <string.h>

#include "core.h"
#include "memory_model_type.h"

/* ---- processor model ------------------------------------------------------------------------------------------- */

static PyObject *core_configure(Core *core, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"cpuid",   "msrs",         "features", "cr4_valid", "eflags_fixed",
                            "has_cr4", "has_sysenter", "io_ticks", NULL};
    PyObject *cpuid, *msrs, *features;
    unsigned long cr4_valid, eflags_fixed;
    int has_cr4, has_sysenter;
    long long io_ticks;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O!O!kkppL", names, &PyList_Type, &cpuid, &PyList_Type, &msrs,
                                     &PyList_Type, &features, &cr4_valid, &eflags_fixed, &has_cr4, &has_sysenter,
                                     &io_ticks))
        return NULL;
    Py_ssize_t leaves = PyList_GET_SIZE(cpuid), registers = PyList_GET_SIZE(msrs);
    core->cpuid = calloc(leaves + 1, sizeof *core->cpuid);
    core->msrs = calloc(registers + 1, sizeof *core->msrs);
    if (!core->cpuid || !core->msrs)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < leaves; i++) {
        CpuidLeaf *leaf = &core->cpuid[i];
        if (!PyArg_ParseTuple(PyList_GET_ITEM(cpuid, i), "IIIIII", &leaf->leaf, &leaf->subleaf, &leaf->eax, &leaf->ebx,
                              &leaf->ecx, &leaf->edx))
            return NULL;
    }
    for (Py_ssize_t i = 0; i < registers; i++) {
        unsigned long long value, writable;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(msrs, i), "IKK", &core->msrs[i].index, &value, &writable))
            return NULL;
        core->msrs[i].value = value;
        core->msrs[i].writable = writable;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(features) && i < ENV_FEATURE_WORDS; i++) {
        unsigned long long word = PyLong_AsUnsignedLongLong(PyList_GET_ITEM(features, i));
        if (PyErr_Occurred())
            return NULL;
        FIELD(uint64_t, core->env, ENV_FEATURES + 8 * i) = word;
    }
    core->cpuid_count = (size_t)leaves;
    core->msr_count = (size_t)registers;
    core->has_cpuid = leaves > 0;
    core->cr4_valid = (uint32_t)cr4_valid;
    core->eflags_fixed = (uint32_t)eflags_fixed;
    core->port_waits[0] = (PortWait){0, 0x10000, 4, io_ticks, 0};
    core->has_cr4 = has_cr4;
    core->has_sysenter = has_sysenter;
    Py_RETURN_NONE;
}

static PyObject *core_reset(Core *core, PyObject *args)
{
    unsigned signature;
    if (!PyArg_ParseTuple(args, "I", &signature))
        return NULL;
    registers_reset(core, signature);
    rearm(core);
    Py_RETURN_NONE;
}

/* ---- registers ------------------------------------------------------------------------------------------------- */

static PyObject *core_get(Core *core, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    uint64_t value;
    if (!text)
        return NULL;
    if (!register_read(core, text, &value))
        return PyErr_Format(PyExc_KeyError, "%s is no register", text);
    return PyLong_FromUnsignedLongLong(value);
}

static PyObject *core_set(Core *core, PyObject *args)
{
    const char *name;
    unsigned long long value;
    if (!PyArg_ParseTuple(args, "sK", &name, &value) || !observer_may_change(core))
        return NULL;
    if (core->running && !strcmp(name, "eip"))
        return PyErr_Format(PyExc_RuntimeError, "EIP cannot be set while the processor runs");
    if (!register_write(core, name, value))
        return PyErr_Format(PyExc_KeyError, "%s is no register", name);
    Py_RETURN_NONE;
}

static PyObject *core_segment(Core *core, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    void *cache = text ? segment_cache(core, text) : NULL;
    if (!cache)
        return text ? PyErr_Format(PyExc_KeyError, "%s is no segment register", text) : NULL;
    return Py_BuildValue("IIII", FIELD(uint32_t, cache, SEG_SELECTOR), (uint32_t)FIELD(uint64_t, cache, SEG_BASE),
                         FIELD(uint32_t, cache, SEG_LIMIT), FIELD(uint32_t, cache, SEG_FLAGS));
}

static PyObject *core_set_segment(Core *core, PyObject *args)
{
    const char *name;
    unsigned selector, base, limit, flags;
    if (!PyArg_ParseTuple(args, "sIIII", &name, &selector, &base, &limit, &flags) || !observer_may_change(core))
        return NULL;
    if (!segment_set(core, name, selector, base, limit, flags))
        return PyErr_Format(PyExc_KeyError, "%s is no segment register", name);
    Py_RETURN_NONE;
}

static PyObject *core_registers(Core *core, PyObject *unused) { return registers_dict(core); }

static PyObject *core_basic_registers(Core *core, PyObject *unused) { return registers_basic(core); }

static PyObject *core_linear_eip(Core *core, PyObject *unused)
{
    if (core->in_access)
        sync_state(core);
    return PyLong_FromUnsignedLong(linear_eip(core));
}

/* ---- time and interrupts --------------------------------------------------------------------------------------- */

static PyObject *core_ticks(Core *core, PyObject *unused) { return PyLong_FromLongLong(clock_ticks(core)); }

static PyObject *core_instructions(Core *core, PyObject *unused)
{
    return PyLong_FromLongLong(clock_instructions(core));
}

static PyObject *core_set_deadline(Core *core, PyObject *at)
{
    long long deadline = PyLong_AsLongLong(at);
    if (PyErr_Occurred())
        return NULL;
    core->deadline = deadline;
    rearm(core);
    Py_RETURN_NONE;
}

static PyObject *core_set_interrupt_line(Core *core, PyObject *level)
{
    core->interrupt_line = PyObject_IsTrue(level);
    if (core->interrupt_line) {
        FIELD(uint32_t, core->cpu, CPU_INTERRUPT_REQUEST) |= CPU_INTERRUPT_HARD;
        core->attention = true;
        rearm(core);
    }
    Py_RETURN_NONE;
}

static PyObject *core_pull_nmi(Core *core, PyObject *unused)
{
    core->nmi_pending = true;
    FIELD(uint32_t, core->cpu, CPU_INTERRUPT_REQUEST) |= CPU_INTERRUPT_HARD;
    core->attention = true;
    rearm(core);
    Py_RETURN_NONE;
}

static PyObject *core_set_cpuid_edx(Core *core, PyObject *args)
{
    unsigned leaf, edx;
    if (!PyArg_ParseTuple(args, "II", &leaf, &edx))
        return NULL;
    for (size_t i = 0; i < core->cpuid_count; i++)
        if (core->cpuid[i].leaf == leaf)
            core->cpuid[i].edx = edx;
    Py_RETURN_NONE;
}

static PyObject *core_open_window(Core *core, PyObject *args)
{
    unsigned port;
    int size, output;
    PyObject *buffer;
    Py_ssize_t start, end;
    if (!PyArg_ParseTuple(args, "IipOnn", &port, &size, &output, &buffer, &start, &end) ||
        !window_open(core, port, size, output, buffer, (size_t)start, (size_t)end))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *core_close_window(Core *core, PyObject *port)
{
    unsigned long number = PyLong_AsUnsignedLong(port);
    if (PyErr_Occurred())
        return NULL;
    return PyLong_FromSsize_t(window_close(core, (uint32_t)number));
}

/* Physical address 0, which is memory: there is no such word. */
static PyObject *core_set_still_word(Core *core, PyObject *args)
{
    Py_ssize_t number;
    unsigned long long at;
    unsigned value;
    if (!PyArg_ParseTuple(args, "nKI", &number, &at, &value))
        return NULL;
    if (!still_word_set(core, (size_t)number, at, value))
        return PyErr_Format(PyExc_IndexError, "there is no still word %zd", number);
    Py_RETURN_NONE;
}

static PyObject *core_deliveries(Core *core, PyObject *unused)
{
    uint64_t kept = core->deliveries < HISTORY_LENGTH ? core->deliveries : HISTORY_LENGTH;
    PyObject *result = PyList_New(0);
    for (uint64_t i = core->deliveries - kept; result && i < core->deliveries; i++) {
        const Delivery *d = &core->history[i % HISTORY_LENGTH];
        PyObject *item = Py_BuildValue("iIIIIIL", (int)d->kind, d->vector, d->error_code, d->cs, d->eip, d->cr2,
                                       (long long)d->instructions);
        if (!item || PyList_Append(result, item))
            Py_CLEAR(result);
        Py_XDECREF(item);
    }
    return result;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static PyObject *core_run(Core *core, PyObject *args)
{
    long long instructions = -1, ticks = -1;
    int over_breakpoint = true;
    unsigned stay_from = 0, stay_bytes = 0;
    if (!PyArg_ParseTuple(args, "|LLpII", &instructions, &ticks, &over_breakpoint, &stay_from, &stay_bytes) ||
        !is_stopped(core))
        return NULL;
    StopCode stop = run(core, instructions, ticks, over_breakpoint, stay_from, stay_bytes);
    if (core->error_type) {
        PyErr_Restore(core->error_type, core->error_value, core->error_traceback);
        core->error_type = core->error_value = core->error_traceback = NULL;
        return NULL;
    }
    return PyLong_FromLong(stop);
}

static PyObject *core_stop(Core *core, PyObject *unused)
{
    core->stop_requested = true;
    rearm(core);
    Py_RETURN_NONE;
}

static PyObject *core_error_text(Core *core, PyObject *unused)
{
    if (!core->uc_error)
        return PyUnicode_FromString("");
    return PyUnicode_FromFormat("%s (physical address %p)", lib.strerror(core->uc_error),
                                FIELD(void *, core->uc, UC_INVALID_ADDR)); /* FromFormat knows no long %x */
}

#define METHOD(name, flags) {#name, (PyCFunction)(void *)core_##name, flags, NULL}

static PyMethodDef methods[] = {
    METHOD(map_memory, METH_VARARGS),
    METHOD(map_mmio, METH_VARARGS),
    METHOD(unmap, METH_VARARGS),
    METHOD(host_wrote, METH_FASTCALL),
    METHOD(flush_tlb, METH_NOARGS),
    METHOD(set_a20, METH_O),
    METHOD(configure, METH_VARARGS | METH_KEYWORDS),
    METHOD(reset, METH_VARARGS),
    METHOD(get, METH_O),
    METHOD(set, METH_VARARGS),
    METHOD(segment, METH_O),
    METHOD(set_segment, METH_VARARGS),
    METHOD(registers, METH_NOARGS),
    METHOD(basic_registers, METH_NOARGS),
    METHOD(linear_eip, METH_NOARGS),
    METHOD(fpu_get, METH_O),
    METHOD(fpu_set, METH_VARARGS),
    METHOD(ticks, METH_NOARGS),
    METHOD(instructions, METH_NOARGS),
    METHOD(set_deadline, METH_O),
    METHOD(set_interrupt_line, METH_O),
    METHOD(pull_nmi, METH_NOARGS),
    METHOD(set_cpuid_edx, METH_VARARGS),
    METHOD(open_window, METH_VARARGS),
    METHOD(close_window, METH_O),
    METHOD(set_still_word, METH_VARARGS),
    METHOD(count_unanswered, METH_VARARGS),
    METHOD(settle_unanswered, METH_NOARGS),
    METHOD(answer_at_once, METH_O),
    METHOD(deliveries, METH_NOARGS),
    METHOD(save_state, METH_NOARGS),
    METHOD(close_windows, METH_NOARGS),
    METHOD(load_state, METH_O),
    METHOD(run, METH_VARARGS),
    METHOD(stop, METH_NOARGS),
    METHOD(error_text, METH_NOARGS),
    METHOD(add_breakpoint, METH_O),
    METHOD(remove_breakpoint, METH_O),
    METHOD(add_call_point, METH_O),
    METHOD(remove_call_point, METH_O),
    OBSERVER_METHODS,
    TIMING_METHODS,
    BRANCH_METHODS,
    MEMORY_METHODS,
    LINT_METHODS,
    PROFILE_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)PyType_GenericNew},
    {Py_tp_init, (void *)core_init},
    {Py_tp_dealloc, (void *)core_dealloc},
    {Py_tp_traverse, (void *)core_traverse},
    {Py_tp_clear, (void *)core_clear},
    {Py_tp_methods, methods},
    {Py_tp_doc, (void *)"One i386 processor on Unicorn; see emu/cpu/core.py."},
    {0, NULL},
};

static PyType_Spec spec = {"hillemu.emu.cpu._core.Core", sizeof(Core), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                           slots};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "hillemu.emu.cpu._core", .m_size = -1};

PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *self = PyModule_Create(&module);
    PyObject *type = self ? PyType_FromSpec(&spec) : NULL;
    if (!type || !memory_model_type_add(self) || PyModule_AddObject(self, "Core", type)) {
        Py_XDECREF(type);
        Py_XDECREF(self);
        return NULL;
    }
    return self;
}
