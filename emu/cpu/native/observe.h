/* What can be observed of a run: accesses to memory, loads of CR3, page faults, arrivals at addresses.
 *
 *   memory_access.c    where the library's loads and stores pass (native mode only)
 *   watch.c            which of them are watched
 *   debug_registers.c  the guest's own watches: data breakpoints in DR0-DR3 (native mode only)
 *   observe.c          what was observed waits there for the next block start, where Python is called
 *   observers.c        the methods of the Python type
 */
#ifndef HILLEMU_OBSERVE_H
#define HILLEMU_OBSERVE_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Core Core;

enum { WATCH_READ = 1, WATCH_WRITE = 2 };
enum { DEBUG_REGISTERS = 4 };

/* Accesses of these kinds to `start` up to `end` are told; the run `stops` behind them if that is wanted. */
typedef struct {
    uint64_t start, end;
    uint32_t id;
    uint8_t kinds; /* 0: none, in the watches that are the guest's */
    bool physical, stops;
} Watch;

typedef enum { EVENT_ACCESS = 1, EVENT_CR3 = 2, EVENT_PAGE_FAULT = 4, EVENT_ARRIVAL = 8 } EventKind;

/* One page fault that was delivered. */
typedef struct {
    uint32_t address, error_code, cs, eip, cr3;
    int64_t instructions;
} PageFault;

/* What was observed; addresses are linear unless they are called `physical`. */
typedef struct {
    EventKind kind;
    bool of_instruction; /* and not of the delivery of an exception or interrupt */
    bool before_known;   /* not of device memory */
    bool stops;          /* the run, behind this */
    uint8_t access, size;
    uint32_t watch, address, eip;
    uint64_t physical, before, after;
    int64_t instructions; /* retired, with the one that did it */
    PageFault fault;
} Event;

#define PAGE_FAULTS_KEPT (1u << 16)

typedef struct {
    PyObject *on_event; /* (kind, tuple); NULL: nobody */
    int wanted;         /* EventKinds besides accesses and arrivals */
    Event *events;
    size_t count, capacity;
    bool telling;           /* Python is being called */
    bool stop;              /* an event that stops the run was told */
    int64_t told_ticks;     /* the arrival that was told last: */
    uint32_t told_eip;      /* not again when a stop or a cut begins the same instruction once more */
    PageFault *page_faults; /* a ring; allocated at the first */
    uint64_t page_fault_count, oldest_page_fault; /* those in between are kept */

    Watch *watches;
    size_t watch_count;
    Watch debug[DEBUG_REGISTERS];
    uint8_t debug_hits; /* DR6's B0 to B3, until #DB is raised, ... */
    uint32_t debug_eip; /* ... and the instruction */
    bool watching;      /* there are watches, the guest's included */
    int64_t redo_ticks; /* the instruction that was left to be executed again in a block of its own */
    uint32_t redo_eip;
    struct {
        int64_t ticks;
        uint64_t at, value;
        unsigned size;
    } device_reads[4]; /* the last ones: not to be repeated with their instruction */
    unsigned device_read_count;
} Observers;

/* An access while it is under way. */
typedef struct {
    uint32_t linear;
    int size;
    uint8_t kind;
    uintptr_t ra;
    uint64_t physical[2]; /* of its first byte, and of the first in its second page */
    int bytes[2];         /* how many of them lie in each page */
    bool before_known;
    uint64_t before;
} Access;

/* watch.c */
bool watch_add(Core *core, Watch watch); /* false: no memory */
bool watch_remove(Core *core, uint32_t id);
void watches_changed(Core *core);
uint64_t watch_tlb_flags(const Core *core, uint64_t linear, uint64_t physical, int kind);
bool watch_begin(Core *core, Access *access, uint64_t at, int size, int kind, int mmu, uintptr_t ra);
void watch_end(Core *core, const Access *access, uint64_t after);
void watch_forget_instruction(Core *core); /* it faulted */
bool is_redone(const Core *core, uint32_t linear_eip);
void device_read_keep(Core *core, uint64_t at, unsigned size, uint64_t value);
bool device_read_again(Core *core, uint64_t at, unsigned size, uint64_t *value);

/* memory_access.c */
bool memory_access_install(void); /* once a process; sets a Python error on failure */

/* debug_registers.c */
void debug_registers_changed(Core *core);
bool debug_trap_is_due(const Core *core);
void debug_trap_raise(Core *core);
void debug_trap_begins(Core *core);
void debug_check_access(Core *core, uintptr_t ra); /* raises #DB if DR7.GD protects the registers */

/* observe.c */
Event *observe_event(Core *core, EventKind kind); /* NULL: no memory, and the run ends */
bool observe_is_pending(const Core *core);
void observe_tell(Core *core);
void observe_arrival(Core *core);
void observe_page_fault(Core *core);
void observe_cr3(Core *core, uint32_t before, uint32_t after);
void observe_forget(Core *core);
void observers_end(Core *core);
bool observer_may_change(const Core *core); /* else sets a Python error */
PyObject *page_fault_tuple(const PageFault *fault);

/* observers.c */
PyObject *core_set_observer(Core *core, PyObject *args);
PyObject *core_add_watch(Core *core, PyObject *args);
PyObject *core_remove_watch(Core *core, PyObject *id);
PyObject *core_page_faults(Core *core, PyObject *unused);

#define OBSERVER_METHODS                                                                                              \
    METHOD(set_observer, METH_VARARGS), METHOD(add_watch, METH_VARARGS), METHOD(remove_watch, METH_O),                \
        METHOD(page_faults, METH_NOARGS)

#endif
