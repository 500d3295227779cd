/* What cycles instructions take: seven files; branches.h is beside them.
 *
 *   decode.c    which form of the clock table an instruction is, and which registers it uses
 *   costs.c     the tables, and what an instruction takes by itself
 *   sequence.c  what it takes more or less behind the one before: interlocks, pairs; blocks' records
 *   cycles.c    translated code that charges what is known only when an instruction executes
 *   operands.c  the same, of operands' values
 *   arrival.c   what a branch costs at its target
 *   privilege.c charges interrupts, gates and task switches
 *
 * A block's prologue charges the cycles of all its instructions, as far as they and their order tell them (branch taken,
 * no change of privilege), and what is left early gives back what it did not execute.  The rest is charged as it
 * happens.  So cycles depend on what is executed, not on where blocks are cut: for the pieces of a block that a stop cut,
 * `Timing.sequence` goes on from one to the next.
 *
 * Not modelled: see docs/timing.md.  Instructions without an entry are counted.
 */
#ifndef HILLEMU_TIMING_H
#define HILLEMU_TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "branches.h"

struct Core;

typedef enum { MODE_REAL, MODE_PROTECTED, MODE_V86, MODES } ProcessorMode;
enum { FIGURE_WORDS = 12, OPERAND_SIZES = 4, OPCODES = 512, DELIVERY_EVENTS = 4, TASK_SWITCHES = 4 };

/* emu/timing/upload.py's FigureWord and cases.py's Outcome, as far as they are told apart here. */
enum { WORD_BASE, WORD_PER_N, WORD_PER_COMPONENT, WORD_PER_TASK_SWITCH, WORD_PER_POSITION, WORD_FUNCTION };
enum { WORD_ARGUMENT_0 = 6, WORD_PAIRING = 9, WORD_PRESENT = 10 };
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
enum { NO_GATE = -1 };
enum { REPEAT_MANY = 2 }; /* a case of OUTCOME_REPEAT_COUNT */
typedef enum { OPERAND_MULTIPLIER, OPERAND_SCANNED_UP, OPERAND_SCANNED_DOWN, OPERAND_PRECISION } OperandKind;
typedef enum { PAIRING_NONE, PAIRING_NP, PAIRING_UV, PAIRING_PU, PAIRING_PV, PAIRING_FX } Pairing;
typedef enum { SWITCH_FORM_TRANSFER, SWITCH_FORM_GATE, SWITCH_FORM_INT, SWITCH_FORM_IRET } SwitchForm;

/* Clocks beside the clock table: emu/timing/geometry.py, "Penalties". */
typedef struct {
    uint16_t agi, index_register, displacement_and_immediate, prefix, prefix_0f, partial_register, target_crosses_line,
        paired_read_modify_write, descriptor_not_accessed;
} TimingPenalties;

/* A form in a mode with an operand size: what the tables have figures for. */
typedef struct {
    uint16_t form; /* 0: not in the opcode map */
    uint8_t size, mode;
} Entry;

/* Registers are a bit each, EAX bit 0 to EDI bit 7; AL, AH and AX are EAX. */
typedef struct {
    Entry entry;
    uint16_t opcode;     /* two-byte ones are 100h and up */
    uint8_t modrm, level; /* level: ENTER's */
    uint8_t prefixes;    /* without REP of a repeated form */
    uint8_t components;  /* of the i386: prefixes, opcode, ModR/M and SIB a byte each; displacement; immediate */
    uint8_t reads, writes, base, index; /* without ESP of stack instructions */
    uint8_t reads_wide, writes_byte;
    bool repeated, is_memory, has_displacement, has_immediate, uses_stack, is_transfer, wide_address;
    int32_t immediate;
} Decoded;

enum {
    STEP_STACK = 1 << 0,
    STEP_PUSH = 1 << 1,
    STEP_CALL = 1 << 2,
    STEP_POP = 1 << 3,
    STEP_MODIFIES = 1 << 4, /* reads, modifies and writes memory */
    STEP_UNPAIRED = 1 << 5, /* whatever its class is */
    STEP_PREFIXED = 1 << 6,
    STEP_FXCH = 1 << 7,
};

