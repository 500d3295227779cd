/* What the files of the TLB lint share; tlb_lint.h tells what it is. */
#ifndef HILLEMU_TLB_LINT_INTERNAL_H
#define HILLEMU_TLB_LINT_INTERNAL_H

#include "core.h"

enum { LINT_PAGES = 1 << 20, REGIONS = 2048, FINDINGS = 256, LINT_CALLERS = 4 };

/* The entries that lead to a page: of its directory and, unless it is large, of its table. */
typedef struct {
    uint64_t at[2], value[2];
    int count;
    bool complete; /* all are present */
} Entries;

/* An instruction, and how many were executed before it. */
typedef struct {
    uint32_t pc;
    uint32_t callers[LINT_CALLERS]; /* CALLs that had not returned, the innermost first; 0: no more are known */
    int64_t instructions;
} Place;

/* A page that was used since the last flush, with its entries as they were then. */
typedef struct {
    Entries entries;
    uint32_t generation; /* alive if it is that of its kind */
    bool global, stale;
    uint8_t level; /* which entry changed; if stale: */
    bool by_host;
    uint64_t changed_to;
    Place changed;
} UsedPage;

/* 4 MiB, with PAE 2 MiB, of linear addresses: the frames of their tables. */
typedef struct {
    uint64_t frames[2];
    uint32_t generation;
    bool has_global, has_large; /* or had */
} Region;

typedef struct {
    UsedPage page;
    uint32_t address, access;
    Place used;
    uint64_t times;
    bool in_model;
} Finding;

typedef struct LintCall LintCall;

struct TlbLint {
    UsedPage *pages;
    Region regions[REGIONS];
    uint8_t *tables; /* one bit a frame: its stores are looked at */
    uint32_t generation, global_generation;
    uint32_t cr0, cr3, cr4;
    Finding findings[FINDINGS];
    size_t finding_count;
    uint64_t dropped; /* beyond those */
    LintCall *calls;    /* a hash by the place of the return address */
    uint32_t innermost; /* that place, of the last call that has not returned; 0: none is known */
    uint32_t returned_from; /* and of the last one that has */
};

/* tlb_lint_tables.c */
int lint_entry_bytes(const TlbLint *lint);
uint32_t lint_region_of(const TlbLint *lint, uint32_t linear);
uint32_t lint_pages_of_region(const TlbLint *lint);
uint64_t lint_entry_at(const Core *core, uint64_t at, int bytes);
Entries lint_walk(const Core *core, uint32_t linear);
/* Whether a translation by the old entry leads elsewhere, or allows what the new one does not. */
bool lint_makes_stale(const TlbLint *lint, uint64_t old, uint64_t new, bool of_directory);
/* Whether what an access wants is the same by both. */
bool lint_serves_alike(const Core *core, const Entries *old, const Entries *new, int access, int mmu);

bool lint_physical(const Core *core, uint32_t linear, uint64_t *physical); /* by the tables, not the TLB; false: not there */

/* tlb_lint_calls.c */
bool lint_begin_calls(TlbLint *lint); /* false: no memory */
void lint_forget_calls(TlbLint *lint);
void lint_callers(const Core *core, uint32_t callers[LINT_CALLERS]);

#endif
