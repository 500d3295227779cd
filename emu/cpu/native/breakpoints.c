/* Breakpoints: a run leaves in front of an instruction, or somebody is called there, and the guest cannot tell.
 *
 * No hook is put into translated code, because a block with one has more operations and might end elsewhere, and
 * interrupts with it.  A block that contains a breakpoint asks block_decide() every time it starts; that cuts it in
 * front of the breakpoint, as it does for a limit, and stops where a block starts with one.
 *
 * A run that is to stay in a range of addresses has every block ask: it leaves where a block starts outside, or goes on
 * behind the end.
 */
#include "core.h"

static uint32_t offset_in(const void *tb, uint32_t at) { return at - (uint32_t)FIELD(uint64_t, tb, TB_PC); }

bool block_is_watched(const Core *core, const void *tb)
{
    for (size_t i = 0; i < core->breakpoint_count; i++)
        if (offset_in(tb, core->breakpoints[i].at) < FIELD(uint16_t, tb, TB_SIZE))
            return true;
    return false;
}

/* Number of a block's first instruction outside the range that the run is to stay in, or -1. */
static int leaves_range(const Core *core, void *tb)
{
    if (!core->stay_bytes || core->replaying)
        return -1;
    uint32_t start = (uint32_t)FIELD(uint64_t, tb, TB_PC), end = core->stay_from + core->stay_bytes;
    if (start - core->stay_from >= core->stay_bytes)
        return 0;
    return end - start < FIELD(uint16_t, tb, TB_SIZE) ? number_of_instruction_before(tb, end) + 1 : -1;
}

int breakpoint_in_block(const Core *core, void *tb)
{
    int first = leaves_range(core, tb);
    for (size_t i = 0; i < core->breakpoint_count && !core->replaying; i++) {
        uint32_t at = core->breakpoints[i].at;
        if (offset_in(tb, at) >= FIELD(uint16_t, tb, TB_SIZE))
            continue;
        int number = find_instruction(tb, 0, at);
        bool is_passed = core->breakpoints[i].calls || is_redone(core, at) ||
                         (core->skip_breakpoint && at == core->resume_eip);
        bool goes_over = number == 0 && is_passed;
        if (number >= 0 && !goes_over && (first < 0 || number < first))
            first = number;
    }
    return first;
}

/* Whether somebody is to be called when the instruction at `at` is about to be executed. */
bool call_is_at(const Core *core, uint32_t at)
{
    for (size_t i = 0; i < core->breakpoint_count; i++)
        if (core->breakpoints[i].calls && core->breakpoints[i].at == at)
            return true;
    return false;
}

/* ---- the Python type's methods ----------------------------------------------------------------------------------- */

static PyObject *add(Core *core, PyObject *at, bool calls)
{
    unsigned long address = PyLong_AsUnsignedLong(at);
    if (PyErr_Occurred() || !is_stopped(core))
        return NULL;
    Breakpoint *grown = realloc(core->breakpoints, (core->breakpoint_count + 1) * sizeof *grown);
    if (!grown)
        return PyErr_NoMemory();
    core->breakpoints = grown;
    core->breakpoints[core->breakpoint_count++] = (Breakpoint){(uint32_t)address, calls};
    lib.tb_flush(core->cpu); /* blocks translated before do not ask */
    Py_RETURN_NONE;
}

static PyObject *remove_one(Core *core, PyObject *at, bool calls)
{
    unsigned long address = PyLong_AsUnsignedLong(at);
    if (PyErr_Occurred() || !is_stopped(core))
        return NULL;
    for (size_t i = 0; i < core->breakpoint_count; i++) {
        if (core->breakpoints[i].at != (uint32_t)address || core->breakpoints[i].calls != calls)
            continue;
        core->breakpoints[i] = core->breakpoints[--core->breakpoint_count];
        lib.tb_flush(core->cpu);
        Py_RETURN_NONE;
    }
    return PyErr_Format(PyExc_KeyError, "no %s at 0x%x", calls ? "call point" : "breakpoint", (unsigned)address);
}

PyObject *core_add_breakpoint(Core *core, PyObject *at) { return add(core, at, false); }
PyObject *core_remove_breakpoint(Core *core, PyObject *at) { return remove_one(core, at, false); }
PyObject *core_add_call_point(Core *core, PyObject *at) { return add(core, at, true); }
PyObject *core_remove_call_point(Core *core, PyObject *at) { return remove_one(core, at, true); }
