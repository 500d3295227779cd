/* What was observed waits for the next block start, and Python is told there.
 *
 * Between two blocks the state is that of the machine, exactly; no frame of QEMU's is in the middle of anything, and an
 * observer that raises or stops the run does so behind the instruction.  What it looks at cannot change the run.
 */
#include "core.h"

bool observe_is_pending(const Core *core)
{
    return (core->seen.count || core->seen.debug_hits) && !core->replaying;
}

/* A new event, for the caller to complete.  NULL: no memory, and the run ends. */
Event *observe_event(Core *core, EventKind kind)
{
    Observers *seen = &core->seen;
    if (seen->count == seen->capacity) {
        size_t capacity = seen->capacity ? 2 * seen->capacity : 16;
        Event *grown = realloc(seen->events, capacity * sizeof *grown);
        if (!grown) {
            PyErr_NoMemory();
            keep_error(core);
            return NULL;
        }
        seen->events = grown;
        seen->capacity = capacity;
    }
    Event *event = &seen->events[seen->count++];
    *event = (Event){.kind = kind,
                     .eip = FIELD(uint32_t, core->env, ENV_EIP),
                     .instructions = block_instructions(core)};
    return event;
}

PyObject *page_fault_tuple(const PageFault *fault)
{
    return Py_BuildValue("IIIIIL", fault->address, fault->error_code, fault->cs, fault->eip, fault->cr3,
                         (long long)fault->instructions);
}

/* Shape of each kind's tuple: see `Processor` in core.py. */
static PyObject *tuple_of(const Event *event)
{
    long long at = event->instructions;
    switch (event->kind) {
    case EVENT_ACCESS: {
        PyObject *before = event->before_known ? PyLong_FromUnsignedLongLong(event->before) : Py_NewRef(Py_None);
        return Py_BuildValue("IiIKiNKIL", event->watch, event->access, event->address,
                             (unsigned long long)event->physical, event->size, before,
                             (unsigned long long)event->after, event->eip, at);
    }
    case EVENT_CR3: return Py_BuildValue("IIIL", (uint32_t)event->before, (uint32_t)event->after, event->eip, at);
    case EVENT_PAGE_FAULT: return page_fault_tuple(&event->fault);
    case EVENT_ARRIVAL: return Py_BuildValue("IL", event->address, at);
    }
    return NULL;
}

static void tell(Core *core, const Event *event)
{
    if (!core->seen.on_event)
        return;
    core->seen.telling = true;
    PyObject *args[2] = {PyLong_FromLong(event->kind), tuple_of(event)};
    PyObject *result = args[0] && args[1] ? PyObject_Vectorcall(core->seen.on_event, args, 2, NULL) : NULL;
    core->seen.telling = false;
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    Py_XDECREF(result);
    if (PyErr_Occurred())
        keep_error(core);
}

/* While Python is told, it may look and not touch. */
bool observer_may_change(const Core *core)
{
    if (core->seen.telling)
        PyErr_SetString(PyExc_RuntimeError, "an observer may look at the machine, not change it: stop the run first");
    return !core->seen.telling;
}

/* Tells everything that waits, in its order. */
void observe_tell(Core *core)
{
    Observers *seen = &core->seen;
    for (size_t i = 0; i < seen->count; i++) {
        Event event = seen->events[i];
        seen->stop |= event.stops;
        tell(core, &event);
    }
    seen->count = 0;
}

/* The instruction at this block's start is about to be executed, and somebody wants to know. */
void observe_arrival(Core *core)
{
    int64_t now = block_ticks(core);
    uint32_t at = linear_eip(core);
    if ((core->seen.told_ticks == now && core->seen.told_eip == at) || core->replaying)
        return;
    core->seen.told_ticks = now;
    core->seen.told_eip = at;
    Event event = {.kind = EVENT_ARRIVAL, .address = at, .instructions = block_instructions(core)};
    tell(core, &event);
}

void observe_cr3(Core *core, uint32_t before, uint32_t after)
{
    Event *event = core->seen.wanted & EVENT_CR3 ? observe_event(core, EVENT_CR3) : NULL;
    if (!event)
        return;
    event->before = before;
    event->after = after;
    rearm(core);
}

/* A page fault is about to be delivered; the state is that of the instruction. */
void observe_page_fault(Core *core)
{
    Observers *seen = &core->seen;
    PageFault fault = {
        .address = FIELD(uint32_t, core->env, ENV_CR + 8 * 2),
        .error_code = FIELD(uint32_t, core->env, ENV_ERROR_CODE),
        .cs = FIELD(uint32_t, core->env, ENV_SEGS + SEG_CS * SEG_SIZE + SEG_SELECTOR),
        .eip = FIELD(uint32_t, core->env, ENV_EIP),
        .cr3 = FIELD(uint32_t, core->env, ENV_CR + 8 * 3),
        .instructions = block_instructions(core),
    };
    if (!seen->page_faults)
        seen->page_faults = calloc(PAGE_FAULTS_KEPT, sizeof *seen->page_faults);
    if (seen->page_faults)
        seen->page_faults[seen->page_fault_count++ % PAGE_FAULTS_KEPT] = fault;
    if (seen->page_fault_count - seen->oldest_page_fault > PAGE_FAULTS_KEPT)
        seen->oldest_page_fault++;
    Event *event = seen->wanted & EVENT_PAGE_FAULT ? observe_event(core, EVENT_PAGE_FAULT) : NULL;
    if (event)
        event->fault = fault;
}

/* What was going on is over: a reset, or an earlier state of the machine, for which later page faults are none. */
void observe_forget(Core *core)
{
    Observers *seen = &core->seen;
    int64_t now = block_instructions(core);
    while (seen->page_fault_count > seen->oldest_page_fault &&
           seen->page_faults[(seen->page_fault_count - 1) % PAGE_FAULTS_KEPT].instructions > now)
        seen->page_fault_count--;
    seen->count = 0;
    seen->stop = false;
    seen->debug_hits = 0;
    seen->told_ticks = seen->redo_ticks = -1;
    debug_registers_changed(core);
}

void observers_end(Core *core)
{
    free(core->seen.events);
    free(core->seen.watches);
    free(core->seen.page_faults);
}
