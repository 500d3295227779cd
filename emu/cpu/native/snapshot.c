/* The processor's part of a snapshot: QEMU's CPU state, the clock and what is on its way to the guest.
 *
 * Left as they are, because no run depends on them: translated code, the soft TLB (restoring flushes it), the marks of
 * frames that hold code, breakpoints and watches of the host.
 */
#include <string.h>

#include "core.h"

typedef struct {
    int64_t ticks, deadline, hold, poll_at, idle, retired, tsc_offset;
    uint32_t branch_mark; /* with a timing model, these: */
    Sequence sequence;
    int64_t repeats;
    bool attention, replaying, interrupt_line, nmi_pending, halted, stop_requested;
    uint32_t replay_value, interrupt_request, next_cflags;
    uint8_t debug_hits;
    int uc_error;
    uint64_t invalid_address, deliveries;
    Delivery history[HISTORY_LENGTH];
    StillWord still_words[2];
    Observers seen; /* only what an instruction has done and not finished: the rest is the host's */
    uint8_t env[ENV_UC]; /* all but the pointer behind it is data, or, for the breakpoints, handled apart */
} State;

static PyObject *saved_windows(const Core *core)
{
    PyObject *result = PyList_New(0);
    for (size_t i = 0; result && i < Py_ARRAY_LENGTH(core->windows); i++) {
        const PortWindow *window = &core->windows[i];
        if (!window->size)
            continue;
        PyObject *item = Py_BuildValue("(IiiOnn)", window->port, window->size, (int)window->output, window->view.obj,
                                       (Py_ssize_t)window->at, (Py_ssize_t)window->end);
        if (!item || PyList_Append(result, item))
            Py_CLEAR(result);
        Py_XDECREF(item);
    }
    return result;
}

/* A data breakpoint that was hit and has not raised #DB yet; an instruction that is to be executed again; what the host
 * was told of and will not be told twice. */
static void copy_unfinished(Observers *to, const Observers *from)
{
    to->debug_hits = from->debug_hits;
    to->debug_eip = from->debug_eip;
    to->redo_ticks = from->redo_ticks;
    to->redo_eip = from->redo_eip;
    memcpy(to->device_reads, from->device_reads, sizeof to->device_reads);
    to->device_read_count = from->device_read_count;
    to->told_ticks = from->told_ticks;
    to->told_eip = from->told_eip;
}

/* (state, model-specific registers, CPUID leaves, windows): bytes that only core_load_state understands. */
PyObject *core_save_state(Core *core, PyObject *unused)
{
    if (core->running)
        return PyErr_Format(PyExc_RuntimeError, "not while the processor runs: stop it first");
    /* the branch target buffer and the memory model's state are behind the processor's */
    size_t size = sizeof(State) + branches_state_size(core) + memory_state_size(core);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (!bytes)
        return NULL;
    State *state = (State *)PyBytes_AS_STRING(bytes);
    memset(state, 0, sizeof *state);
    state->ticks = block_ticks(core);
    state->deadline = core->deadline;
    state->hold = core->hold;
    state->poll_at = core->poll_at;
    state->idle = core->idle;
    state->retired = block_instructions(core);
    if (core->timing) {
        state->branch_mark = timing_mark(core);
        state->sequence = core->timing->sequence;
        state->repeats = core->timing->repeats;
    }
    state->tsc_offset = core->tsc_offset;
    state->attention = core->attention;
    state->replaying = core->replaying;
    state->interrupt_line = core->interrupt_line;
    state->nmi_pending = core->nmi_pending;
    state->halted = core->halted;
    state->stop_requested = core->stop_requested;
    state->replay_value = core->replay_value;
    state->debug_hits = core->seen.debug_hits;
    state->interrupt_request = FIELD(uint32_t, core->cpu, CPU_INTERRUPT_REQUEST);
    state->next_cflags = FIELD(uint32_t, core->cpu, CPU_CFLAGS_NEXT_TB);
    state->uc_error = core->uc_error;
    state->invalid_address = FIELD(uint64_t, core->uc, UC_INVALID_ADDR);
    state->deliveries = core->deliveries;
    memcpy(state->history, core->history, sizeof state->history);
    memcpy(state->still_words, core->still_words, sizeof state->still_words);
    copy_unfinished(&state->seen, &core->seen);
    memcpy(state->env, core->env, sizeof state->env);
    branches_state_save(core, (uint8_t *)(state + 1));
    memory_state_save(core, (uint8_t *)(state + 1) + branches_state_size(core));
    return Py_BuildValue("(Ny#y#N)", bytes, (char *)core->msrs, (Py_ssize_t)(core->msr_count * sizeof *core->msrs),
                         (char *)core->cpuid, (Py_ssize_t)(core->cpuid_count * sizeof *core->cpuid),
                         saved_windows(core));
}

