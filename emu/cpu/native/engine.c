/* The life of a core: an engine of Unicorn's, checked, hooked and registered; and its end. */
#include "core.h"

enum { UC_ARCH_X86 = 4, UC_MODE_32 = 1 << 2 };
#define CTL_WRITE(type, count) (int)((type) | (count) << 26 | 1u << 30)
enum { CTL_USE_EXITS = 4, CTL_CPU_MODEL = 7 };

/* ---- registry of our engines ----------------------------------------------------------------------------------- */

enum { MAX_ENGINES = 256 };
static Core *engines[MAX_ENGINES];
static size_t engine_count;
static Core *last_found;

Core *core_of_uc(const void *uc)
{
    if (last_found && last_found->uc == uc)
        return last_found;
    for (size_t i = 0; i < engine_count; i++)
        if (engines[i]->uc == uc)
            return last_found = engines[i];
    return NULL;
}

/* A machine's parts refer to each other, so only Python's collector frees it, and Python does not know how much a
 * machine holds: it might wait for hundreds of them. */
static void collect_dropped_machines(void)
{
    static size_t collect_at = 16;
    if (engine_count < collect_at)
        return;
    PyGC_Collect();
    collect_at = 2 * engine_count;
    if (collect_at < 16)
        collect_at = 16;
    if (collect_at > MAX_ENGINES)
        collect_at = MAX_ENGINES;
}

bool registry_add(Core *core)
{
    collect_dropped_machines();
    if (engine_count == MAX_ENGINES) {
        PyErr_Format(PyExc_RuntimeError, "%d machines in one process are too many: let go of some", MAX_ENGINES);
        return false;
    }
    engines[engine_count++] = core;
    return true;
}

void registry_remove(Core *core)
{
    last_found = NULL;
    for (size_t i = 0; i < engine_count; i++)
        if (engines[i] == core)
            engines[i--] = engines[--engine_count];
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

void keep_error(Core *core)
{
    if (core->error_type)
        PyErr_Clear(); /* the first one tells most */
    else
        PyErr_Fetch(&core->error_type, &core->error_value, &core->error_traceback);
    core->stop_requested = true;
    rearm(core);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

int core_init(Core *core, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"library",       "native", "cpu_model",      "on_in",    "on_out",   "on_mmio_read",
                            "on_mmio_write", "on_due", "on_acknowledge", "on_rdmsr", "on_wrmsr", NULL};
    PyObject *calls[8];
    const char *path;
    int native, model;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "spiOOOOOOOO", names, &path, &native, &model, &calls[0], &calls[1],
                                     &calls[2], &calls[3], &calls[4], &calls[5], &calls[6], &calls[7]))
        return -1;
    PyObject **slots[] = {&core->on_in,  &core->on_out,         &core->on_mmio_read, &core->on_mmio_write,
                          &core->on_due, &core->on_acknowledge, &core->on_rdmsr,     &core->on_wrmsr};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(slots); i++)
        *slots[i] = Py_NewRef(calls[i]);
    core->native = native;
    core->deadline = core->limit_by_instructions = core->limit_by_time = NEVER;
    core->silent_at = NOWHERE;
    core->buffers = PyList_New(0);
    if (!core->buffers || !library_load(path) || (native && !interpose_install()))
        return -1;

    int error = lib.open(UC_ARCH_X86, UC_MODE_32, &core->uc);
    if (!error)
        error = lib.ctl(core->uc, CTL_WRITE(CTL_CPU_MODEL, 1), model);
    if (error) {
        PyErr_Format(PyExc_RuntimeError, "Unicorn cannot make an engine: %s", lib.strerror(error));
        return -1;
    }
    if (!registry_add(core))
        return -1;
    uint32_t ignored;
    lib.reg_read(core->uc, 19 /* EAX */, &ignored); /* Unicorn initialises an engine at its first use */
    core->cpu = FIELD(void *, core->uc, UC_CPU);
    core->env = FIELD(void *, core->cpu, CPU_ENV_PTR);
    core->tcg = FIELD(void *, core->uc, UC_TCG_CTX);
    if (!layout_check(core))
        return -1;
    core->left = &FIELD(int64_t, core->cpu, CPU_ICOUNT_BUDGET);
    core->tb_id = &FIELD(uint32_t, core->cpu, CPU_ICOUNT_EXTRA);
    if (!exceptions_install(core) || !tlb_install(core) || !reclaim_install(core) ||
        (!native && !portable_install(core)))
        return -1;
    if (native)
        fixups_install(core);
    lib.ctl(core->uc, CTL_WRITE(CTL_USE_EXITS, 1), 1); /* no address ends a run */
    rearm(core);
    return 0;
}

int core_traverse(Core *core, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(core));
    Py_VISIT(core->on_in);
    Py_VISIT(core->on_out);
    Py_VISIT(core->on_mmio_read);
    Py_VISIT(core->on_mmio_write);
    Py_VISIT(core->silent);
    Py_VISIT(core->unanswered_reads);
    Py_VISIT(core->unanswered_writes);
    Py_VISIT(core->on_due);
    Py_VISIT(core->on_acknowledge);
    Py_VISIT(core->on_rdmsr);
    Py_VISIT(core->on_wrmsr);
    Py_VISIT(core->seen.on_event);
    Py_VISIT(core->buffers);
    Py_VISIT(core->error_type);
    Py_VISIT(core->error_value);
    Py_VISIT(core->error_traceback);
    return 0;
}

int core_clear(Core *core)
{
    Py_CLEAR(core->on_in);
    Py_CLEAR(core->on_out);
    Py_CLEAR(core->on_mmio_read);
    Py_CLEAR(core->on_mmio_write);
    Py_CLEAR(core->silent);
    Py_CLEAR(core->unanswered_reads);
    Py_CLEAR(core->unanswered_writes);
    Py_CLEAR(core->on_due);
    Py_CLEAR(core->on_acknowledge);
    Py_CLEAR(core->on_rdmsr);
    Py_CLEAR(core->on_wrmsr);
    Py_CLEAR(core->seen.on_event);
    Py_CLEAR(core->error_type);
    Py_CLEAR(core->error_value);
    Py_CLEAR(core->error_traceback);
    return 0;
}

void core_dealloc(Core *core)
{
    PyTypeObject *type = Py_TYPE(core);
    PyObject_GC_UnTrack(core);
    if (core->uc) {
        lib.close(core->uc);
        registry_remove(core);
    }
    core_clear(core);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(core->windows); i++)
        if (core->windows[i].size)
            window_close(core, core->windows[i].port);
    Py_CLEAR(core->buffers); /* after the engine: it looks at this memory */
    while (core->mmio_regions) {
        MmioRegion *next = core->mmio_regions->next;
        free(core->mmio_regions);
        core->mmio_regions = next;
    }
    free(core->executed);
    reclaim_end(core);
    free(core->cpuid);
    free(core->msrs);
    timing_end(core);
    memory_events_end(core);
    tlb_lint_end(core);
    profile_end(core);
    free(core->breakpoints);
    observers_end(core);
    type->tp_free(core);
    Py_DECREF(type);
}

bool is_stopped(const Core *core)
{
    if (core->running)
        PyErr_SetString(PyExc_RuntimeError, "not while the processor runs: stop it first");
    return !core->running;
}
