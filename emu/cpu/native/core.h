/* The native core: what cannot be fast or right in Python.
 *
 *   layout.c      checks that the library is the one that layout.h describes
 *   library.h     the library's functions, which library.c finds
 *   slots.c       redirects calls inside the library
 *   interpose.c   what they are redirected to: the inline clock (native mode only)
 *   ops.c         the list of a block's operations
 *   fixups.c      mends what is translated wrongly (native mode only)
 *   enter.c       ENTER (native mode only)
 *   descriptors.c what QEMU reads of them (native mode only)
 *   tasks.c       what switches tasks (native mode only)
 *   task_switch.c task state segments (native mode only)
 *   limits.c      segment limits and rights (native mode only)
 *   refuse.c      faults of instructions that QEMU executes (native mode only)
 *   helpers.c     what IN, OUT, CPUID, MSRs, ... call (native mode only)
 *   clock.c       counts instructions, finds the position inside a block, decides at block starts
 *   timing.h      cycles, where a processor model counts them: seven files (native mode only)
 *   branches.h    the branch target buffer: two files (native mode only)
 *   portable.c    the same decisions by public hooks (portable mode)
 *   exceptions.c  delivers exceptions and interrupts through the guest's IDT, keeps the last ones
 *   io.c          port and memory-mapped I/O with the processor's permission checks
 *   windows.c     what of it needs no Python
 *   system.c      CPUID, RDTSC, MSRs, control registers, SYSENTER
 *   registers.c   the register file, segments, reset
 *   fpu.c         the registers of the x87 and of SSE
 *   tlb.c         fast stores, ROM, taking memory away
 *   soft_tlb.c    how large QEMU's soft TLB is
 *   reclaim.c     fast stores again, where code was once (native mode only)
 *   run.c         the run loop: HLT, limits
 *   snapshot.c    gives the state of the processor, and takes it back
 *   breakpoints.c finds them in blocks
 *   observe.h     accesses to memory, CR3, page faults and arrivals that are observed: five files
 *   memory_model.h  TLBs, caches and the bus as a timing model, on its own: seven files
 *   tlb_lint.h    page tables that changed without a flush of the TLB: four files (native mode only)
 *   memory_events.h what of a run reaches that model: seven files (native mode only)
 *   profile.h     which instruction, called from where, has taken how long: three files (native mode only)
 *   engine.c      makes, registers and ends a core
 *   mapping.c     what lies where in physical memory
 *   module.c      the Python type and its methods
 *
 * Rules: no Python frame is ever jumped over (QEMU leaves blocks by siglongjmp), every Python error is kept in
 * `core->error` and ends the run, and exits happen at block starts only.
 */
#ifndef HILLEMU_CORE_H
#define HILLEMU_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "layout.h"
#include "library.h"
#include "memory_access.h"
#include "memory_events.h"
#include "observe.h"
#include "profile.h"
#include "timing.h"
#include "tlb_lint.h"

#define NEVER INT64_MAX
#define NOWHERE UINT64_MAX
#define HISTORY_LENGTH 16
#define FRAMES (1u << 24) /* 64 GiB: the most RAM that there can be */

typedef enum {
    STOP_NONE,
    STOP_REQUESTED,    /* stop() was called, or Python raised */
    STOP_LIMIT,        /* the instruction limit, exactly */
    STOP_BREAKPOINT,   /* EIP is at a breakpoint */
    STOP_HALT,         /* HLT that nothing will end */
    STOP_TRIPLE_FAULT, /* the processor shut down */
    STOP_ERROR,        /* Unicorn gave up: uc_error says why */
    STOP_WATCHPOINT,   /* behind an instruction that did what a watch waits for */
} StopCode;

typedef enum { DELIVERY_EXCEPTION, DELIVERY_SOFTWARE, DELIVERY_INTERRUPT } DeliveryKind;

/* One exception, software interrupt or hardware interrupt that entered the guest's IDT (or tried to). */
typedef struct {
    DeliveryKind kind;
    uint32_t vector, error_code, cs, eip, cr2;
    int64_t instructions;
} Delivery;

typedef struct {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
} CpuidLeaf;

typedef struct {
    uint32_t index;
    uint64_t value, writable; /* bits that WRMSR may change */
} Msr;

/* Memory that is mapped: `base` up to `end` is at `host`. */
typedef struct {
    uint64_t base, end;
    char *host;
    uint64_t ram; /* what translated code of its first byte is filed under */
    bool writable;
} MemoryArea;

