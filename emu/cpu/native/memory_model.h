/* The memory system of an i386, i486 or Pentium as a timing model: TLBs, caches, write buffers and the bus.
 *
 * It is told each access, and tells how many clocks the processor waits beyond what the instruction tables hold (they
 * assume that everything hits).  It holds no data: what is where, and until when the bus is busy.
 *
 *   memory_model.c       accesses of every kind: splitting, misalignment; geometry
 *   memory_model_tlb.c   translation, page walks, flushes, control registers
 *   memory_model_cache.c lines, replacement, MESI, snoops; accesses in pages that the filter knows
 *   memory_model_bus.c   bus cycles and write buffers
 *   memory_model_views.c geometry, counters and contents as Python sees them
 *   memory_model_type.c  the Python type that tests drive
 *
 * Nothing here knows Unicorn or (but for the last two files) Python.  Clocks are the processor's; bus clocks are turned into
 * them by the multiplier, rounded up.  Where the manuals are silent, "Decision" says what was chosen.
 *
 * Not modelled: PAE and global pages (none of the three has them; walks under CR4.PAE are counted as `unmodelled` and
 * not translated), A20M#, the Pentium MMX's fully associative TLBs, address pipelining, the contents of prefetch
 * buffers, the Pentium's bank conflicts (they belong to pairing).
 */
#ifndef HILLEMU_MEMORY_MODEL_H
#define HILLEMU_MEMORY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

typedef enum { MEMORY_READ, MEMORY_WRITE, MEMORY_FETCH } MemoryKind;

enum { MEMORY_USER = 1, MEMORY_LOCKED = 2 }; /* flags of an access: CPL 3; part of a locked read-modify-write */

/* What happened at an access besides hits, one bit each. */
enum {
    OUTCOME_TLB_MISS = 1,
    OUTCOME_TLB_EVICTION = 2,
    OUTCOME_TLB_DROPPED = 4, /* an entry without the rights or the dirty bit that the access needs */
    OUTCOME_FAULT = 8,       /* the tables do not allow it: nothing else happened */
    OUTCOME_PDE_UPDATE = 16, /* A or D was set in the directory entry, ... */
    OUTCOME_PTE_UPDATE = 32, /* ... in the page table entry */
    OUTCOME_CACHE_MISS = 64,
    OUTCOME_CACHE_EVICTION = 128,
    OUTCOME_WRITE_BACK = 256,
    OUTCOME_UNCACHED = 512,
    OUTCOME_WALK_MISS = 1024, /* an entry of the tables was not in the cache */
    OUTCOME_BUFFERS_FULL = 2048,
    OUTCOME_READ_AHEAD = 4096, /* a read passed buffered writes */
    OUTCOME_MISALIGNED = 8192,
    OUTCOME_SPLIT = 16384,     /* over two lines or pages */
    OUTCOME_CODE_DROPPED = 32768, /* a write into a line of the code cache */
    OUTCOME_UNMODELLED = 65536,
};

