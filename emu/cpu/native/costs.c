/* The clock tables as Python uploads them (emu/timing/upload.py), and the cycles of translated blocks' instructions.
 *
 * Blocks are translated into one buffer from its start to its end, and all are forgotten when it is full.  So a block's
 * record goes behind those of blocks at lower addresses, and takes the place of all others.
 */
#include <string.h>

#include "core.h"

enum { PLACES = OPCODES * 8 * 2, SHAPE_HAS_MODRM = 1 << 6, IOPL_SHIFT = 12 };
enum { X87_PLACES = 8 * 64 };

/* Components of the instruction at a branch's target (i386), which is not looked at: opcode and ModR/M byte. */
enum { TARGET_COMPONENTS = 2 };

Outcome timing_outcome(const Timing *timing, Entry entry) { return timing->outcomes[entry.form * MODES + entry.mode]; }

static uint16_t group_of(const Timing *timing, Entry entry)
{
    return timing->groups[(entry.form * MODES + entry.mode) * OPERAND_SIZES + entry.size];
}

const int16_t *timing_figure(const Timing *timing, Entry entry, int chosen)
{
    uint16_t group = group_of(timing, entry);
    const int16_t *figure = &timing->figures[(size_t)(group + chosen) * FIGURE_WORDS];
    return group && figure[WORD_PRESENT] ? figure : NULL;
}

/* What a function of the operands' values comes to for those that take least. */
static int least_of_function(const int16_t *figure)
{
    int first = figure[WORD_ARGUMENT_0], second = figure[WORD_ARGUMENT_0 + 1], third = figure[WORD_ARGUMENT_0 + 2];
    switch (figure[WORD_FUNCTION]) {
    case FUNCTION_BITS: return first < second ? first : second;
    case FUNCTION_PRECISION: return third; /* 64 bits, as FNINIT sets them */
    default: return 0;
    }
}

int timing_clocks(const Timing *timing, Entry entry, int chosen, int n)
{
    const int16_t *figure = timing_figure(timing, entry, chosen);
    if (!figure)
        return 0;
    int clocks = figure[WORD_BASE] + figure[WORD_PER_N] * n + figure[WORD_PER_COMPONENT] * TARGET_COMPONENTS;
    if (figure[WORD_PER_POSITION] < 0)
        clocks += figure[WORD_PER_POSITION] * 31;
    if (figure[WORD_PER_TASK_SWITCH])
        clocks += timing_clocks(timing, (Entry){timing->task_switch, 0, MODE_PROTECTED}, 0, 0);
    return clocks + least_of_function(figure);
}

/* Of REP, one iteration; 0: the case has none.  What does not depend on the count: cycles.c */
int timing_iteration(const Timing *timing, Entry entry, int chosen)
{
    const int16_t *figure = timing_figure(timing, entry, chosen);
    return figure ? figure[WORD_PER_N] : 0;
}

bool timing_may_do_io(uint32_t flags) { return (flags & HF_CPL) <= (flags >> IOPL_SHIFT & 3); }

int timing_static_cycles(const Timing *timing, Decoded instruction, uint32_t flags)
{
    Entry entry = instruction.entry;
    bool may_do_io = timing_may_do_io(flags);
    int level = instruction.level, clocks;
    switch (timing_outcome(timing, entry)) {
    case OUTCOME_BRANCH: clocks = timing_clocks(timing, entry, 1, 0); break; /* taken, as most are: cycles.c */
    case OUTCOME_REPEAT_COUNT: clocks = timing_iteration(timing, entry, REPEAT_MANY); break;
    case OUTCOME_LEVEL: clocks = timing_clocks(timing, entry, level < 2 ? level : 2, level); break;
    case OUTCOME_SOURCE: clocks = timing_clocks(timing, entry, 1, 0); break;
    case OUTCOME_IO_PRIVILEGE:
        clocks = timing_iteration(timing, entry, !may_do_io);
        clocks = clocks ? clocks : timing_clocks(timing, entry, !may_do_io, 0);
        break;
    case OUTCOME_CPL: clocks = timing_clocks(timing, entry, (flags & HF_CPL) != 0, 0); break;
    default: clocks = timing_clocks(timing, entry, 0, 0); break;
    }
    return clocks > 0 ? clocks : 1;
}

/* ---- records --------------------------------------------------------------------------------------------------- */