typedef struct MmioRegion {
    struct Core *core;
    uint64_t base;
    struct MmioRegion *next;
} MmioRegion;

/* An access to ports `first` up to `end` is a cycle for each `device_bytes`: the first one takes `ticks`, the others
 * `next_ticks`.  (emu/timing/ports.py) */
typedef struct {
    uint32_t first, end;
    int device_bytes;
    int64_t ticks, next_ticks;
} PortWait;
enum { PORT_WAITS = 16 };

/* Items of a device's data port that are there already (or that there is room for): the guest moves them to and from
 * `view` without Python, until `end`. */
typedef struct {
    uint32_t port;
    int size; /* of one item; 0 = closed */
    bool output;
    size_t at, end;
    Py_buffer view;
} PortWindow;

/* A memory-mapped word that reads as `value`; never at 0, which is memory. */
typedef struct {
    uint64_t at;
    uint32_t value;
} StillWord;

typedef struct {
    uint32_t at;
    bool calls; /* an observer, and the run goes on */
} Breakpoint;

typedef struct Core {
    PyObject_HEAD
    void *uc, *cpu, *env, *tcg;
    bool native;

    /* The clock (clock.c).  ticks = check - *left; both are kept by rearm().  A tick is an instruction, or with a timing
     * model a cycle. */
    int64_t *left;   /* inside CPUState: ticks until the next check, counted down by translated code; clock.c */
    uint32_t *tb_id; /* inside CPUState: the block that runs now, as 1 + offset in the code buffer; 0 = none */
    int64_t check;
    int64_t deadline;                             /* next event of the Python clock */
    int64_t limit_by_instructions, limit_by_time; /* end of this run: in instructions, in ticks */
    int64_t hold;      /* nothing asynchronous before so many instructions: a stop cut a block in two there */
    int64_t poll_at;   /* look for Ctrl-C and let other threads run */
    int64_t idle;      /* ticks without instructions: HLT and port accesses */
    PortWait port_waits[PORT_WAITS]; /* how long a port access keeps the processor waiting: the first that has it counts */
    Timing *timing;    /* what cycles instructions take; NULL: a tick is an instruction */
    MemoryEvents *memory; /* the memory model; NULL: none */
    TlbLint *lint;     /* NULL: none */
    Profile *profile;  /* NULL: none is being taken */
    int64_t retired;   /* with a timing model: instructions, less those that *left counts */
    bool attention;    /* look at interrupts at the next block start */
    bool in_access;    /* inside a device access: the position is in mid-block ... */
    uintptr_t host_pc; /* ... at this address of translated code, or at EIP if 0 */
    bool replaying;    /* the next port access was done already: leave the device out */
    uint32_t replay_value;

    bool interrupt_line, nmi_pending, halted, running;
    StopCode stop;
    int uc_error;
    bool stop_requested;
    bool skip_breakpoint; /* the run starts at a breakpoint and goes over it */
    uint32_t stay_from, stay_bytes; /* every address outside is as a breakpoint; 0 bytes: none is */
    uint32_t resume_eip;

    Delivery history[HISTORY_LENGTH];
    uint64_t deliveries;

    CpuidLeaf *cpuid;
    size_t cpuid_count;
    Msr *msrs;
    size_t msr_count;
    int64_t tsc_offset;
    uint32_t cr4_valid, eflags_fixed;
    bool has_cpuid, has_cr4, has_sysenter;

    uint32_t tlb_flushes[TLB_MODES]; /* of the soft TLB's tables that held something */
    uint8_t *executed;     /* one bit a frame: there may be translated code of it */
    uint32_t *slow_stores; /* for each frame, since it was reclaimed */
    uint8_t *doublings;    /* for each frame: how often the number of stores that it takes was doubled */
    bool reclaiming;       /* reclaim this frame at the next block start: */
    uint64_t reclaim_frame, reclaim_ram;
    MemoryArea areas[32];
    size_t area_count;
    bool (*original_tlb_fill)(void *cpu, uint64_t at, int size, int access, int mmu, bool probe, uintptr_t ra);
    bool (*original_exec_interrupt)(void *cpu, int request);

    Breakpoint *breakpoints;
    size_t breakpoint_count;
    Observers seen;

    PyObject *on_in, *on_out, *on_mmio_read, *on_mmio_write, *on_due, *on_acknowledge, *on_rdmsr, *on_wrmsr;
    PortWindow windows[4];
    StillWord still_words[2];
    PyObject *silent, *unanswered_reads, *unanswered_writes; /* the bus's own; NULL: it counts */
    uint64_t silent_unit, silent_at; /* how large a unit is; the last one, or NOWHERE, and what came to it: */
    int64_t silent_reads, silent_writes;
    MmioRegion *mmio_regions;
    PyObject *buffers; /* keeps guest RAM alive */
    PyObject *error_type, *error_value, *error_traceback;
} Core;