/* QEMU keeps a list of the code breakpoints in DR0-DR3, whose members env->cpu_breakpoint points to: they are made and
 * unmade by QEMU's own code.  What is translated depends on them and on CR4.UMIP. */
static void load_env(Core *core, const uint8_t *saved)
{
    char *env = core->env;
    refuse_by_cr4(core, FIELD(uint32_t, saved, ENV_CR + 8 * 4));
    if (memcmp(env + ENV_DR, saved + ENV_DR, ENV_BREAKPOINTS - ENV_DR)) {
        lib.update_dr7(env, 0);
        memcpy(env + ENV_DR, saved + ENV_DR, 4 * sizeof(uint64_t));
        lib.update_dr7(env, FIELD(uint32_t, saved, ENV_DR + 8 * 7));
    }
    memcpy(env, saved, ENV_BREAKPOINTS);
    memcpy(env + ENV_OLD_EXCEPTION, saved + ENV_OLD_EXCEPTION, ENV_UC - ENV_OLD_EXCEPTION);
}

static bool open_windows(Core *core, PyObject *windows)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(windows); i++) {
        unsigned port;
        int size, output;
        PyObject *buffer;
        Py_ssize_t at, end;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(windows, i), "IiiOnn", &port, &size, &output, &buffer, &at, &end) ||
            !window_open(core, port, size, output, buffer, (size_t)at, (size_t)end))
            return false;
    }
    return true;
}

/* Lets go of the devices' buffers, whose lengths cannot change while windows look at them. */
PyObject *core_close_windows(Core *core, PyObject *unused)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(core->windows); i++)
        if (core->windows[i].size)
            window_close(core, core->windows[i].port);
    Py_RETURN_NONE;
}

/* Takes what core_save_state of the same core has given; buffers of windows must have their content back before. */
PyObject *core_load_state(Core *core, PyObject *saved)
{
    const char *bytes, *msrs, *cpuid;
    Py_ssize_t length, msrs_length, cpuid_length;
    PyObject *windows;
    if (core->running)
        return PyErr_Format(PyExc_RuntimeError, "not while the processor runs: stop it first");
    if (!PyArg_ParseTuple(saved, "y#y#y#O!", &bytes, &length, &msrs, &msrs_length, &cpuid, &cpuid_length, &PyList_Type,
                          &windows))
        return NULL;
    if ((size_t)length != sizeof(State) + branches_state_size(core) + memory_state_size(core) || (size_t)msrs_length != core->msr_count * sizeof *core->msrs ||
        (size_t)cpuid_length != core->cpuid_count * sizeof *core->cpuid)
        return PyErr_Format(PyExc_ValueError, "this is not the state of such a processor");
    const State *state = (const State *)bytes;
    Py_XDECREF(core_close_windows(core, NULL));
    load_env(core, state->env);
    core->deadline = state->deadline;
    core->hold = state->hold;
    core->poll_at = state->poll_at;
    core->idle = state->idle;
    core->retired = state->retired;
    if (core->timing) {
        timing_set_mark(core, state->branch_mark);
        core->timing->sequence = state->sequence;
        core->timing->piece = 0;
        core->timing->repeats = state->repeats;
    }
    core->tsc_offset = state->tsc_offset;
    core->attention = state->attention;
    core->replaying = state->replaying;
    core->interrupt_line = state->interrupt_line;
    core->nmi_pending = state->nmi_pending;
    core->halted = state->halted;
    core->stop_requested = state->stop_requested;
    core->replay_value = state->replay_value;
    FIELD(uint32_t, core->cpu, CPU_INTERRUPT_REQUEST) = state->interrupt_request;
    FIELD(uint32_t, core->cpu, CPU_CFLAGS_NEXT_TB) = state->next_cflags;
    core->uc_error = state->uc_error;
    FIELD(uint64_t, core->uc, UC_INVALID_ADDR) = state->invalid_address;
    core->deliveries = state->deliveries;
    memcpy(core->history, state->history, sizeof core->history);
    memcpy(core->still_words, state->still_words, sizeof core->still_words);
    memcpy(core->msrs, msrs, msrs_length);
    memcpy(core->cpuid, cpuid, cpuid_length);
    if (!open_windows(core, windows))
        return NULL;
    set_current_block(core, NULL); /* it has ended, and may be forgotten by now */
    core->check = state->ticks;
    *core->left = 0;
    rearm(core);
    soft_tlb_forget(core);
    if (core->lint)
        tlb_lint_forget(core);
    branches_state_load(core, (const uint8_t *)(state + 1));
    memory_state_load(core, (const uint8_t *)(state + 1) + branches_state_size(core));
    observe_forget(core);
    core->seen.debug_hits = state->debug_hits; /* #DB is still to come */
    rearm(core);
    copy_unfinished(&core->seen, &state->seen);
    if (core->profile)
        profile_resume(core);
    Py_RETURN_NONE;
}
