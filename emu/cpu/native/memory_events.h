/* The memory model in a run: each access of the guest reaches it, and what it waits is charged to the clock.
 *
 *   memory_translate.c  puts calls into translated code: behind each load and store, in front of each line of code
 *   memory_fetch.c      what they call for code
 *   memory_repeat.c     ... for REP, whose iterations it makes
 *   memory_events.c     ... and for data; page faults, control registers, devices
 *   memory_tables.c     the guest's page tables as the model's walks see them
 *   memory_record.c     what the model was told and what it answered
 *   memory_methods.c    methods of the Python type
 *
 * What reaches the model depends on what is executed, not on where blocks end or how often an instruction had to begin:
 *
 *   data   an access that was made; one that faulted is a walk without an access
 *   code   each line of code that the processor enters, by falling through or by a transfer of control
 *
 * A call stands behind its access, since an access may leave its block: to be watched, because it changed the block's
 * own code, or for a fault.  The instruction is then executed again, and what it had done is skipped.
 *
 * Not modelled: SSE's 16-byte operands (they are two accesses), devices' reads of memory, prefetching beyond the line
 * that is executed.
 */
#ifndef HILLEMU_MEMORY_EVENTS_H
#define HILLEMU_MEMORY_EVENTS_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory_model.h"

typedef struct Core Core;

enum { TABLE_NOTES = 1024 };

/* A and D bits that QEMU has set in an entry of the page tables, and the model's walk not yet. */
typedef struct {
    uint64_t at;
    uint32_t value, bits; /* what QEMU left there; 0: none */
} TableNote;

typedef struct {
    uint8_t *records, *results; /* see memory_model_type.c */
    size_t count, capacity;
    int64_t then; /* clock behind the last event */
    bool failed;  /* no memory: the rest is not there */
} MemoryRecord;

typedef struct MemoryEvents {
    MemoryModel model;
    Core *core;

    /* Code: where falling through, or the next iteration of REP, leads; the last line that was entered. */
    uint32_t next, repeat, line;
    uint32_t fetch_shift; /* a line, or without a cache 4 bytes */
    uint32_t fetch_bytes; /* what is fetched of a line: at most 16 */

    /* The instruction that makes several accesses: its first one, so that it can be told what it has done. */
    uint64_t first_events;
    int64_t first_instructions; /* retired, as if the block had finished */
    uintptr_t first_ra;
    uint32_t skip; /* accesses that this instruction has made already */

    /* The last place in translated code where a helper accessed memory: how many clocks before its block's end. */
    uintptr_t helper_ra;
    int64_t helper_rest;

    uint64_t paged, paged_since; /* accesses with paging, up to when it was switched off; all before it is on */
    int fill_access; /* of the soft TLB's last fill: ACCESS_LOAD, ... */
    TableNote notes[TABLE_NOTES];
    MemoryRecord *record; /* NULL: nobody wants it */
} MemoryEvents;

/* memory_translate.c */
void memory_translate_access(Core *core, const void *tb);
void memory_translate_block(Core *core, const void *tb); /* its cycles are known */

/* memory_events.c */
typedef void (*MemoryCall)(MemoryEvents *events, uint64_t where, uint32_t how);
/* How an access is told: its size in bytes, these, and from HOW_REST on the clocks up to the block's end. */
enum { HOW_SIZE = 15, HOW_WRITE = 16, HOW_USER = 32, HOW_LOCKED = 64, HOW_FIRST = 128, HOW_REST = 8 };
MemoryCall memory_quick_call(uint32_t how);
void memory_any_access(MemoryEvents *events, uint64_t linear, uint32_t how);
void memory_no_access(MemoryEvents *events, uint64_t linear, uint32_t how);
void memory_cache_flush(MemoryEvents *events, uint64_t writes_back, uint32_t how);
void memory_helper_access(Core *core, uint32_t linear, int size, bool writes, int mmu, uintptr_t ra);
uint32_t memory_accesses_done(Core *core, void *tb, uint32_t linear_pc); /* by an instruction that is being left */
void memory_page_fault(Core *core);
void memory_control(Core *core, ControlEvent event); /* behind a change of CR0, CR3 or CR4 */
uint64_t memory_paged_accesses(const MemoryEvents *events);
void memory_invlpg(Core *core, uint32_t linear);
void memory_device_wrote(Core *core, uint64_t physical, uint64_t size);
void memory_port_access(Core *core);

/* memory_fetch.c; `how` is of the first instruction */
/* `where`: linear address, bytes (32 up), 1 + offset of a last instruction with REP (48 up) */
void memory_fetch_block(MemoryEvents *events, uint64_t where, uint32_t how);
/* ... of a block whose first instruction lies in one line, and the last has no REP: linear address, end (32 up) */
void memory_fetch_in_line(MemoryEvents *events, uint64_t where, uint32_t how);
void memory_fetch_in_user_line(MemoryEvents *events, uint64_t where, uint32_t how);
/* ... of a line behind its first: `told` of memory_line_told() */
void memory_fetch_line(MemoryEvents *events, uint64_t told, uint32_t how);
void memory_fetch_line_recorded(MemoryEvents *events, uint64_t told, uint32_t how);
uint64_t memory_line_told(const MemoryEvents *events, uint32_t line, uint32_t how);
void memory_left_at(Core *core, uint32_t linear_pc);

/* memory_repeat.c */
void memory_fetch_repeat(MemoryEvents *events, uint64_t told, uint32_t how);
uint64_t memory_repeat_told(Core *core, const void *tb, uint32_t *size);

/* memory_tables.c */
typedef struct {
    uint64_t at[2]; /* of the directory entry and the page table entry */
    uint32_t value[2];
    int count;
} TableEntries;
TableEntries memory_tables_of(const Core *core, uint32_t linear);
void memory_tables_were(Core *core, const TableEntries *before); /* QEMU has walked */
PageTableAccess memory_table_access(MemoryEvents *events);

/* memory_record.c */
void memory_note(MemoryEvents *events, uint8_t operation, uint32_t size, uint32_t flags, uint32_t address,
                 uint32_t value, int64_t now, int64_t clocks);
void memory_note_table(MemoryEvents *events, uint32_t physical, uint32_t entry);
void memory_record_end(MemoryEvents *events);

/* memory_methods.c: `state` is what a snapshot holds of it */
size_t memory_state_size(const Core *core);
void memory_state_save(const Core *core, uint8_t *state);
void memory_state_load(Core *core, const uint8_t *state);
void memory_events_end(Core *core);
PyObject *core_set_memory_model(Core *core, PyObject *geometry);
PyObject *core_memory_counters(Core *core, PyObject *unused);
PyObject *core_paged_accesses(Core *core, PyObject *unused);
PyObject *core_memory_tlb(Core *core, PyObject *unused);
PyObject *core_memory_lines(Core *core, PyObject *unused);
PyObject *core_record_memory(Core *core, PyObject *wanted);
PyObject *core_take_memory_record(Core *core, PyObject *unused);
#define MEMORY_METHODS                                                                                                \
    METHOD(set_memory_model, METH_O), METHOD(memory_counters, METH_NOARGS), METHOD(memory_tlb, METH_NOARGS),          \
        METHOD(paged_accesses, METH_NOARGS),                                                                          \
        METHOD(memory_lines, METH_NOARGS), METHOD(record_memory, METH_O), METHOD(take_memory_record, METH_NOARGS)

#endif
