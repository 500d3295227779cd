/* A profile: which instruction, called from where, has taken how long.  (Native mode only.)
 *
 *   profile.c        charges what happens to the instruction that was executed last
 *   profile_calls.c  follows calls, returns, interrupts and changes of stack
 *   profile_data.c   keeps the sums, and hands them to Python
 *
 * While a profile is taken, translated code calls profile_step() at the start of each instruction, with the ticks and
 * instructions that its block has charged ahead.  What has passed since the last call belongs to the instruction of that
 * call: branches taken, misses, page walks, a device's wait.  So the sums are the clock's, exactly, and the clock is
 * that of a run without a profile: blocks are cut where they are anyway.  An instruction that faults has not been
 * executed, but what its attempt took is its own; the clocks of delivering an interrupt belong to the handler.
 *
 * An instruction is told by its linear address and the frame that it lies in, so programs of several processes at the
 * same addresses are told apart.
 *
 * Calls make a tree: a node is a function called from one place by one chain of callers.  A call that is on the chain
 * already, from the same place, goes back to its node, so recursion does not grow the tree.  A return is one that finds
 * the stack as a call left it; what else RET does is a jump.  Interrupts of devices begin a chain of their own, and so
 * does code on a stack that was not seen before (a new thread); exceptions and INT n are calls from the instruction.
 *
 * Not modelled: SYSENTER, SYSEXIT and task switches are jumps.  A stack that is abandoned (longjmp) is noticed by the
 * next return above it.
 */
#ifndef HILLEMU_PROFILE_H
#define HILLEMU_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

struct Core;

/* What something took; profile.py has the same names in the same order. */
#define PROFILE_COSTS(COST)                                                                                            \
    COST(instructions) COST(ticks) COST(idle) COST(stall) COST(tlb_misses) COST(walk) COST(cache_misses)         \
    COST(branches) COST(mispredicted) COST(conditional) COST(conditional_mispredicted)
typedef struct {
#define COST(name) int64_t name;
    PROFILE_COSTS(COST)
#undef COST
} Costs;
enum { COSTS = sizeof(Costs) / sizeof(int64_t) };

typedef enum { SITE_PLAIN, SITE_CALL, SITE_RETURN, SITE_INTERRUPT_RETURN } SiteKind;

/* An instruction in memory. */
typedef struct Site {
    struct Core *core;
    uint32_t pc, frame; /* linear; number of the physical page */
    SiteKind kind;
    uint8_t length;
    bool is_branch, is_conditional; /* one that is predicted */
    uint32_t number; /* in the order of their first translation */
    Costs costs;
} Site;

typedef enum { NODE_ROOT, NODE_CALL, NODE_INTERRUPT, NODE_EXCEPTION, NODE_SOFTWARE, NODE_STACK } NodeKind;

/* A function in a chain of calls. */
typedef struct {
    uint32_t parent, first_child, sibling; /* nodes; 0: none */
    uint32_t caller, entry;                /* numbers of sites, or NO_SITE: a device's interrupt has no caller */
    uint8_t kind, vector;
    int64_t calls;
    Costs costs; /* of itself, without what it calls */
} Node;
#define NO_SITE UINT32_MAX

/* A call that has not returned. */
typedef struct {
    uint32_t eip, esp, cr3; /* linear; what they will be behind the return */
    uint32_t node;          /* to go back to */
    uint32_t caller;        /* number of the instruction */
    bool by_interrupt;
} Call;

typedef struct {
    Call *calls;
    size_t count, capacity;
    uint32_t node;
} Chain;

enum { TIME_SLICES = 1024 };

typedef struct {
    Site **sites; /* by number */
    size_t site_count, site_capacity;
    uint32_t *places; /* a hash of the sites: number + 1 */
    size_t place_count;
    Node *nodes;
    size_t node_count, node_capacity;
    uint64_t lost_nodes; /* calls that were added to their callers', because the tree was full */
    Chain *chains;
    size_t chain_count, chain_capacity, chain, oldest_chain;

    Site *last;
    Site delivery; /* takes the place of an instruction between an interrupt and its handler */
    uint32_t esp;  /* before the last one, if it is no plain one */
    Costs then;    /* the clock and the counters at its start */
    Costs slices[TIME_SLICES];
    size_t slice;
    int64_t began, slice_ticks, slice_end; /* of the clock */
} Profile;

/* profile.c: the core has a profile, or nothing happens */
void profile_translate_block(struct Core *core, const void *tb);
void profile_settle(struct Core *core); /* between two instructions */
Call profile_before_delivery(struct Core *core);
void profile_behind_delivery(struct Core *core, const Call *from, int kind, uint32_t vector);
void profile_resume(struct Core *core); /* an earlier state of the machine is there */

/* profile_calls.c */
void profile_passed(struct Core *core, const Site *from, const Site *to); /* `from` was executed, and led to `to` */
Call profile_place(const struct Core *core);
void profile_entered(struct Core *core, const Call *from, NodeKind kind, uint32_t vector, const Site *handler);
bool profile_first_chain(Profile *profile);

/* profile_data.c */
Profile *profile_new(struct Core *core);
Site *profile_site(struct Core *core, uint32_t pc); /* NULL: no memory, and the run ends */
uint32_t profile_child(Profile *profile, uint32_t parent, NodeKind kind, uint32_t vector, uint32_t caller,
                       uint32_t entry);
void profile_charge(Profile *profile, const Costs *costs, int64_t until);
void profile_end(struct Core *core);

/* Methods of the Python type: profile_data.c */
PyObject *core_start_profile(struct Core *core, PyObject *unused);
PyObject *core_stop_profile(struct Core *core, PyObject *unused);
PyObject *core_profile(struct Core *core, PyObject *unused);

#define PROFILE_METHODS                                                                                               \
    METHOD(start_profile, METH_NOARGS), METHOD(stop_profile, METH_NOARGS), METHOD(profile, METH_NOARGS)

#endif