/* Sizes are bytes; `bus` clocks are at the bus's rate. */
#define MEMORY_GEOMETRY_FIELDS(FIELD)                                                                                 \
    FIELD(data_tlb_entries)       /* or of the unified one */                                                         \
    FIELD(code_tlb_entries)       /* 0: unified */                                                                    \
    FIELD(large_tlb_entries)      /* for data in 4 MiB pages; code holds these in 4 KiB pieces */                     \
    FIELD(tlb_ways)               /* of each TLB */                                                                   \
    FIELD(data_cache_bytes)       /* or of the unified one; 0: none */                                                \
    FIELD(code_cache_bytes)       /* 0: unified */                                                                    \
    FIELD(cache_ways)                                                                                                 \
    FIELD(line_bytes)                                                                                                 \
    FIELD(write_back)             /* MESI; else write-through */                                                      \
    FIELD(bus_bytes)                                                                                                  \
    FIELD(write_buffers)          /* bus writes under way or waiting, 1 to 8 */                                       \
    FIELD(reads_pass_writes)      /* a read may pass buffered writes that all hit the cache */                        \
    FIELD(multiplier_numerator)   /* processor clocks per bus clock: 3/2 is 3 and 2 */                                \
    FIELD(multiplier_denominator)                                                                                     \
    FIELD(read_bus_clocks)        /* a read, or a burst's first transfer, with its wait states */                     \
    FIELD(burst_bus_clocks)       /* each further transfer of a burst */                                              \
    FIELD(write_bus_clocks)                                                                                           \
    FIELD(table_bus_clocks)       /* of a bus cycle that the instruction tables hold already */                       \
    FIELD(miss_clocks)            /* added to each read that leaves the processor */                                  \
    FIELD(misaligned_clocks)                                                                                          \
    FIELD(walk_bus_clocks)        /* of a page walk, besides its accesses */                                          \
    FIELD(walks_in_cache)         /* walks read through the cache and fill it; else always from the bus */            \
    FIELD(walk_hit_clocks)        /* of each entry that the cache holds */                                            \
    FIELD(first_update_bus_clocks)  /* of setting A or D in one entry, besides the locked read and write */           \
    FIELD(second_update_bus_clocks) /* ... in the other entry too */                                                  \
    FIELD(has_write_protect)      /* CR0.WP and page-level cache control: from the i486 on */                         \
    FIELD(flushes_on_mode_change) /* changes of CR0.PG, CR0.PE, CR4.PSE flush the TLBs */                             \
    FIELD(uncached_from)          /* physical: KEN# is inactive from here ... */                                      \
    FIELD(uncached_to)            /* ... up to here */                                                                \
    FIELD(uncached_above)         /* ... and from here to 4 GiB; 0: nowhere */

typedef struct {
#define GEOMETRY_FIELD(name) uint32_t name;
    MEMORY_GEOMETRY_FIELDS(GEOMETRY_FIELD)
#undef GEOMETRY_FIELD
} MemoryGeometry;

#define MEMORY_COUNTERS(COUNTER)                                                                                      \
    COUNTER(reads) COUNTER(writes) COUNTER(fetches) COUNTER(stall_clocks) COUNTER(data_tlb_misses)                    \
    COUNTER(code_tlb_misses) COUNTER(tlb_evictions) COUNTER(tlb_dropped) COUNTER(walk_clocks) COUNTER(walk_misses)    \
    COUNTER(updates) COUNTER(faults) COUNTER(data_cache_misses) COUNTER(code_cache_misses) COUNTER(write_misses)      \
    COUNTER(cache_evictions) COUNTER(write_backs) COUNTER(bus_writes) COUNTER(uncached) COUNTER(buffer_clocks)        \
    COUNTER(reads_ahead) COUNTER(misaligned) COUNTER(splits) COUNTER(code_dropped) COUNTER(locked)                    \
    COUNTER(flushes_cr3) COUNTER(flushes_task) COUNTER(flushes_mode) COUNTER(invlpgs) COUNTER(snooped_lines)          \
    COUNTER(unmodelled)

typedef struct {
#define COUNTER(name) uint64_t name;
    MEMORY_COUNTERS(COUNTER)
#undef COUNTER
} MemoryCounters;

/* How the model sees the guest's page tables.  `set` is told of A and D bits; NULL where another sets them. */
typedef struct {
    uint32_t (*read)(void *context, uint32_t physical);
    void (*set)(void *context, uint32_t physical, uint32_t bits);
    void *context;
} PageTableAccess;

/* A translation.  `rights` are the bits of a page-table entry: P, R/W, U/S (of both levels), PWT, PCD and D. */
typedef struct {
    uint32_t page, frame; /* linear and physical page number, of 4 KiB or, in the large TLB, of 4 MiB */
    uint32_t rights;      /* 0: invalid */
} ModelTlbEntry;