/* An instruction as its neighbours see it. */
typedef struct {
    Entry entry;
    uint16_t clocks, figure; /* by itself: all, and without prefixes and address */
    uint8_t reads, writes, address, reads_wide, writes_byte;
    uint8_t pairing : 3;
    uint8_t flags;
} Step;

/* Where a sequence of instructions has got to. */
typedef struct {
    Step last;
    uint8_t written;        /* in the clock before the next: what addresses wait for */
    uint8_t written_before; /* in the clock before the one that `last` began */
    bool open;              /* `last` is alone in the U pipe */
    bool waited;            /* and its address has waited */
} Sequence;

/* A translated block. */
typedef struct {
    uint32_t id, first_step;
    uint16_t count;
    uint8_t arrival;  /* clocks more if a branch leads here */
    bool is_transfer; /* its last instruction may be such a branch */
    bool ends_in_v;   /* that one is the second of a pair */
} BlockCosts;

typedef struct {
    ProcessorMode mode;
    int cpl;
    bool is_32_bit_task;
} Privilege;
typedef enum { TASK_BY_TSS, TASK_BY_GATE, TASK_BY_IRET, TASK_BY_INTERRUPT } TaskCause;

/* A handler or task that is being entered, which may fault: until then nothing is charged for it. */
typedef struct {
    Entry entry; /* of the instruction, or of the event; form 0: none */
    bool is_instruction;
    TaskCause cause;
    Privilege before;
} Entering;

typedef struct {
    uint16_t *forms, *shapes, *reads, *writes, *x87_registers, *repeated, *groups, *outcomes;
    int16_t *figures;
    uint16_t events[DELIVERY_EVENTS];        /* forms: external interrupt, NMI, exception, page fault */
    uint16_t task_switches[TASK_SWITCHES];   /* forms, by SwitchForm */
    TimingPenalties penalties;
    uint16_t code_line_bytes;
    bool has_two_pipes, counts_components; /* as the tables have pairs, and the i386's ``m`` */
    size_t form_count;
    bool has_modrm[OPCODES];
    uint64_t *unlisted_forms, unlisted_opcodes[OPCODES]; /* how often executed */

    BlockCosts *blocks; /* in the order of their ids, which is that of their translation */
    size_t block_count, block_capacity;
    Step *steps;
    size_t step_count, step_capacity;

    /* While core->hold is set: */
    Sequence sequence; /* up to the end of the piece that runs, or of the last one */
    Sequence entry;    /* at the start of the piece that runs */
    uint32_t piece;    /* its id */

    BranchPrediction *branches; /* NULL: they are all predicted rightly */
    int64_t repeats;    /* iterations of the REP that runs */
    int far_parameters; /* of the call gate that a far CALL or JMP goes through, or NO_GATE */
    bool marks_descriptor; /* the segment register that is being loaded */
    Entering entering;
} Timing;

/* decode.c */
Decoded timing_decode(struct Core *core, uint64_t pc, uint32_t length, uint32_t flags);
ProcessorMode mode_of_flags(uint32_t flags); /* a block's */

/* costs.c */
const int16_t *timing_figure(const Timing *timing, Entry entry, int chosen); /* of a case; NULL: absent */
bool timing_is_listed(const Timing *timing, Entry entry);
int timing_clocks(const Timing *timing, Entry entry, int chosen, int n, int task_switch); /* 0: absent */
int timing_iteration(const Timing *timing, Entry entry, int chosen);
static inline bool timing_multiplies_immediate(const Decoded *it) { return it->opcode == 0x69 || it->opcode == 0x6b; }
int timing_of_operand(const int16_t *figure, OperandKind kind, int64_t value, int bits);
int timing_least(const int16_t *figure);   /* the same, of the cheapest operand */
bool timing_may_do_io(uint32_t flags);     /* a block's: whether CPL is at most IOPL */
int timing_static_case(const Timing *timing, const Decoded *instruction, uint32_t flags);
int timing_static_cycles(const Timing *timing, const Decoded *instruction, uint32_t flags);
Outcome timing_outcome(const Timing *timing, Entry entry);
void timing_end(struct Core *core);

