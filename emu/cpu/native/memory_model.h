/* The memory system of an i386, i486 or Pentium as a timing model: TLBs, caches, write buffers and the bus.
 *
 * It is told each access, and tells how many clocks the processor waits beyond what the instruction tables hold (they
 * assume that everything hits).  It holds no data: what is where, and until when the bus is busy.
 *
 *   memory_model.c       accesses of every kind: splitting, misalignment; geometry
 *   memory_model_tlb.c   translation, page walks, flushes, control registers
 *   memory_model_cache.c lines, replacement, MESI, snoops
 *   memory_model_look.c  accesses that the filter does not know
 *   memory_model_lines.h sets and ways, and the filter's keys, for these two
 *   memory_model_bus.c   bus cycles and write buffers
 *   memory_model_views.c geometry, counters and contents as Python sees them
 *   memory_model_type.c  the Python type that tests drive
 *
 * Nothing here knows Unicorn or (but for the last two files) Python.  Clocks are the processor's; bus clocks are turned
 * into them by the multiplier, rounded up.  Where the manuals are silent, "Decision" says what was chosen.
 *
 * Not modelled: PAE and global pages (none of the three has them; walks under CR4.PAE are counted as `unmodelled` and
 * not translated), A20M#, the Pentium MMX's fully associative TLBs, address pipelining, the contents of prefetch
 * buffers, the Pentium's bank conflicts (they belong to pairing).
 */
#ifndef HILLEMU_MEMORY_MODEL_H
#define HILLEMU_MEMORY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* Calls and registers are what most accesses cost: what is short is in its caller, and what is rare is not. */
#define NOT_INLINE static __attribute__((noinline))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

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

enum { TLB_ENTRIES_MAX = 64, WRITE_BUFFERS_MAX = 8, LINE_BYTES_LEAST = 16 };
enum { FILTER_LINES = 4096 / LINE_BYTES_LEAST, FILTER_COLUMNS = 8, NO_KEY = 0xFFFFFFFF };

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

/* To touch a way: of *recent, `bits` become `put`. */
typedef struct {
    uint8_t *recent, bits, put;
} WayTouch;

typedef struct {
    uint32_t page; /* NO_KEY: none */
    uint32_t frame, rights; /* where it is, in 4 KiB frames */
    bool fills;             /* reads of it fill lines, all of them */
    WayTouch touch;
} PageKey;

/* What a write that hits here does on the bus. */
typedef enum { BUS_IDLE, BUS_HIT, BUS_ABSENT } BusUse;

/* Accesses of one kind to a line whose page is known: `tag` is that of memory_model_tag(), or 0. */
typedef struct {
    uint64_t tag;
    uint8_t *page_recent, *line_recent;                 /* two touches, without their padding */
    uint8_t page_bits, page_put, line_bits, line_put;
    uint32_t bus : 4, physical : 28; /* BusUse; the line's number there */
} LineKey;

typedef struct {
    /* The filter; see memory_model_filter(). */
    uint32_t line_shift, line_mask, line_base, page_mask, bus_shift;
    uint32_t key_mask; /* of a linear address: the line in its page, as far as it chooses the key */
    uint64_t generation; /* of the line keys that hold; others are forgotten */
    LineKey line_keys[3][FILTER_LINES];                 /* by kind */
    PageKey page_keys[TLB_ENTRIES_MAX][FILTER_COLUMNS]; /* by kind and user */
    uint8_t untouched; /* what keys touch of unpaged memory, and of lines that are not in the cache */

    MemoryGeometry geometry;
    MemoryCounters counters;
    PageTableAccess tables;
    uint32_t cr0, cr3, cr4;
    bool writes_through; /* to the bus, at each write that hits */
    bool is_unified;     /* one cache of 4 ways, without write-back */
    uint32_t write_bytes; /* at most, of a write that takes one bus cycle and is written through; else 0 */
    bool filters;        /* off for tests: the same results, later */
    ModelTlb data_tlb, code_tlb, large_tlb;
    ModelCache data_cache, code_cache;

    int64_t writes_end[WRITE_BUFFERS_MAX]; /* the last bus writes: number n is at n modulo this */
    int64_t missed_until; /* where the last of them ends that did not hit the cache, or that a read has passed */
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

/* An access of 1 to 16 bytes at clock `now`, which the filter does not know: the clocks that the processor waits. */
int64_t memory_model_look_read(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now);
int64_t memory_model_look_write(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now);
int64_t memory_model_look_fetch(MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags, int64_t now);
static inline int64_t memory_model_look(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind,
                                        uint32_t flags, int64_t now)
{
    return kind == MEMORY_READ    ? memory_model_look_read(model, linear, size, flags, now)
           : kind == MEMORY_WRITE ? memory_model_look_write(model, linear, size, flags, now)
                                  : memory_model_look_fetch(model, linear, size, flags, now);
}

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
    uint64_t number = model->counters.bus_writes++;
    int64_t room = model->writes_end[(number - model->geometry.write_buffers) % WRITE_BUFFERS_MAX];
    if (room > now) {
        model->outcome |= OUTCOME_BUFFERS_FULL;
        model->counters.buffer_clocks += (uint64_t)(room - now);
        now = room;
    }
    model->bus_free = (now > model->bus_free ? now : model->bus_free) + model->write_clocks;
    model->writes_end[number % WRITE_BUFFERS_MAX] = model->bus_free;
    if (!hit)
        model->missed_until = model->bus_free;
    return now;
}