/* layout.c */
bool layout_check(Core *core); /* sets a Python error on failure */

/* The engines that are ours */
Core *core_of_uc(const void *uc);
static inline Core *core_of_env(void *env) { return core_of_uc(FIELD(void *, env, ENV_UC)); }
static inline Core *core_of_cpu(void *cpu) { return core_of_uc(FIELD(void *, cpu, CPU_UC)); }
bool registry_add(Core *core);
void registry_remove(Core *core);

/* slots.c */
typedef struct {
    void *original, *replacement;
    int slots;    /* how many were found */
    bool in_data; /* called through a table in the library's data */
} Replacement;
bool slots_redirect(Replacement *replacements, size_t count); /* sets a Python error on failure */

/* interpose.c */
bool interpose_install(void); /* once a process; sets a Python error on failure */
void emit_call(void *tcg, const void *function, const void *pointer, uint32_t number);
void block_slow(void *uc, uint32_t id); /* in the prologue of the block that has this number */
void label_set(void *tcg, void *label);

/* ops.c */
void *last_op(void *tcg);
void *previous_op(void *tcg, void *op); /* NULL in front of the first */
void op_move_behind(void *tcg, void *op, void *place);
void move_emitted(void *tcg, void *last, void *place); /* all that are behind `last` */
static inline void *next_op(const void *op) { return FIELD(void *, op, OP_LINK); }
bool is_in_instruction(const void *op);       /* not at the next one, nor at the block's end */
void *op_instruction_from(void *op);          /* the first instruction's OPC_INSN_START from `op` on; NULL: none */
void *op_of_kind(const void *op, int kind);   /* the first one behind `op` in its instruction; NULL: none */

/* fixups.c */
void fix_translation(Core *core, const void *tb);
void fixups_install(Core *core);

/* refuse.c */
enum { LONGEST_INSTRUCTION = 15 }; /* bytes; a longer one is #GP */
bool is_prefix(uint8_t byte);
static inline uint8_t code_at(Core *core, uint64_t linear) { return (uint8_t)lib.read_code(core->env, linear); }
uint8_t refuse_byte(Core *core, uint64_t at, uint8_t byte); /* at translation */
void refuse_raise(Core *core);                  /* at execution; returns where the fault is #UD */
void refuse_by_cr4(Core *core, uint32_t value); /* before CR4 is written */

/* enter.c */
void enter_fix(Core *core, const void *tb, uint64_t pc, bool wide, void *op);

/* descriptors.c */
uint32_t descriptor_half(void *env, uint64_t at, uint32_t value); /* read by QEMU itself */

/* limits.c */
void limits_changed(void *env);
void limits_translate_access(void *tcg, const void *tb);
void limits_translate_call(void *tcg, const void *helper);

/* memory_access.c: by the processor itself, with a supervisor's rights; 2 or 4 bytes.  Faults are those of EIP. */
int processor_mmu_index(const Core *core);
uint32_t processor_load(Core *core, uint64_t at, int bytes);
void processor_store(Core *core, uint64_t at, uint32_t value, int bytes);

/* tasks.c */
const void *task_helper_before(const void *theirs);                    /* NULL where we have none */
bool task_interrupt(Core *core, uint32_t vector, DeliveryKind kind); /* false: not through a task gate */

/* helpers.c */
const void *our_helper(const void *theirs); /* NULL where we have none */
void helpers_translate_call(Core *core, const void *helper);

/* portable.c */
bool portable_install(Core *core);
void portable_fix_eflags(Core *core); /* nothing in native mode */