static bool grow(void **array, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return true;
    size_t larger = wanted * 2;
    void *grown = realloc(*array, larger * size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = larger;
    return true;
}

BlockCosts *timing_record(Core *core, const void *tb)
{
    Timing *timing = core->timing;
    uint32_t id = block_id(core, tb);
    while (timing->block_count && timing->blocks[timing->block_count - 1].id >= id)
        timing->cost_count = timing->blocks[--timing->block_count].first_cost;
    if (!grow((void **)&timing->blocks, &timing->block_capacity, timing->block_count + 1, sizeof *timing->blocks))
        return NULL;
    BlockCosts *block = &timing->blocks[timing->block_count++];
    *block = (BlockCosts){.id = id, .first_cost = (uint32_t)timing->cost_count};
    return block;
}

bool timing_record_add(Timing *timing, BlockCosts *block, int cycles)
{
    if (!grow((void **)&timing->costs, &timing->cost_capacity, timing->cost_count + 1, sizeof *timing->costs))
        return false;
    timing->costs[timing->cost_count++] = (uint16_t)cycles;
    block->count++;
    return true;
}

const BlockCosts *timing_of_block(const Core *core, const void *tb)
{
    const Timing *timing = core->timing;
    uint32_t id = block_id(core, tb);
    size_t low = 0, high = timing->block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timing->blocks[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < timing->block_count && timing->blocks[low].id == id ? &timing->blocks[low] : NULL;
}

int64_t timing_cycles_between(const Core *core, const void *tb, int from, int to)
{
    if (to < from)
        return -timing_cycles_between(core, tb, to, from);
    const BlockCosts *block = timing_of_block(core, tb);
    int64_t sum = 0;
    for (int i = from; block && i < to && i < block->count; i++)
        sum += core->timing->costs[block->first_cost + (size_t)i];
    return sum;
}

/* ---- methods of the Python type ---------------------------------------------------------------------------------- */

void timing_end(Core *core)
{
    Timing *timing = core->timing;
    if (!timing)
        return;
    void *arrays[] = {timing->forms,    timing->shapes,  timing->x87_registers,  timing->repeated, timing->groups,
                      timing->outcomes, timing->figures, timing->unlisted_forms, timing->blocks,   timing->costs};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(arrays); i++)
        free(arrays[i]);
    free(timing);
    core->timing = NULL;
}

/* A copy of `count` numbers of 16 bits; NULL with a Python error. */
static void *numbers(const Py_buffer *buffer, size_t count)
{
    if ((size_t)buffer->len < count * 2 || buffer->len % 2) {
        PyErr_Format(PyExc_ValueError, "a clock table of %zd bytes where %zu are needed", buffer->len, count * 2);
        return NULL;
    }
    void *copy = malloc((size_t)buffer->len);
    return copy ? memcpy(copy, buffer->buf, (size_t)buffer->len) : PyErr_NoMemory();
}

static bool take_tables(Timing *timing, const Py_buffer *given)
{
    timing->form_count = (size_t)given[3].len / 2;
    size_t forms = timing->form_count;
    timing->unlisted_forms = calloc(forms + 1, sizeof *timing->unlisted_forms);
    if (!timing->unlisted_forms)
        return PyErr_NoMemory() != NULL;
    if (!(timing->forms = numbers(&given[0], PLACES)) || !(timing->shapes = numbers(&given[1], PLACES)) ||
        !(timing->x87_registers = numbers(&given[2], X87_PLACES)) || !(timing->repeated = numbers(&given[3], forms)) ||
        !(timing->groups = numbers(&given[4], forms * MODES * OPERAND_SIZES)) ||
        !(timing->outcomes = numbers(&given[5], forms * MODES)) || !(timing->figures = numbers(&given[6], FIGURE_WORDS)))
        return false;
    for (size_t place = 0; place < PLACES; place++)
        timing->has_modrm[place / 16] |= (timing->shapes[place] & SHAPE_HAS_MODRM) != 0;
    return true;
}

/* set_timing(forms, shapes, x87_registers, repeated, groups, outcomes, figures, events, task_switch), before the first
 * instruction.  `events` are the forms of external interrupt, NMI, exception and page fault. */
PyObject *core_set_timing(Core *core, PyObject *args)
{
    Py_buffer given[7];
    unsigned short events[DELIVERY_EVENTS], task_switch;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*(HHHH)H", &given[0], &given[1], &given[2], &given[3], &given[4],
                          &given[5], &given[6], &events[0], &events[1], &events[2], &events[3], &task_switch))
        return NULL;
    bool done = false;
    if (!core->native || core->timing || block_ticks(core)) {
        PyErr_SetString(PyExc_RuntimeError, "timing is set once, before anything ran, on the native core");
    } else if (!(core->timing = calloc(1, sizeof *core->timing))) {
        PyErr_NoMemory();
    } else if (take_tables(core->timing, given)) {
        memcpy(core->timing->events, events, sizeof events);
        core->timing->task_switch = task_switch;
        core->io_ticks = 0; /* the tables have what IN and OUT take */
        done = true;
    } else {
        timing_end(core);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(given); i++)
        PyBuffer_Release(&given[i]);
    return done ? Py_NewRef(Py_None) : NULL;
}

static bool append_count(PyObject *list, size_t number, uint64_t count)
{
    PyObject *item = count ? Py_BuildValue("nK", (Py_ssize_t)number, (unsigned long long)count) : NULL;
    bool good = !count || (item && !PyList_Append(list, item));
    Py_XDECREF(item);
    return good;
}

/* ([(form, count), ...], [(opcode, count), ...]): executed instructions without an entry. */
PyObject *core_unlisted(Core *core, PyObject *unused)
{
    PyObject *forms = PyList_New(0), *opcodes = PyList_New(0);
    bool good = forms && opcodes;
    for (size_t i = 0; good && core->timing && i < core->timing->form_count; i++)
        good = append_count(forms, i, core->timing->unlisted_forms[i]);
    for (size_t i = 0; good && core->timing && i < OPCODES; i++)
        good = append_count(opcodes, i, core->timing->unlisted_opcodes[i]);
    PyObject *result = good ? PyTuple_Pack(2, forms, opcodes) : NULL;
    Py_XDECREF(forms);
    Py_XDECREF(opcodes);
    return result;
}

PyObject *core_idle(Core *core, PyObject *unused) { return PyLong_FromLongLong(core->idle); }