enum { TLB_ENTRIES_MAX = 64, WRITE_BUFFERS_MAX = 8, FILTER_LINES = 256, FILTER_COLUMNS = 8, NO_KEY = 0xFFFFFFFF };

typedef struct {
    uint32_t set_mask, ways, page_shift;
    uint8_t recent[TLB_ENTRIES_MAX]; /* of each set: its replacement bits */
    ModelTlbEntry entries[TLB_ENTRIES_MAX];
} ModelTlb;

typedef enum { LINE_INVALID, LINE_SHARED, LINE_EXCLUSIVE, LINE_MODIFIED } LineState;

typedef struct {
    uint32_t set_mask, ways, lines; /* 0 lines: there is no such cache */
    uint32_t *tags;                 /* physical line numbers */
    uint8_t *states, *recent;
} ModelCache;

typedef struct {
    int64_t starts, ends;
    bool hit; /* the cache, and no read has passed it */
} BusWrite;

/* To touch a way: *recent = (*recent & keep) | put. */
typedef struct {
    uint8_t *recent, keep, put;
} WayTouch;

typedef struct {
    uint32_t page; /* NO_KEY: none */
    uint32_t frame, rights; /* where it is, in 4 KiB frames */
    WayTouch touch;
} PageKey;

typedef struct {
    uint32_t line;     /* linear; NO_KEY: none */
    uint32_t physical; /* the same line's number there */
    WayTouch touch;
} LineKey;

typedef struct {
    /* The filter; see memory_model_filter(). */
    uint32_t line_shift, line_mask, page_mask, bus_shift;
    PageKey page_keys[TLB_ENTRIES_MAX][FILTER_COLUMNS]; /* by kind and user */
    LineKey line_keys[3][FILTER_LINES];                 /* by kind */
    LineKey absent_lines[FILTER_LINES];                 /* known not to be in the cache; they touch nothing */
    uint8_t untouched;                                  /* what keys of unpaged memory touch */

    MemoryGeometry geometry;
    MemoryCounters counters;
    PageTableAccess tables;
    uint32_t cr0, cr3, cr4;
    bool writes_through; /* to the bus, at each write that hits */
    bool filters;        /* off for tests: the same results, later */
    ModelTlb data_tlb, code_tlb, large_tlb;
    ModelCache data_cache, code_cache;

    BusWrite buffers[WRITE_BUFFERS_MAX]; /* a ring, oldest at `oldest_buffer`; those that ended are empty */
    uint32_t oldest_buffer;
    int64_t bus_free;    /* from this clock on */
    uint32_t fill_line;  /* the line that was filled last, ... */
    int64_t fill_ends;   /* ... whole at this clock */
    uint32_t outcome, physical; /* of the last access: OUTCOME bits; where its first byte is */

    /* Durations, in processor clocks. */
    int64_t read_clocks, fill_clocks, write_clocks, line_write_clocks, table_clocks, walk_clocks, update_clocks[2];
    int64_t credit; /* of this access: clocks on the bus that the tables hold */
} MemoryModel;

/* NULL, or why there is no such memory system. */
const char *memory_model_init(MemoryModel *model, const MemoryGeometry *geometry, PageTableAccess tables);
void memory_model_end(MemoryModel *model);
void memory_model_forget(MemoryModel *model); /* the filter: what it knew is looked up again */

/* An access of 1 to 16 bytes at clock `now`: the clocks that the processor waits.  Called for what the filter lets by.
 * */
int64_t memory_model_look(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind, uint32_t flags,
                          int64_t now);

typedef enum { CONTROL_CR0, CONTROL_CR3, CONTROL_CR4, CONTROL_TASK_SWITCH } ControlEvent;
/* Control registers were loaded, by what `event` says.  Give all three as they are now. */
void memory_model_control(MemoryModel *model, uint32_t cr0, uint32_t cr3, uint32_t cr4, ControlEvent event);
void memory_model_invlpg(MemoryModel *model, uint32_t linear);
int64_t memory_model_flush_cache(MemoryModel *model, bool write_back, int64_t now); /* WBINVD, INVD: clocks */
void memory_model_snoop(MemoryModel *model, uint32_t physical, uint32_t size, bool writes, int64_t now); /* DMA */
int64_t memory_model_drain(MemoryModel *model, int64_t now); /* I/O waits until the write buffers are empty: clocks */