/* clock.c */
typedef enum { BLOCK_RUN, BLOCK_ATTEND, BLOCK_CUT, BLOCK_AGAIN, BLOCK_TRAP, BLOCK_STOP } BlockDecision;
enum { COUNT_BITS = 24, COUNT_MASK = (1 << COUNT_BITS) - 1 };
static inline int64_t ticks_word(const Core *core, int64_t ticks) { return core->timing ? ticks << COUNT_BITS : ticks; }
static inline int64_t ticks_left(const Core *core) { return core->timing ? *core->left >> COUNT_BITS : *core->left; }
static inline int64_t block_ticks(const Core *core) { return core->check - ticks_left(core); }
static inline int64_t block_instructions(const Core *core)
{
    return core->timing ? core->retired + (*core->left & COUNT_MASK) : block_ticks(core) - core->idle;
}
static inline void charge(Core *core, int64_t ticks) { *core->left -= ticks_word(core, ticks); }
void charge_instructions(Core *core, const void *tb, int from, int to); /* of a block; back where `to` is smaller */
int64_t ticks_between(const Core *core, const void *tb, int from, int to); /* instructions of a block */
/* From instruction `number` of the block that runs; `told` where it was translated, which a piece of a block may not
 * take: what was executed before it counts (timing.h). */
int64_t ticks_to_end(const Core *core, const void *tb, int number, int64_t told);
int64_t clock_ticks(Core *core); /* exact, also inside a device access */
int64_t clock_instructions(Core *core); /* the same */
bool limit_is_reached(const Core *core);
void rearm(Core *core);          /* after a change of deadline, limit, hold or attention */
void skip_ticks(Core *core, int64_t ticks);
int find_instruction(void *tb, uintptr_t host_pc, uint32_t pc);
BlockDecision block_decide(Core *core, void *tb); /* the block is not charged yet */
void take_back_unexecuted(Core *core, uint32_t linear_pc, bool retired);
uint32_t block_id(const Core *core, const void *tb); /* 1 + its offset in the code buffer; 0 = none */
void *block_of(const Core *core, uint32_t id);
void *current_block(const Core *core);
void set_current_block(Core *core, const void *tb);
void leave_changed_block(Core *core, uint32_t linear_pc);
void leave_before_instruction(Core *core, uintptr_t host_pc); /* to execute it in a block of its own; does not jump */
uint32_t pc_of_instruction(void *tb, int number); /* linear address of its first byte */
int number_of_instruction_before(void *tb, uint32_t end); /* of the block's instruction that ends there */
bool was_cut_by_own_store(Core *core, void *next_tb);
void leave_at_block_start(Core *core, BlockDecision decision); /* sets up the exit; does not jump */
void sync_state(Core *core);                                   /* EIP and flags of the instruction that does I/O */
void poll_host(Core *core);

/* exceptions.c */
bool exceptions_install(Core *core);
void run_due_events(Core *core);
bool nmi_is_deliverable(const Core *core);
bool shadow_of_stack_switch(const Core *core); /* behind MOV SS and POP SS */
void record_delivery(Core *core, DeliveryKind kind, uint32_t vector, uint32_t error_code);

/* io.c */
void begin_access(Core *core, uintptr_t host_pc); /* from here to the end, the clock is that of the instruction */
void end_access(Core *core);
uint32_t io_input(Core *core, uint32_t port, int size, uintptr_t host_pc);
void io_output(Core *core, uint32_t port, int size, uint32_t value, uintptr_t host_pc);
uint64_t mmio_read(void *uc, uint64_t offset, unsigned size, void *region);
void mmio_write(void *uc, uint64_t offset, unsigned size, uint64_t value, void *region);
void settle_unanswered(Core *core);
PyObject *core_count_unanswered(Core *core, PyObject *args); /* methods of the Python type */
PyObject *core_settle_unanswered(Core *core, PyObject *unused);
PyObject *core_answer_at_once(Core *core, PyObject *port);
bool port_waits_set(Core *core, PyObject *waits); /* sets a Python error on failure */

/* windows.c */
bool window_open(Core *core, uint32_t port, int size, bool output, PyObject *buffer, size_t start, size_t end);
Py_ssize_t window_close(Core *core, uint32_t port); /* how far the guest got, or -1 where none is open */
void *window_next_item(Core *core, uint32_t port, int size, bool output); /* NULL: ask the device */
bool still_word_set(Core *core, size_t number, uint64_t at, uint32_t value);
bool still_word_read(const Core *core, uint64_t at, uint32_t *value); /* false: ask the device */

/* system.c: the instructions themselves; who calls turns `false` into #GP or #UD */
bool system_cpuid(Core *core); /* false: this processor has no CPUID */
void system_rdtsc(Core *core, uintptr_t host_pc);
void system_rdtscp(Core *core, uintptr_t host_pc);
bool system_rdmsr(Core *core, uintptr_t host_pc);
bool system_wrmsr(Core *core, uintptr_t host_pc);
bool system_sysenter(Core *core);
bool system_check_cr(Core *core, int number, uint32_t value);