/* sequence.c */
Step timing_step(const Timing *timing, const Decoded *instruction, int clocks);
int timing_extra_clocks(const Timing *timing, const Decoded *instruction); /* prefixes and address */
BlockCosts *timing_record(struct Core *core, const void *tb);              /* makes it; NULL without memory */
bool timing_record_add(Timing *timing, BlockCosts *block, const Step *step);
const BlockCosts *timing_of_block(const struct Core *core, const void *tb);
Entry timing_entry(const struct Core *core, const void *tb, int number); /* of the block's instructions; -1: the last */
int64_t timing_of_whole_block(const struct Core *core, const void *tb); /* entered at its start, as the prologue charges */
int64_t timing_cycles_between(const struct Core *core, const void *tb, int from, int to); /* negative if `to` is less */
void timing_begin_cut(struct Core *core);                           /* a stop cuts the block that would begin */
void timing_begin_piece(struct Core *core, const void *tb);         /* while core->hold is set */
void timing_find_pipe(const Timing *timing, BlockCosts *block); /* completes its record */
bool timing_ends_in_v(const struct Core *core, const void *tb);     /* its last instruction was issued to the V pipe */
void timing_leave(struct Core *core, const void *tb, int executed); /* a block, before its end */

/* cycles.c */
void timing_translate(struct Core *core, const void *tb);
void timing_emit_charge(struct Core *core, void *place, int cycles); /* behind `place` */
void timing_emit_count(void *tcg, void *place, const void *counter); /* the same */
/* Where translated code comes by if a conditional branch is not taken; NULL: it is always taken. */
void *timing_place_of_not_taken(void *start, bool is_counted); /* LOOP and JCXZ are */

/* operands.c; instructions begin at their OPC_INSN_START */
void timing_translate_operands(struct Core *core, void *start, const Decoded *instruction, uint32_t flags);

/* arrival.c */
void timing_emit_arrival(void *tcg, uintptr_t left);
void timing_emit_end(void *tcg);
void timing_complete_arrival(const struct Core *core, const void *tb);
void timing_emit_not_taken(void *tcg, void *place);
uint32_t timing_mark(const struct Core *core);
void timing_set_mark(struct Core *core, uint32_t mark);
int64_t timing_arrival(const struct Core *core, const void *tb); /* what the prologue charged, since a branch led there */
int timing_cost_of_arrival(const Timing *timing, const Decoded *first, uint64_t pc, uint32_t length);

/* privilege.c */
/* Called (engine, CPL) behind QEMU's; NULL: none. */
const void *timing_helper_behind(const struct Core *core, const void *helper);
void *timing_segment_helper(const struct Core *core, const void *helper); /* called in front, with the same arguments */
void timing_charge_limit(void *env, uint64_t selector, uint32_t more);    /* LSL: where the limit is in pages */
Privilege timing_privilege(const struct Core *core);
void timing_begin_software_interrupt(struct Core *core, Entry entry);
void timing_begin_event(struct Core *core, int event);
void timing_end_delivery(struct Core *core);
void timing_begin_task(struct Core *core, const void *tb, TaskCause cause); /* by the block's last instruction */
void timing_task_entered(struct Core *core); /* its registers, not yet its segments */
void timing_note_target(struct Core *core, uint32_t upper); /* half of the descriptor */

/* Methods of the Python type: costs.c */
PyObject *core_set_timing(struct Core *core, PyObject *args);
PyObject *core_unlisted(struct Core *core, PyObject *unused);
PyObject *core_idle(struct Core *core, PyObject *unused); /* ticks without instructions */
#define TIMING_METHODS METHOD(set_timing, METH_VARARGS), METHOD(unlisted, METH_NOARGS), METHOD(idle, METH_NOARGS)

#endif
