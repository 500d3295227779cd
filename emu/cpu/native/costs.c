/* The clock tables as Python uploads them (emu/timing/upload.py), and what an instruction takes by itself. */
#include <string.h>

#include "core.h"

enum { PLACES = OPCODES * 8 * 2, SHAPE_HAS_MODRM = 1 << 6, IOPL_SHIFT = 12 };
enum { X87_PLACES = 8 * 64 };

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

bool timing_is_listed(const Timing *timing, Entry entry) { return entry.form && group_of(timing, entry); }

/* ceil(log2(magnitude)) */
static int bits_of(uint64_t magnitude)
{
    int bits = 0;
    while (bits < 63 && (uint64_t)1 << bits < magnitude)
        bits++;
    return bits;
}

/* So much for each zero byte, then zero nibble, then zero bit below the one found. */
static int scan(const int16_t *arguments, int lowest)
{
    return arguments[0] * (lowest / 8) + arguments[1] * (lowest % 8 / 4) + arguments[2] * (lowest % 4);
}

int timing_of_operand(const int16_t *figure, OperandKind kind, int64_t value, int bits)
{
    const int16_t *arguments = &figure[WORD_ARGUMENT_0];
    if (kind == OPERAND_PRECISION)
        return arguments[value < 2 ? 0 : value - 1]; /* the x87 control word's field: 0, 2, 3 */
    if (kind == OPERAND_MULTIPLIER) {
        int least = value < 0 ? arguments[1] : arguments[0];
        int found = bits_of(value < 0 ? -(uint64_t)value : (uint64_t)value);
        return found > least ? found : least;
    }
    if (!value)
        return 0; /* a case of its own */
    int lowest = __builtin_ctzll((uint64_t)value), highest = 63 - __builtin_clzll((uint64_t)value);
    int skipped = kind == OPERAND_SCANNED_UP ? lowest : bits - 1 - highest;
    int scanned = figure[WORD_FUNCTION] == FUNCTION_SCAN ? scan(arguments, lowest) : 0;
    return scanned + figure[WORD_PER_POSITION] * highest + figure[WORD_PER_N] * skipped;
}

int timing_least(const int16_t *figure)
{
    const int16_t *arguments = &figure[WORD_ARGUMENT_0];
    switch (figure[WORD_FUNCTION]) {
    case FUNCTION_BITS: return arguments[0] < arguments[1] ? arguments[0] : arguments[1];
    case FUNCTION_PRECISION: return arguments[0];
    default: return figure[WORD_PER_POSITION] < 0 ? figure[WORD_PER_POSITION] * 31 : 0;
    }
}

int timing_clocks(const Timing *timing, Entry entry, int chosen, int n, int task_switch)
{
    const int16_t *figure = timing_figure(timing, entry, chosen);
    if (!figure)
        return 0;
    return figure[WORD_BASE] + figure[WORD_PER_N] * n + figure[WORD_PER_TASK_SWITCH] * task_switch +
           timing_least(figure);
}

/* Of REP, one iteration; 0: the case has none.  What does not depend on the count: cycles.c */
int timing_iteration(const Timing *timing, Entry entry, int chosen)
{
    const int16_t *figure = timing_figure(timing, entry, chosen);
    return figure ? figure[WORD_PER_N] : 0;
}

bool timing_may_do_io(uint32_t flags) { return (flags & HF_CPL) <= (flags >> IOPL_SHIFT & 3); }

/* The case that the prologue charges: of branches that they are taken, as most are; of gates that there is none. */
int timing_static_case(const Timing *timing, const Decoded *instruction, uint32_t flags)
{
    switch (timing_outcome(timing, instruction->entry)) {
    case OUTCOME_BRANCH: return 1;
    case OUTCOME_LEVEL: return instruction->level < 2 ? instruction->level : 2;
    case OUTCOME_REPEAT_COUNT: return REPEAT_MANY;
    case OUTCOME_SOURCE: return 1;
    case OUTCOME_IO_PRIVILEGE: return !timing_may_do_io(flags);
    case OUTCOME_CPL: return (flags & HF_CPL) != 0;
    default: return 0;
    }
}

/* What a multiplier in the instruction itself takes beyond the cheapest. */
static int of_immediate(const Timing *timing, const Decoded *instruction)
{
    const int16_t *figure = timing_figure(timing, instruction->entry, 0);
    bool multiplies = figure && figure[WORD_FUNCTION] == FUNCTION_BITS && timing_multiplies_immediate(instruction);
    int32_t multiplier = instruction->immediate;
    return multiplies ? timing_of_operand(figure, OPERAND_MULTIPLIER, multiplier, 32) - timing_least(figure) : 0;
}

int timing_static_cycles(const Timing *timing, const Decoded *instruction, uint32_t flags)
{
    int chosen = timing_static_case(timing, instruction, flags);
    int clocks = instruction->repeated ? timing_iteration(timing, instruction->entry, chosen)
                                       : timing_clocks(timing, instruction->entry, chosen, instruction->level, 0) +
                                             of_immediate(timing, instruction);
    return clocks > 0 ? clocks : 1;
}

