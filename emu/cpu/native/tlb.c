/* Makes stores fast, ROM read-only and fetches precise, where QEMU fills its soft TLB.
 *
 * On i386 every page is executable unless NX is in use, so Unicorn keeps all stores on its slow path, in case they
 * change code.  Here an entry is made non-executable until its frame has been fetched from for the first time; that
 * fetch marks the frame, and all entries for it.  Stores to frames with code keep the exact slow path, also through
 * other addresses of the same frame.
 *
 * Entries are marked where they are, and never flushed for it: a flush could be seen, see soft_tlb.c.
 */
#include "core.h"

enum { CR0_PG = 1u << 31, CR4_PAE = 1 << 5, ENTRY_PRESENT = 1, ENTRY_ACCESSED = 1 << 5, PAGE_FAULT = 14 };

static bool was_executed(const Core *core, uint64_t frame)
{
    return frame >= FRAMES || core->executed[frame >> 3] >> (frame & 7) & 1;
}

const MemoryArea *area_at(const Core *core, uint64_t at)
{
    for (size_t i = 0; i < core->area_count; i++)
        if (at >= core->areas[i].base && at < core->areas[i].end)
            return &core->areas[i];
    return NULL;
}

/* ---- what an entry says of its frame ----------------------------------------------------------------------------- */

/* Unicorn takes a page off its slow path for stores where `addr_code` is empty.  No fetch hits an invalid one. */
static void keep_stores_slow(void *entry)
{
    uint64_t *code = &FIELD(uint64_t, entry, TLB_ENTRY_CODE), *write = &FIELD(uint64_t, entry, TLB_ENTRY_WRITE);
    if (*code == UINT64_MAX)
        *code = TLB_INVALID;
    if (*write != UINT64_MAX)
        *write |= TLB_NOT_DIRTY;
}

/* There is no code that a store could change. */
static void make_stores_fast(void *entry)
{
    uint64_t *write = &FIELD(uint64_t, entry, TLB_ENTRY_WRITE);
    FIELD(uint64_t, entry, TLB_ENTRY_CODE) = UINT64_MAX;
    if (*write != UINT64_MAX)
        *write &= ~(uint64_t)TLB_NOT_DIRTY;
}

static uint64_t frame_of(const void *entry) { return FIELD(uint64_t, entry, TLB_ENTRY_PADDR) >> 12; }

static void has_code(Core *core, void *entry, uint64_t at, uint64_t frame)
{
    if (frame_of(entry) == frame)
        keep_stores_slow(entry);
}

static void has_no_code(Core *core, void *entry, uint64_t at, uint64_t frame)
{
    if (frame_of(entry) == frame)
        make_stores_fast(entry);
}

void tlb_frame_has_code(Core *core, uint64_t frame, bool code)
{
    if (code)
        core->executed[frame >> 3] |= 1 << (frame & 7);
    else
        core->executed[frame >> 3] &= ~(1 << (frame & 7));
    soft_tlb_each(core, code ? has_code : has_no_code, frame);
}

/* Whether accesses are looked at: by watches, and stores by the lint. */
static void set_watched(Core *core, void *entry, uint64_t at, uint64_t unused)
{
    uint64_t *read = &FIELD(uint64_t, entry, TLB_ENTRY_READ), *write = &FIELD(uint64_t, entry, TLB_ENTRY_WRITE);
    uint64_t frame = frame_of(entry), of_read = 0, of_write = 0;
    if (core->lint && tlb_lint_is_table(core->lint, frame))
        of_write = TLB_WATCHPOINT;
    if (core->seen.watching) {
        of_read |= watch_tlb_flags(core, at, frame << 12, WATCH_READ);
        of_write |= watch_tlb_flags(core, at, frame << 12, WATCH_WRITE);
    }
    if (*read != UINT64_MAX)
        *read = (*read & ~(uint64_t)TLB_WATCHPOINT) | of_read;
    if (*write != UINT64_MAX)
        *write = (*write & ~(uint64_t)TLB_WATCHPOINT) | of_write;
}

void tlb_watches_changed(Core *core) { soft_tlb_each(core, set_watched, 0); }

/* ---- filling it -------------------------------------------------------------------------------------------------- */

static int instructions_begun(void *tcg)
{
    int count = 0;
    for (void *op = FIELD(void *, tcg, TCG_OPS); op; op = FIELD(void *, op, OP_LINK))
        count += FIELD(uint8_t, op, OP_OPCODE) == OPC_INSN_START;
    return count;
}

/* The translator reads ahead of execution.  Where an instruction continues on a page that faults, the instructions in
 * front of it must run first (they may map the page, or never get there): translate the block again without it. */
static void end_block_before_faulting_fetch(Core *core, uint64_t at, int size, int mmu, uintptr_t ra)
{
    int begun = instructions_begun(core->tcg);
    uint64_t cr2 = FIELD(uint64_t, core->env, ENV_CR + 8 * 2);
    if (begun <= 1 || core->original_tlb_fill(core->cpu, at, size, ACCESS_FETCH, mmu, true, ra))
        return;
    FIELD(uint64_t, core->env, ENV_CR + 8 * 2) = cr2; /* the probe has set it */
    FIELD(void *, core->tcg, TCG_CPU) = NULL;
    FIELD(uint32_t, core->cpu, CPU_CFLAGS_NEXT_TB) = (uint32_t)begun - 1;
    lib.loop_exit_noexc(core->cpu);
}

