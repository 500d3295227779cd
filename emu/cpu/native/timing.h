/* What cycles instructions take: three files.
 *
 *   decode.c   which form of the clock table an instruction is
 *   costs.c    the tables, and what each instruction of a block costs
 *   cycles.c   charges what is known only when an instruction executes
 *
 * A block's record has the cycles of each of its instructions, as far as the instruction alone tells them (branch taken,
 * no change of privilege).  The block's prologue charges their sum, and what is left early gives back what it did not
 * execute.  Translated code corrects that for branches not taken and REP; helpers, for changes of privilege and
 * interrupts.  Every instruction takes a cycle at least.  So cycles depend on what is executed, not on where blocks end.
 *
 * Not modelled: see docs/timing.md.  Instructions without an entry are counted.
 */
#ifndef HILLEMU_TIMING_H
#define HILLEMU_TIMING_H

#include <stdbool.h>
#include <stdint.h>

struct Core;

typedef enum { MODE_REAL, MODE_PROTECTED, MODE_V86, MODES } ProcessorMode;
enum { FIGURE_WORDS = 12, OPERAND_SIZES = 4, OPCODES = 512, DELIVERY_EVENTS = 4 };

/* emu/timing/upload.py's FigureWord and cases.py's Outcome, as far as they are told apart here. */
enum { WORD_BASE, WORD_PER_N, WORD_PER_COMPONENT, WORD_PER_TASK_SWITCH, WORD_PER_POSITION, WORD_FUNCTION };
enum { WORD_ARGUMENT_0 = 6, WORD_PRESENT = 10 };
enum { FUNCTION_NONE, FUNCTION_BITS, FUNCTION_SCAN, FUNCTION_PRECISION };
typedef enum {
    OUTCOME_ALWAYS,
    OUTCOME_BRANCH,
    OUTCOME_REPEAT_COUNT,
    OUTCOME_CONDITION,
    OUTCOME_COMPARISON,
    OUTCOME_TLB,
    OUTCOME_GRANULARITY,
    OUTCOME_LEVEL,
    OUTCOME_SOURCE,
    OUTCOME_IO_PRIVILEGE,
    OUTCOME_GATE,
    OUTCOME_GATE_FROM_V86,
    OUTCOME_OVERFLOW,
    OUTCOME_OVERFLOW_GATE,
    OUTCOME_OVERFLOW_GATE_FROM_V86,
    OUTCOME_FAR_CALL,
    OUTCOME_FAR_JUMP,
    OUTCOME_FAR_RETURN,
    OUTCOME_INTERRUPT_RETURN,
    OUTCOME_CPL,
} Outcome;
enum { REPEAT_MANY = 2 }; /* a case of OUTCOME_REPEAT_COUNT */

/* A form in a mode with an operand size: what the tables have figures for. */
typedef struct {
    uint16_t form; /* 0: not in the opcode map */
    uint8_t size, mode;
} Entry;

typedef struct {
    Entry entry;
    uint16_t opcode; /* two-byte ones are 100h and up */
    uint8_t level;   /* ENTER's */
} Decoded;

/* A translated block. */
typedef struct {
    uint32_t id, first_cost;
    uint16_t count;
    Entry last;
} BlockCosts;

typedef struct {
    uint16_t *forms, *shapes, *x87_registers, *repeated, *groups, *outcomes;
    int16_t *figures;
    uint16_t events[DELIVERY_EVENTS]; /* forms: external interrupt, NMI, exception, page fault */
    uint16_t task_switch;             /* form: by an interrupt */
    size_t form_count;
    bool has_modrm[OPCODES];
    uint64_t *unlisted_forms, unlisted_opcodes[OPCODES]; /* how often executed */

    BlockCosts *blocks; /* in the order of their ids, which is that of their translation */
    size_t block_count, block_capacity;
    uint16_t *costs;
    size_t cost_count, cost_capacity;
} Timing;

/* decode.c */
Decoded timing_decode(struct Core *core, uint64_t pc, uint32_t length, uint32_t flags);
ProcessorMode mode_of_flags(uint32_t flags); /* a block's */

/* costs.c */
const int16_t *timing_figure(const Timing *timing, Entry entry, int chosen); /* of a case; NULL: absent */
int timing_clocks(const Timing *timing, Entry entry, int chosen, int n);      /* 0: absent */
int timing_iteration(const Timing *timing, Entry entry, int chosen);
bool timing_may_do_io(uint32_t flags); /* a block's: whether CPL is at most IOPL */
int timing_static_cycles(const Timing *timing, Decoded instruction, uint32_t flags);
Outcome timing_outcome(const Timing *timing, Entry entry);
BlockCosts *timing_record(struct Core *core, const void *tb); /* makes it; NULL without memory */
bool timing_record_add(Timing *timing, BlockCosts *block, int cycles);
const BlockCosts *timing_of_block(const struct Core *core, const void *tb);
int64_t timing_cycles_between(const struct Core *core, const void *tb, int from, int to); /* negative if `to` is less */
void timing_end(struct Core *core);

/* cycles.c */
void *emit_addition(void *tcg, uintptr_t base, intptr_t offset, int64_t amount); /* the op that has the amount */
void timing_translate(struct Core *core, const void *tb);
const void *timing_helper_behind(const void *helper); /* called (engine, CPL) behind QEMU's; NULL: none */
typedef struct {
    ProcessorMode mode;
    int cpl;
} Privilege;
Privilege timing_privilege(const struct Core *core);
void timing_charge_software_interrupt(struct Core *core, Entry entry, Privilege before, bool by_task);
void timing_charge_event(struct Core *core, int event, Privilege before, bool by_task);

/* Methods of the Python type: costs.c */
PyObject *core_set_timing(struct Core *core, PyObject *args);
PyObject *core_unlisted(struct Core *core, PyObject *unused);
PyObject *core_idle(struct Core *core, PyObject *unused); /* ticks without instructions */
#define TIMING_METHODS METHOD(set_timing, METH_VARARGS), METHOD(unlisted, METH_NOARGS), METHOD(idle, METH_NOARGS)

#endif
