/* Port and memory-mapped I/O: permission checks as the processor does them, then Python. */
#include <string.h>

#include "core.h"

static void io_check_permission(Core *core, uint32_t port, int size)
{
    uint32_t cpl = FIELD(uint32_t, core->env, ENV_HFLAGS) & HF_CPL;
    uint32_t eflags = FIELD(uint32_t, core->env, ENV_EFLAGS);
    bool protected_mode = FIELD(uint64_t, core->env, ENV_CR) & 1;
    bool vm86 = eflags >> 17 & 1;
    if (!protected_mode || (!vm86 && cpl <= (eflags >> 12 & 3)))
        return;
    /* CPL > IOPL, or virtual-8086 mode: the bitmap in the TSS decides.  QEMU's check raises #GP(0) from here, or #PF
     * where the bitmap is not mapped, so EIP must be right first. */
    sync_state(core);
    lib.check_io[size == 1 ? 0 : size == 2 ? 1 : 2](core->env, port);
}

static uint32_t width_mask(int size) { return size == 4 ? 0xffffffff : (1u << 8 * size) - 1; }

static uint64_t call_read(Core *core, PyObject *handler, uint64_t address, int size)
{
    PyObject *args[2] = {PyLong_FromUnsignedLongLong(address), PyLong_FromLong(size)};
    PyObject *result = args[0] && args[1] ? PyObject_Vectorcall(handler, args, 2, NULL) : NULL;
    uint64_t value = result ? PyLong_AsUnsignedLongLongMask(result) : 0;
    Py_XDECREF(args[0]);
    Py_XDECREF(args[1]);
    Py_XDECREF(result);
    if (PyErr_Occurred())
        keep_error(core);
    return value;
}

static void call_write(Core *core, PyObject *handler, uint64_t address, int size, uint64_t value)
{
    PyObject *args[3] = {PyLong_FromUnsignedLongLong(address), PyLong_FromLong(size),
                         PyLong_FromUnsignedLongLong(value)};
    PyObject *result = args[0] && args[1] && args[2] ? PyObject_Vectorcall(handler, args, 3, NULL) : NULL;
    for (int i = 0; i < 3; i++)
        Py_XDECREF(args[i]);
    Py_XDECREF(result);
    if (PyErr_Occurred())
        keep_error(core);
}

/* A device that ends the run (isa-debug-exit, power-off) must not let the guest run on to the block's end.  The
 * instruction is executed once more in a block of its own with the device left out, so that strings and REP finish as
 * they should, and the run stops at the next block start. */
static void cut_behind_access(Core *core, uint32_t value)
{
    core->replaying = true;
    core->replay_value = value;
    leave_before_instruction(core, core->host_pc);
    lib.loop_exit_noexc(core->cpu);
}

static bool replay(Core *core)
{
    bool was = core->replaying;
    core->replaying = false;
    return was;
}

void begin_access(Core *core, uintptr_t host_pc)
{
    core->in_access = true;
    core->host_pc = host_pc;
}

void end_access(Core *core)
{
    core->in_access = false;
    core->host_pc = 0;
}

/* ---- ports ------------------------------------------------------------------------------------------------------- */

/* Without a timing model the wait is no instruction's; with one, it is a part of what the instruction takes. */
static void wait_for_bus(Core *core, uint32_t port, int size)
{
    const PortWait *wait = core->port_waits;
    while (port < wait->first || port >= wait->end)
        wait++; /* the last has every port */
    int further = size > wait->device_bytes ? size / wait->device_bytes - 1 : 0;
    int64_t ticks = wait->ticks + further * wait->next_ticks;
    if (core->timing)
        charge(core, ticks);
    else
        skip_ticks(core, ticks);
}

/* (first, end, device_bytes, ticks, next_ticks) of each; sets a Python error where the last one has not every port. */
bool port_waits_set(Core *core, PyObject *waits)
{
    PortWait given[PORT_WAITS] = {0};
    Py_ssize_t count = PyTuple_GET_SIZE(waits);
    bool good = count >= 1 && count <= PORT_WAITS;
    for (Py_ssize_t i = 0; good && i < count; i++) {
        PortWait *wait = &given[i];
        long long ticks, next_ticks;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(waits, i), "IIiLL", &wait->first, &wait->end, &wait->device_bytes, &ticks,
                              &next_ticks))
            return false;
        wait->ticks = ticks;
        wait->next_ticks = next_ticks;
        good = wait->device_bytes > 0;
    }
    if (!good || given[count - 1].first || given[count - 1].end < 0x10000) {
        PyErr_SetString(PyExc_ValueError, "the last of the port waits has every port");
        return false;
    }
    memcpy(core->port_waits, given, sizeof given);
    return true;
}

/* answer_at_once(port): what answers there is no hardware, and nothing waits for it. */
PyObject *core_answer_at_once(Core *core, PyObject *port)
{
    unsigned long first = PyLong_AsUnsignedLong(port);
    if (PyErr_Occurred())
        return NULL;
    if (core->port_waits[PORT_WAITS - 1].end)
        return PyErr_Format(PyExc_ValueError, "too many ports that nothing waits for: 0x%x", (unsigned)first);
    memmove(core->port_waits + 1, core->port_waits, sizeof core->port_waits - sizeof *core->port_waits);
    core->port_waits[0] = (PortWait){(uint32_t)first, (uint32_t)first + 1, 4, 0, 0};
    Py_RETURN_NONE;
}