/* A write on the bus, buffered: the clock when there was room. */
static inline int64_t bus_write(MemoryModel *model, int64_t now, bool hit)
{
    BusWrite *oldest = &model->buffers[model->oldest_buffer];
    if (++model->oldest_buffer == model->geometry.write_buffers)
        model->oldest_buffer = 0;
    if (oldest->ends > now) {
        model->outcome |= OUTCOME_BUFFERS_FULL;
        model->counters.buffer_clocks += oldest->ends - now;
        now = oldest->ends;
    }
    oldest->hit = hit;
    oldest->starts = now > model->bus_free ? now : model->bus_free;
    oldest->ends = oldest->starts + model->write_clocks;
    model->bus_free = oldest->ends;
    model->counters.bus_writes++;
    return now;
}

int64_t bus_write_rest(MemoryModel *model, uint32_t size, bool hit, int64_t now); /* all but the first transfer */

/* A write that the filter knows in a write-through cache, or not to be in it: only the write buffers change. */
static inline int64_t memory_model_write_through(MemoryModel *model, uint32_t size, bool hit, int64_t now)
{
    model->outcome = hit ? 0 : OUTCOME_CACHE_MISS;
    model->physical = 0;
    model->counters.write_misses += !hit;
    int64_t then = bus_write(model, now, hit);
    if (__builtin_expect(size > model->geometry.bus_bytes, false))
        then = bus_write_rest(model, size, hit, then);
    model->counters.stall_clocks += (uint64_t)(then - now);
    return then - now;
}

static inline void way_touch(WayTouch touch)
{
    uint8_t bits = *touch.recent;
    if (__builtin_expect((bits & (uint8_t)~touch.keep) != touch.put, false)) /* mostly it was touched last */
        *touch.recent = (bits & touch.keep) | touch.put;
}

/* Whether this access hits everywhere, and changes nothing but replacement bits, which it touches; or is a write that
 * only goes to the bus: then `*absent`.
 *
 * Keys are linear; they hold as long as their page is in the TLB with the rights that were asked for, and as their line
 * is in the cache, whole, and for a write in a write-back cache modified.  Whatever could end that takes the keys away.
 * Touching a way gives the same bits whenever it is done again.  A write in a write-through cache goes to the bus
 * nevertheless. */
static inline bool memory_model_filter(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind,
                                       uint32_t flags, bool *absent)
{
    uint32_t line = linear >> model->line_shift, page = linear >> 12;
    const PageKey *page_key = &model->page_keys[page & model->page_mask][2 * kind + (flags & MEMORY_USER)];
    const LineKey *line_key = &model->line_keys[kind][line & model->line_mask];
    *absent = kind == MEMORY_WRITE && model->absent_lines[line & model->line_mask].line == line;
    if (page_key->page != page || (((linear | size) & (size - 1)) | (flags & MEMORY_LOCKED)) ||
        (line_key->line != line && !*absent))
        return false;
    way_touch(page_key->touch);
    if (!*absent)
        way_touch(line_key->touch);
    return true;
}

static inline int64_t memory_model_access(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind,
                                          uint32_t flags, int64_t now)
{
    bool absent;
    (&model->counters.reads)[kind]++;
    if (__builtin_expect(!memory_model_filter(model, linear, size, kind, flags, &absent), false))
        return memory_model_look(model, linear, size, kind, flags, now);
    if (kind == MEMORY_WRITE && (absent || model->writes_through))
        return memory_model_write_through(model, size, !absent, now);
    return 0;
}

#endif