int64_t bus_write_rest(MemoryModel *model, uint32_t size, bool hit, int64_t now); /* all but the first transfer */

/* A write that the filter knows in a write-through cache, or not to be in it: only the write buffers change.  The
 * clocks that the processor waits, for the first transfer, ... */
static inline int64_t memory_model_write_once(MemoryModel *model, BusUse bus, int64_t now)
{
    model->counters.write_misses += bus == BUS_ABSENT;
    int64_t then = bus_write(model, now, bus == BUS_HIT);
    model->counters.stall_clocks += (uint64_t)(then - now);
    return then - now;
}

/* ... and for all of them. */
static inline int64_t memory_model_write_through(MemoryModel *model, uint32_t size, BusUse bus, int64_t now)
{
    int64_t clocks = memory_model_write_once(model, bus, now), rest;
    if (size <= model->geometry.bus_bytes)
        return clocks;
    rest = bus_write_rest(model, size, bus == BUS_HIT, now + clocks) - (now + clocks);
    model->counters.stall_clocks += (uint64_t)rest;
    return clocks + rest;
}

/* Mostly it was touched last; each store would delay the next look at these bits. */
static inline void way_touch(WayTouch touch)
{
    uint8_t bits = *touch.recent;
    if (__builtin_expect((bits & touch.bits) != touch.put, false))
        *touch.recent = (uint8_t)(bits & ~touch.bits) | touch.put;
}

/* A tag: the line's linear address, and in its lower bits TAG_USER; above it TAG_FILLING and the filter's generation.
 * TAG_FILLING: the line was filled, and no access has waited yet until it is whole.  The filter does not know it. */
enum { TAG_USER = 8 };
#define TAG_FILLING (1ull << 32)
#define TAG_GENERATION (1ull << 33)

/* Of an access; one that is not aligned has the tag of no key. */
static inline uint64_t memory_model_tag(const MemoryModel *model, uint32_t linear, uint32_t size, uint32_t flags)
{
    uint32_t low = (linear & (model->line_base | (size - 1))) | (flags & MEMORY_USER ? TAG_USER : 0);
    bool is_odd = size & (size - 1) || (size > TAG_USER && linear & TAG_USER);
    return model->generation | low | is_odd;
}

static inline LineKey *memory_model_key(MemoryModel *model, uint32_t linear, MemoryKind kind)
{
    _Static_assert(sizeof(LineKey) == 2 * LINE_BYTES_LEAST, "or the offset below is wrong");
    return (LineKey *)((char *)model->line_keys[kind] + 2 * (uint64_t)(linear & model->key_mask));
}

static inline void memory_model_touch(const LineKey *key)
{
    way_touch((WayTouch){key->page_recent, key->page_bits, key->page_put});
    way_touch((WayTouch){key->line_recent, key->line_bits, key->line_put});
}

/* Whether this access hits everywhere, and changes nothing but replacement bits, which it touches; or is a write that
 * besides only goes to the bus: then `*bus`.
 *
 * Keys are linear; they hold as long as their page is in the TLB with the rights that were asked for, and as their line
 * is in the cache, whole, and for a write in a write-back cache modified; or is not in the cache, for a write that does
 * not put it there.  Whatever could end that takes the keys away.  Touching a way gives the same bits whenever it is
 * done again.  A write in a write-through cache goes to the bus nevertheless. */
static inline bool memory_model_filter(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind,
                                       uint32_t flags, BusUse *bus)
{
    const LineKey *key = memory_model_key(model, linear, kind);
    if (key->tag != memory_model_tag(model, linear, size, flags) || flags & MEMORY_LOCKED)
        return false;
    memory_model_touch(key);
    *bus = (BusUse)key->bus;
    return true;
}

ALWAYS_INLINE int64_t memory_model_access(MemoryModel *model, uint32_t linear, uint32_t size, MemoryKind kind,
                                          uint32_t flags, int64_t now)
{
    BusUse bus;
    (&model->counters.reads)[kind]++;
    if (__builtin_expect(!memory_model_filter(model, linear, size, kind, flags, &bus), false))
        return memory_model_look(model, linear, size, kind, flags, now);
    if (kind != MEMORY_WRITE || bus == BUS_IDLE)
        return 0;
    model->outcome = bus == BUS_ABSENT ? OUTCOME_CACHE_MISS : 0;
    model->physical = 0;
    return memory_model_write_through(model, size, bus, now);
}

#endif