/* ---- methods of the Python type ---------------------------------------------------------------------------------- */

void timing_end(Core *core)
{
    Timing *timing = core->timing;
    if (!timing)
        return;
    void *arrays[] = {timing->forms,         timing->shapes,   timing->reads,  timing->writes,
                      timing->x87_registers, timing->repeated, timing->groups, timing->outcomes,
                      timing->figures,       timing->blocks,   timing->steps,  timing->unlisted_forms};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(arrays); i++)
        free(arrays[i]);
    branches_end(timing->branches);
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

enum { FORMS, SHAPES, READS, WRITES, X87_REGISTERS, REPEATED, GROUPS, OUTCOMES, FIGURES, TABLES };

static bool take_tables(Timing *timing, const Py_buffer *given)
{
    timing->form_count = (size_t)given[REPEATED].len / 2;
    size_t forms = timing->form_count;
    timing->unlisted_forms = calloc(forms + 1, sizeof *timing->unlisted_forms);
    if (!timing->unlisted_forms)
        return PyErr_NoMemory() != NULL;
    if (!(timing->forms = numbers(&given[FORMS], PLACES)) || !(timing->shapes = numbers(&given[SHAPES], PLACES)) ||
        !(timing->reads = numbers(&given[READS], PLACES)) || !(timing->writes = numbers(&given[WRITES], PLACES)) ||
        !(timing->x87_registers = numbers(&given[X87_REGISTERS], X87_PLACES)) ||
        !(timing->repeated = numbers(&given[REPEATED], forms)) ||
        !(timing->groups = numbers(&given[GROUPS], forms * MODES * OPERAND_SIZES)) ||
        !(timing->outcomes = numbers(&given[OUTCOMES], forms * MODES)) ||
        !(timing->figures = numbers(&given[FIGURES], FIGURE_WORDS)))
        return false;
    for (size_t place = 0; place < PLACES; place++)
        timing->has_modrm[place / 16] |= (timing->shapes[place] & SHAPE_HAS_MODRM) != 0;
    for (size_t at = 0; at + FIGURE_WORDS <= (size_t)given[FIGURES].len / 2; at += FIGURE_WORDS)
        timing->counts_components |= timing->figures[at + WORD_PER_COMPONENT] != 0;
    for (size_t at = 0; at + FIGURE_WORDS <= (size_t)given[FIGURES].len / 2; at += FIGURE_WORDS)
        timing->has_two_pipes |= timing->figures[at + WORD_PAIRING] == PAIRING_UV;
    return true;
}

/* set_timing(tables, events, task_switches, penalties, code_line_bytes, port_waits, predicts_branches, mispredicted),
 * before the first instruction.
 * `tables` are FlatTables' arrays without `names` and `minima`; `events` the forms of external interrupt, NMI, exception
 * and page fault; `task_switches` those of TASK SWITCH, and `penalties` clocks, in timing.h's order; `port_waits` is
 * what io.c's port_waits_set() takes; `mispredicted` clocks in branches.h's order. */
PyObject *core_set_timing(Core *core, PyObject *args)
{
    Py_buffer given[TABLES];
    Timing read = {0};
    TimingPenalties *p = &read.penalties;
    BranchPenalties wrong;
    int predicts;
    PyObject *port_waits;
    if (!PyArg_ParseTuple(args, "(y*y*y*y*y*y*y*y*y*)(HHHH)(HHHH)(HHHHHHHHH)HO!p(HHH)", &given[0], &given[1], &given[2],
                          &given[3], &given[4], &given[5], &given[6], &given[7], &given[8], &read.events[0],
                          &read.events[1], &read.events[2], &read.events[3], &read.task_switches[0],
                          &read.task_switches[1], &read.task_switches[2], &read.task_switches[3], &p->agi,
                          &p->index_register, &p->displacement_and_immediate, &p->prefix, &p->prefix_0f,
                          &p->partial_register, &p->target_crosses_line, &p->paired_read_modify_write,
                          &p->descriptor_not_accessed,
                          &read.code_line_bytes, &PyTuple_Type, &port_waits, &predicts, &wrong.conditional_in_u,
                          &wrong.conditional_in_v, &wrong.unconditional))
        return NULL;
    bool done = false;
    if (!core->native || core->timing || block_ticks(core)) {
        PyErr_SetString(PyExc_RuntimeError, "timing is set once, before anything ran, on the native core");
    } else if (!(core->timing = malloc(sizeof *core->timing))) {
        PyErr_NoMemory();
    } else {
        *core->timing = read;
        core->timing->branches = predicts ? branches_new(&wrong) : NULL;
        if (predicts && !core->timing->branches) {
            PyErr_NoMemory();
            timing_end(core);
        } else if (take_tables(core->timing, given) && port_waits_set(core, port_waits)) {
            done = true;
        } else {
            timing_end(core);
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(given); i++)
        PyBuffer_Release(&given[i]);
    core->check = *core->left = core->retired = 0;
    rearm(core);
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
