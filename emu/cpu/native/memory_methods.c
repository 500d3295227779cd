/* The Python type's methods for the memory model in a run, and its part of a snapshot. */
#include <string.h>

#include "core.h"
#include "memory_model_type.h"

static bool has_model(const Core *core)
{
    if (!core->memory)
        PyErr_SetString(PyExc_RuntimeError, "this run has no memory model");
    return core->memory != NULL;
}

/* set_memory_model(geometry): from here on; before anything has run. */
PyObject *core_set_memory_model(Core *core, PyObject *geometry)
{
    MemoryGeometry fields;
    if (!core->timing || core->memory || block_instructions(core))
        return PyErr_Format(PyExc_RuntimeError, "a memory model is set once, behind the timing model and before a run");
    if (!PyDict_Check(geometry))
        return PyErr_Format(PyExc_TypeError, "a geometry is a dict");
    if (!memory_geometry_read(geometry, &fields))
        return NULL;
    MemoryEvents *events = calloc(1, sizeof *events);
    if (!events)
        return PyErr_NoMemory();
    const char *why = memory_model_init(&events->model, &fields, memory_table_access(events));
    if (why) {
        free(events);
        return PyErr_Format(PyExc_ValueError, "%s", why);
    }
    events->core = core;
    events->first_instructions = -1;
    events->fetch_shift = fields.data_cache_bytes ? events->model.line_shift : 2;
    events->fetch_bytes = events->fetch_shift < 4 ? 4 : 16;
    core->memory = events;
    memory_control(core, CONTROL_CR3);
    events->model.counters.flushes_cr3 = 0;
    lib.tb_flush(core->cpu);
    Py_RETURN_NONE;
}

void memory_events_end(Core *core)
{
    if (!core->memory)
        return;
    memory_record_end(core->memory);
    memory_model_end(&core->memory->model);
    free(core->memory);
    core->memory = NULL;
}

PyObject *core_memory_counters(Core *core, PyObject *unused)
{
    return has_model(core) ? memory_counters_dict(&core->memory->model) : NULL;
}

PyObject *core_paged_accesses(Core *core, PyObject *unused)
{
    return has_model(core) ? PyLong_FromUnsignedLongLong(memory_paged_accesses(core->memory)) : NULL;
}

PyObject *core_memory_tlb(Core *core, PyObject *unused)
{
    return has_model(core) ? memory_tlb_list(&core->memory->model, true) : NULL;
}

PyObject *core_memory_lines(Core *core, PyObject *unused)
{
    return has_model(core) ? memory_lines_list(&core->memory->model) : NULL;
}

/* record_memory(wanted): from here on, or no more; what was recorded and not taken is forgotten. */
PyObject *core_record_memory(Core *core, PyObject *wanted)
{
    if (!has_model(core))
        return NULL;
    if (core->running)
        return PyErr_Format(PyExc_RuntimeError, "not while the processor runs: stop it first");
    memory_record_end(core->memory);
    if (PyObject_IsTrue(wanted)) {
        core->memory->record = calloc(1, sizeof *core->memory->record);
        if (!core->memory->record)
            return PyErr_NoMemory();
        core->memory->record->then = block_ticks(core);
    }
    set_current_block(core, NULL); /* it has ended */
    lib.tb_flush(core->cpu);       /* only what is translated from here on tells all of it */
    Py_RETURN_NONE;
}

/* take_memory_record(): what was recorded since the last time: (records, results), in memory_model_type.c's format. */
PyObject *core_take_memory_record(Core *core, PyObject *unused)
{
    enum { RECORD_BYTES = 16, RESULT_BYTES = 12 };
    if (!has_model(core))
        return NULL;
    MemoryRecord *all = core->memory->record;
    if (!all)
        return PyErr_Format(PyExc_RuntimeError, "nothing is recorded");
    if (all->failed)
        return PyErr_NoMemory();
    PyObject *taken = Py_BuildValue("(y#y#)", (char *)all->records, (Py_ssize_t)(all->count * RECORD_BYTES),
                                    (char *)all->results, (Py_ssize_t)(all->count * RESULT_BYTES));
    all->count = 0;
    return taken;
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

typedef struct {
    void *at;
    size_t bytes;
} Part;

enum { PARTS = 6 };

/* What caches hold, which is not in the struct. */
static void parts_of(MemoryModel *model, Part parts[PARTS])
{
    ModelCache *caches[] = {&model->data_cache, &model->code_cache};
    for (int i = 0; i < 2; i++) {
        size_t lines = caches[i]->lines, sets = lines ? caches[i]->set_mask + 1 : 0;
        parts[3 * i] = (Part){caches[i]->tags, lines * sizeof *caches[i]->tags};
        parts[3 * i + 1] = (Part){caches[i]->states, lines};
        parts[3 * i + 2] = (Part){caches[i]->recent, sets};
    }
}

size_t memory_state_size(const Core *core)
{
    if (!core->memory)
        return 0;
    Part parts[PARTS];
    size_t size = sizeof *core->memory;
    parts_of(&core->memory->model, parts);
    for (int i = 0; i < PARTS; i++)
        size += parts[i].bytes;
    return size;
}

void memory_state_save(const Core *core, uint8_t *state)
{
    if (!core->memory)
        return;
    Part parts[PARTS];
    memcpy(state, core->memory, sizeof *core->memory);
    state += sizeof *core->memory;
    parts_of(&core->memory->model, parts);
    for (int i = 0; i < PARTS; i++) {
        memcpy(state, parts[i].at, parts[i].bytes);
        state += parts[i].bytes;
    }
}

void memory_state_load(Core *core, const uint8_t *state)
{
    MemoryEvents *events = core->memory;
    if (!events)
        return;
    Part parts[PARTS];
    ModelCache data = events->model.data_cache, code = events->model.code_cache; /* with their own arrays */
    MemoryRecord *record = events->record;
    memcpy(events, state, sizeof *events);
    events->core = core;
    events->record = record;
    events->helper_ra = 0;
    events->model.tables = memory_table_access(events);
    events->model.data_cache = data;
    events->model.code_cache = code;
    state += sizeof *events;
    parts_of(&events->model, parts);
    for (int i = 0; i < PARTS; i++) {
        memcpy(parts[i].at, state, parts[i].bytes);
        state += parts[i].bytes;
    }
    memory_model_forget(&events->model); /* keys point into the model that they were saved from */
    if (record)
        record->then = block_ticks(core);
}