uint32_t io_input(Core *core, uint32_t port, int size, uintptr_t host_pc)
{
    begin_access(core, host_pc);
    io_check_permission(core, port, size);
    uint32_t value = 0;
    if (replay(core)) {
        value = core->replay_value;
    } else {
        if (core->memory)
            memory_port_access(core);
        wait_for_bus(core, port & 0xffff, size);
        const void *item = window_next_item(core, port & 0xffff, size, false);
        if (item) {
            memcpy(&value, item, size);
            end_access(core);
            return value;
        }
        value = (uint32_t)call_read(core, core->on_in, port & 0xffff, size) & width_mask(size);
        if (core->stop_requested)
            cut_behind_access(core, value);
    }
    end_access(core);
    return value;
}

void io_output(Core *core, uint32_t port, int size, uint32_t value, uintptr_t host_pc)
{
    begin_access(core, host_pc);
    io_check_permission(core, port, size);
    if (!replay(core)) {
        if (core->memory)
            memory_port_access(core);
        wait_for_bus(core, port & 0xffff, size);
        void *item = window_next_item(core, port & 0xffff, size, true);
        if (item) {
            memcpy(item, &value, size);
            end_access(core);
            return;
        }
        call_write(core, core->on_out, port & 0xffff, size, value & width_mask(size));
        if (core->stop_requested)
            cut_behind_access(core, 0);
    }
    end_access(core);
}

/* ---- memory-mapped ----------------------------------------------------------------------------------------------- */

/* count_unanswered(silent, reads, writes, unit): in the units of addresses that begin in the set `silent` no device
 * answers.  Accesses there are counted in these two dictionaries, by unit; settle_unanswered() makes them up to date. */
PyObject *core_count_unanswered(Core *core, PyObject *args)
{
    PyObject *silent, *reads, *writes;
    unsigned long long unit;
    if (!PyArg_ParseTuple(args, "O!O!O!K", &PySet_Type, &silent, &PyDict_Type, &reads, &PyDict_Type, &writes, &unit))
        return NULL;
    if (!unit || unit & (unit - 1))
        return PyErr_Format(PyExc_ValueError, "%llu is no power of two", unit);
    Py_XSETREF(core->silent, Py_NewRef(silent));
    Py_XSETREF(core->unanswered_reads, Py_NewRef(reads));
    Py_XSETREF(core->unanswered_writes, Py_NewRef(writes));
    core->silent_unit = unit;
    Py_RETURN_NONE;
}

static void count_up(PyObject *counts, PyObject *unit, int64_t more)
{
    PyObject *count = more && unit ? PyDict_GetItemWithError(counts, unit) : NULL;
    PyObject *sum = more && unit && !PyErr_Occurred() ? PyLong_FromLongLong((count ? PyLong_AsLongLong(count) : 0) + more)
                                                      : NULL;
    if (sum)
        PyDict_SetItem(counts, unit, sum);
    Py_XDECREF(sum);
}

/* Accesses to one unit come together: they are counted here until another comes, or somebody wants to know. */
void settle_unanswered(Core *core)
{
    if (core->silent_reads || core->silent_writes) {
        PyObject *unit = PyLong_FromUnsignedLongLong(core->silent_at);
        count_up(core->unanswered_reads, unit, core->silent_reads);
        count_up(core->unanswered_writes, unit, core->silent_writes);
        Py_XDECREF(unit);
        if (PyErr_Occurred())
            keep_error(core);
    }
    core->silent_reads = core->silent_writes = 0;
    core->silent_at = NOWHERE;
}

PyObject *core_settle_unanswered(Core *core, PyObject *unused)
{
    settle_unanswered(core);
    Py_RETURN_NONE;
}

static bool is_silent(Core *core, uint64_t unit)
{
    if (!core->silent || !PySet_GET_SIZE(core->silent))
        return false;
    PyObject *number = PyLong_FromUnsignedLongLong(unit);
    bool silent = number && PySet_Contains(core->silent, number) == 1;
    Py_XDECREF(number);
    if (PyErr_Occurred())
        keep_error(core);
    return silent;
}

/* Whether no device is there: then the access is counted in `count`, as the bus would have. */
static bool nobody_answers(Core *core, uint64_t at, int64_t *count)
{
    uint64_t unit = at & ~(core->silent_unit - 1);
    if (core->silent_at != unit) {
        if (!is_silent(core, unit))
            return false;
        settle_unanswered(core);
        core->silent_at = unit;
    }
    ++*count;
    return true;
}

uint64_t mmio_read(void *uc, uint64_t offset, unsigned size, void *data)
{
    MmioRegion *region = data;
    Core *core = region->core;
    uint32_t word;
    if (size == 4 && still_word_read(core, region->base + offset, &word))
        return word;
    if (!core->seen.watching && nobody_answers(core, region->base + offset, &core->silent_reads))
        return UINT64_MAX >> (64 - 8 * size);
    begin_access(core, FIELD(uintptr_t, core->cpu, CPU_MEM_IO_PC));
    uint64_t value, at = region->base + offset;
    if (!core->seen.watching) {
        value = call_read(core, core->on_mmio_read, at, (int)size);
    } else if (!device_read_again(core, at, size, &value)) {
        value = call_read(core, core->on_mmio_read, at, (int)size);
        device_read_keep(core, at, size, value);
    }
    end_access(core);
    return value;
}

void mmio_write(void *uc, uint64_t offset, unsigned size, uint64_t value, void *data)
{
    MmioRegion *region = data;
    Core *core = region->core;
    if (nobody_answers(core, region->base + offset, &core->silent_writes))
        return;
    begin_access(core, FIELD(uintptr_t, core->cpu, CPU_MEM_IO_PC));
    call_write(core, core->on_mmio_write, region->base + offset, (int)size, value);
    end_access(core);
}