/* The 32-bit directory entry of `at`; NULL where there is none, as with PAE. */
static uint32_t *directory_entry(Core *core, uint64_t at)
{
    uint64_t cr0 = FIELD(uint64_t, core->env, ENV_CR), cr3 = FIELD(uint64_t, core->env, ENV_CR + 8 * 3);
    if (!(cr0 & CR0_PG) || FIELD(uint64_t, core->env, ENV_CR + 8 * 4) & CR4_PAE)
        return NULL;
    uint64_t entry = (cr3 & 0xfffff000) + ((at >> 22) & 0x3ff) * 4;
    const MemoryArea *area = area_at(core, entry);
    return area ? (uint32_t *)(area->host + (entry - area->base)) : NULL;
}

/* An access that faults sets no accessed bit (Intel386 Programmer's Reference Manual, "Page-Level Protection": they are
 * set before an access that is made).  QEMU sets the directory entry's before it looks at the table's. */
static bool fill(Core *core, uint64_t at, int size, int access, int mmu, bool probe, uintptr_t ra)
{
    uint32_t *entry = probe ? NULL : directory_entry(core, at);
    if (!entry || (*entry & (ENTRY_PRESENT | ENTRY_ACCESSED)) != ENTRY_PRESENT)
        return core->original_tlb_fill(core->cpu, at, size, access, mmu, probe, ra);
    uint32_t before = *entry;
    if (core->original_tlb_fill(core->cpu, at, size, access, mmu, true, ra))
        return true;
    *entry = before;
    lib.raise_exception_err_ra(core->env, PAGE_FAULT, FIELD(uint32_t, core->env, ENV_ERROR_CODE), ra);
    return false;
}

static bool fill_soft_tlb(void *cpu, uint64_t at, int size, int access, int mmu, bool probe, uintptr_t ra)
{
    Core *core = core_of_cpu(cpu);
    if (access == ACCESS_FETCH && !probe && FIELD(void *, core->tcg, TCG_CPU))
        end_block_before_faulting_fetch(core, at, size, mmu, ra);
    if (!fill(core, at, size, access, mmu, probe, ra))
        return false;
    void *entry = soft_tlb_entry(core, at, mmu);
    uint64_t frame = frame_of(entry), *write = &FIELD(uint64_t, entry, TLB_ENTRY_WRITE);
    if (access == ACCESS_FETCH && !was_executed(core, frame))
        tlb_frame_has_code(core, frame, true);
    if (was_executed(core, frame))
        keep_stores_slow(entry);
    else
        make_stores_fast(entry);
    if (*write != UINT64_MAX) {
        const MemoryArea *area = area_at(core, frame << 12);
        if (area && !area->writable)
            *write |= TLB_DISCARD_WRITE;
    }
    if (core->lint || core->seen.watching)
        set_watched(core, entry, at, 0);
    return true;
}

/* The memory model's walks come later, and see what this one sets. */
static bool fill_noting_updates(Core *core, uint64_t at, int size, int access, int mmu, bool probe, uintptr_t ra)
{
    TableEntries before = memory_tables_of(core, (uint32_t)at);
    if (!probe)
        core->memory->fill_access = access;
    bool filled = fill_soft_tlb(core->cpu, at, size, access, mmu, probe, ra);
    memory_tables_were(core, &before);
    return filled;
}

static bool tlb_fill(void *cpu, uint64_t at, int size, int access, int mmu, bool probe, uintptr_t ra)
{
    Core *core = core_of_cpu(cpu);
    soft_tlb_before_fill(core, mmu);
    if (core->lint && !probe)
        tlb_lint_before_fill(core, (uint32_t)at, access, mmu, ra);
    bool filled = core->memory ? fill_noting_updates(core, at, size, access, mmu, probe, ra)
                               : fill_soft_tlb(cpu, at, size, access, mmu, probe, ra);
    if (core->lint && filled && !probe)
        tlb_lint_filled(core, (uint32_t)at);
    return filled;
}

bool tlb_install(Core *core)
{
    core->executed = calloc(FRAMES / 8, 1);
    if (!core->executed) {
        PyErr_NoMemory();
        return false;
    }
    void *class = FIELD(void *, core->cpu, CPU_CLASS);
    core->original_tlb_fill = FIELD(void *, class, CLASS_TLB_FILL);
    FIELD(void *, class, CLASS_TLB_FILL) = (void *)tlb_fill;
    return true;
}

void tlb_host_wrote(Core *core, uint64_t at, uint64_t size)
{
    if (core->memory)
        memory_device_wrote(core, at, size);
    if (core->lint)
        tlb_lint_host_wrote(core, at, size);
    for (uint64_t frame = at >> 12; size && frame <= (at + size - 1) >> 12; frame++) {
        if (was_executed(core, frame)) {
            const MemoryArea *area = area_at(core, at);
            if (area) {
                uint64_t start = area->ram + (at - area->base);
                lib.tb_invalidate(core->uc, start, start + size);
            }
            return;
        }
    }
}

/* To forget translated code, Unicorn fetches from the physical address as if it were a virtual one.  With paging on
 * that would walk the guest's tables: set accessed bits, change CR2, and leave an exception behind that makes the next
 * one a double fault. */
int tlb_unmap(Core *core, uint64_t at, uint64_t size)
{
    uint64_t cr0 = FIELD(uint64_t, core->env, ENV_CR);
    lib.tlb_flush(core->cpu);
    FIELD(uint64_t, core->env, ENV_CR) = cr0 & ~(uint64_t)CR0_PG;
    int error = lib.mem_unmap(core->uc, at, size);
    FIELD(uint64_t, core->env, ENV_CR) = cr0;
    lib.tlb_flush(core->cpu);
    lib.tb_flush(core->cpu); /* what is mapped next may be filed where this was */
    return error;
}

PyObject *core_flush_tlb(Core *core, PyObject *unused)
{
    lib.tlb_flush(core->cpu);
    if (core->lint)
        tlb_lint_forget(core);
    Py_RETURN_NONE;
}