/* registers.c */
bool register_read(Core *core, const char *name, uint64_t *value);
bool register_write(Core *core, const char *name, uint64_t value);
void *segment_cache(Core *core, const char *name);
void segment_load(Core *core, int index, uint32_t selector, uint32_t base, uint32_t limit, uint32_t flags);
bool segment_set(Core *core, const char *name, uint32_t selector, uint32_t base, uint32_t limit, uint32_t flags);
void registers_reset(Core *core, uint32_t signature);
static inline uint32_t linear_eip(const Core *core)
{
    return (uint32_t)(FIELD(uint64_t, core->env, ENV_EIP) +
                      FIELD(uint64_t, core->env, ENV_SEGS + SEG_CS * SEG_SIZE + SEG_BASE));
}
PyObject *registers_dict(Core *core);
PyObject *registers_basic(Core *core);

/* fpu.c: methods of the Python type */
PyObject *core_fpu_get(Core *core, PyObject *name);
PyObject *core_fpu_set(Core *core, PyObject *args);

/* tlb.c */
bool tlb_install(Core *core);
void tlb_frame_has_code(Core *core, uint64_t frame, bool code);
void tlb_watches_changed(Core *core); /* or the frames that the lint watches */
const MemoryArea *area_at(const Core *core, uint64_t at);
void tlb_host_wrote(Core *core, uint64_t at, uint64_t size);
PyObject *core_flush_tlb(Core *core, PyObject *unused); /* method of the Python type: as a load of CR3 would */
int tlb_unmap(Core *core, uint64_t at, uint64_t size); /* Unicorn's error number */

/* soft_tlb.c */
void *soft_tlb_entry(const Core *core, uint64_t at, int mmu); /* where `at` has its place */
bool soft_tlb_address(Core *core, uint64_t at, int mmu, uint64_t *physical); /* false: stores do not go there */
void soft_tlb_each(Core *core, void (*visit)(Core *, void *entry, uint64_t at, uint64_t number), uint64_t number);
void soft_tlb_before_fill(Core *core, int mmu);
void soft_tlb_behind_flush(Core *core); /* of a page, by QEMU */
void soft_tlb_flush_page(Core *core, uint64_t at);
void soft_tlb_forget(Core *core);
bool soft_tlb_is_laid_out(const Core *core); /* on a fresh engine */

/* reclaim.c */
bool reclaim_install(Core *core);
void reclaim_end(Core *core);
void reclaim_count_store(Core *core, uint64_t ram);
void reclaim_frame(Core *core);

/* run.c */
StopCode run(Core *core, int64_t instructions, int64_t ticks, bool over_breakpoint, uint32_t from, uint32_t bytes);

/* snapshot.c: methods of the Python type */
PyObject *core_save_state(Core *core, PyObject *unused);
PyObject *core_close_windows(Core *core, PyObject *unused);
PyObject *core_load_state(Core *core, PyObject *saved);

/* breakpoints.c */
bool block_is_watched(const Core *core, const void *tb);
int breakpoint_in_block(const Core *core, void *tb); /* number of the first instruction that stops a run, or -1 */
bool call_is_at(const Core *core, uint32_t at);
PyObject *core_add_breakpoint(Core *core, PyObject *at); /* methods of the Python type */
PyObject *core_remove_breakpoint(Core *core, PyObject *at);
PyObject *core_add_call_point(Core *core, PyObject *at);
PyObject *core_remove_call_point(Core *core, PyObject *at);

/* mapping.c: methods of the Python type */
PyObject *core_map_memory(Core *core, PyObject *args);
PyObject *core_map_mmio(Core *core, PyObject *args);
PyObject *core_unmap(Core *core, PyObject *args);
PyObject *core_host_wrote(Core *core, PyObject *const *args, Py_ssize_t count);
PyObject *core_set_a20(Core *core, PyObject *on);

/* engine.c */
int core_init(Core *core, PyObject *args, PyObject *kwargs);
int core_traverse(Core *core, visitproc visit, void *arg);
int core_clear(Core *core);
void core_dealloc(Core *core);
bool is_stopped(const Core *core); /* or sets a Python error */
void keep_error(Core *core); /* moves the current Python error into the core and asks for a stop */

#endif
