/* How near branches are predicted: the Pentium's branch target buffer.  (Native mode only.)
 *
 *   branches.c            the buffer, what a wrong prediction costs, and a snapshot's part of it
 *   branches_translate.c  translated code that asks it
 *
 *   entry   of a near branch, by the linear address of its last byte: bits 0-5 are the set, the others the tag
 *   state   3 strongly taken, 2 weakly taken, 1 weakly not taken; 0, strongly not taken, is that there is no entry
 *
 *   taken:      0 -> 3,  1 -> 2,  2 -> 3,  3 -> 3
 *   not taken:  3 -> 2,  2 -> 1,  1 -> 0,  0 -> 0
 *
 *   A branch is predicted taken in states 2 and 3, to the target that it had when it was taken last; else not taken.
 *   A branch that was not predicted rightly flushes the pipeline.  While that is refilled no target is loaded: if the first
 *   instruction there, or its partner in the V pipe, is a branch, it is predicted not taken whatever its state is.
 *   A taken branch without entry gets one: where none of its set is free, in the place of the one that a counter of two
 *   bits says, which counts such replacements.
 *   Loading CR3, RESET and INIT empty the buffer.
 *
 * Most branches are predicted rightly and change nothing: one in state 3 that is taken to its target, and one without an
 * entry that is not taken.  Translated code finds that out by itself from the branch's `Site`, and calls branches.c else.
 *
 * Not modelled: see docs/timing.md.
 *
 * Source: Pentium Processor Family Developer's Manual (241428-005), "Branch Prediction", "BTB Test Registers", "Pentium
 * Processor Reset Modes"; Agner Fog, The microarchitecture of Intel, AMD and VIA CPUs, "Branch prediction in P1".
 */
#ifndef HILLEMU_BRANCHES_H
#define HILLEMU_BRANCHES_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

struct Core;

enum { PREDICTION_WAYS = 4, PREDICTION_SETS = 64 };

/* A near branch, with its entry. */
typedef struct {
    struct Core *core;
    struct BranchPrediction *branches;
    int64_t taken_to; /* the linear target that it may be taken to without a call; NO_TARGET: none */
    int64_t has_entry; /* 0: it may be not taken without a call */
    int64_t executed[2]; /* without and with a condition, since the snapshot that was restored last */
    uint32_t last_byte, target;
    uint8_t state;
} BranchSite;
#define NO_TARGET (-1)

/* Clocks of a wrong prediction. */
typedef struct {
    uint16_t conditional_in_u, conditional_in_v, unconditional;
} BranchPenalties;

/* How many were executed, and of these not predicted rightly. */
typedef struct {
    int64_t conditional, conditional_missed, unconditional, unconditional_missed;
} BranchCounters;

typedef struct BranchPrediction {
    BranchPenalties penalties;
    BranchSite *entries[PREDICTION_SETS][PREDICTION_WAYS];
    BranchCounters counters;
    uint64_t replacements;
    int64_t flushing;   /* 1: the last branch that was told here was not predicted rightly, ... */
    int64_t flushed_at; /* ... and so many instructions had been executed then */

    BranchSite **sites; /* a hash by last_byte; 0: free */
    size_t site_count, site_capacity;
} BranchPrediction;

BranchPrediction *branches_new(const BranchPenalties *penalties); /* NULL without memory */
void branches_end(BranchPrediction *branches);
BranchSite *branches_site(struct Core *core, uint32_t last_byte); /* NULL: no memory, and the run ends */

/* What translated code calls when a branch was executed: `number` is its linear target, or the base of CS where EIP has
 * the target already.  The first two are branches on a condition. */
typedef enum { BRANCH_TAKEN, BRANCH_NOT_TAKEN, BRANCH_JUMPED, BRANCH_JUMPED_TO_EIP } BranchEvent;
typedef void (*BranchCall)(BranchSite *site, uint32_t number);
BranchCall branch_call(BranchEvent event, bool in_v);

typedef enum { BRANCH_NONE, BRANCH_JCC, BRANCH_COUNTED, BRANCH_DIRECT, BRANCH_INDIRECT } BranchKind;
BranchKind branch_kind(struct Core *core, uint32_t pc); /* of the instruction there: LOOP and JCXZ are COUNTED */

/* Behind everything else that looks at a block's operations: its last instruction, if that is a near branch. */
void branches_translate(struct Core *core, const void *tb);
void branches_flush(struct Core *core);       /* RESET, INIT, CR3 */
void branches_interrupted(struct Core *core); /* what comes next comes from an interrupt's gate */

/* Of a snapshot; 0 bytes where branches are not predicted. */
size_t branches_state_size(const struct Core *core);
void branches_state_save(const struct Core *core, uint8_t *state);
void branches_state_load(struct Core *core, const uint8_t *state);

/* Methods of the Python type. */
PyObject *core_branches(struct Core *core, PyObject *unused);
#define BRANCH_METHODS METHOD(branches, METH_NOARGS)

#endif
