/* Watches on memory: which accesses are told, exactly and behind their instruction.
 *
 * A page with a watch has TLB_WATCHPOINT in its soft TLB entries, which keeps translated code on the slow path there;
 * all other pages stay as quick as they are.  On the slow path memory_access.c asks here, before and after.
 *
 * What is told must be told behind the instruction, where its state is exact.  An access by the last instruction of a
 * block just goes on, since a block start follows.  Any other instruction is left before the access, as for a fault,
 * and executed again in a block of its own.  `hold` keeps the place where events and interrupts are looked at where it
 * was, so the run stays the same.
 */
#include <string.h>

#include "core.h"

static bool is_last_of_block(Core *core, uintptr_t ra)
{
    void *tb = current_block(core);
    if (!tb || !ra)
        return true; /* the delivery of an interrupt, between two blocks */
    int number = find_instruction(tb, ra - GETPC_ADJ, 0);
    return number < 0 || number == FIELD(uint16_t, tb, TB_ICOUNT) - 1;
}

bool is_redone(const Core *core, uint32_t eip)
{
    return core->seen.redo_ticks == block_ticks(core) && core->seen.redo_eip == eip;
}

static void leave_to_redo(Core *core, uintptr_t ra)
{
    leave_before_instruction(core, ra);
    core->seen.redo_ticks = block_ticks(core);
    core->seen.redo_eip = linear_eip(core);
    lib.loop_exit_noexc(core->cpu);
}

/* ---- device memory that is read and then left out when the instruction is executed again ------------------------ */

void device_read_keep(Core *core, uint64_t at, unsigned size, uint64_t value)
{
    Observers *seen = &core->seen;
    unsigned place = seen->device_read_count++ % Py_ARRAY_LENGTH(seen->device_reads);
    seen->device_reads[place].ticks = clock_ticks(core);
    seen->device_reads[place].at = at;
    seen->device_reads[place].size = size;
    seen->device_reads[place].value = value;
}

bool device_read_again(Core *core, uint64_t at, unsigned size, uint64_t *value)
{
    Observers *seen = &core->seen;
    int64_t now = clock_ticks(core);
    if (seen->redo_ticks != now)
        return false;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(seen->device_reads); i++) {
        if (seen->device_reads[i].ticks != now || seen->device_reads[i].at != at || seen->device_reads[i].size != size)
            continue;
        *value = seen->device_reads[i].value;
        return true;
    }
    return false;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static bool overlaps(const Watch *watch, uint64_t start, uint64_t bytes)
{
    return start < watch->end && watch->start < start + bytes;
}

static bool matches(const Watch *watch, const Access *access)
{
    if (!(watch->kinds & access->kind))
        return false;
    if (!watch->physical)
        return overlaps(watch, access->linear, access->size);
    return overlaps(watch, access->physical[0], access->bytes[0]) ||
           (access->bytes[1] && overlaps(watch, access->physical[1], access->bytes[1]));
}

/* Flags for the soft TLB's entry of a page. */
uint64_t watch_tlb_flags(const Core *core, uint64_t linear, uint64_t physical, int kind)
{
    const Observers *seen = &core->seen;
    linear = (uint32_t)linear & ~(uint64_t)0xfff;
    for (size_t i = 0; i < seen->watch_count; i++) {
        const Watch *watch = &seen->watches[i];
        if (watch->kinds & kind && overlaps(watch, watch->physical ? physical : linear, 0x1000))
            return TLB_WATCHPOINT;
    }
    for (size_t i = 0; i < DEBUG_REGISTERS; i++)
        if (seen->debug[i].kinds & kind && overlaps(&seen->debug[i], linear, 0x1000))
            return TLB_WATCHPOINT;
    return 0;
}

static bool may_match(const Core *core, const Access *access)
{
    const Observers *seen = &core->seen;
    for (size_t i = 0; i < seen->watch_count; i++)
        if (seen->watches[i].kinds & access->kind &&
            (seen->watches[i].physical || overlaps(&seen->watches[i], access->linear, access->size)))
            return true;
    for (size_t i = 0; i < DEBUG_REGISTERS; i++)
        if (matches(&seen->debug[i], access))
            return true;
    return false;
}

static bool does_match(const Core *core, const Access *access)
{
    const Observers *seen = &core->seen;
    for (size_t i = 0; i < seen->watch_count; i++)
        if (matches(&seen->watches[i], access))
            return true;
    for (size_t i = 0; i < DEBUG_REGISTERS; i++)
        if (matches(&seen->debug[i], access))
            return true;
    return false;
}

/* Finds the bytes' physical addresses, as the access is about to: false where it will fault. */
static bool translate(Core *core, Access *access, int mmu)
{
    int in_first_page = 0x1000 - (int)(access->linear & 0xfff);
    access->bytes[0] = access->size < in_first_page ? access->size : in_first_page;
    access->bytes[1] = access->size - access->bytes[0];
    int type = access->kind == WATCH_WRITE ? ACCESS_STORE : ACCESS_LOAD;
    for (int i = 0; i < 2 && access->bytes[i]; i++) {
        uint32_t at = access->linear + (i ? access->bytes[0] : 0);
        if (!lib.physical_address(core->env, at, type, mmu, &access->physical[i]))
            return false;
    }
    return true;
}

static void read_before(Core *core, Access *access)
{
    char *to = (char *)&access->before;
    access->before = 0;
    access->before_known = true;
    for (int i = 0; i < 2 && access->bytes[i]; i++) {
        const MemoryArea *area = area_at(core, access->physical[i]);
        access->before_known &= area != NULL;
        if (area)
            memcpy(to, area->host + (access->physical[i] - area->base), access->bytes[i]);
        to += access->bytes[i];
    }
}

/* ---- the two sides of an access ---------------------------------------------------------------------------------- */

/* Whether it is watched: then watch_end() is to be called behind it.  Does not return where the instruction must be
 * executed again for that. */
bool watch_begin(Core *core, Access *access, uint64_t at, int size, int kind, int mmu, uintptr_t ra)
{
    *access = (Access){.linear = (uint32_t)at, .size = size, .kind = (uint8_t)kind, .ra = ra};
    if (!may_match(core, access) || !translate(core, access, mmu) || !does_match(core, access))
        return false;
    if (!is_last_of_block(core, ra))
        leave_to_redo(core, ra);
    read_before(core, access);
    return true;
}

/* INS stores twice, to see a fault before it reads the port; a cut behind a port access does so again. */
static Event *same_access(Core *core, const Watch *watch, const Access *access, uint32_t eip)
{
    for (size_t i = 0; i < core->seen.count; i++) {
        Event *event = &core->seen.events[i];
        if (event->kind == EVENT_ACCESS && event->of_instruction && event->watch == watch->id &&
            event->access == access->kind && event->address == access->linear && event->size == access->size &&
            event->eip == eip)
            return event;
    }
    return NULL;
}

static void note_access(Core *core, const Watch *watch, const Access *access, uint64_t after)
{
    bool of_instruction = access->ra && current_block(core);
    uint32_t eip = FIELD(uint32_t, core->env, ENV_EIP);
    Event *event = of_instruction ? same_access(core, watch, access, eip) : NULL;
    if (!event) {
        event = observe_event(core, EVENT_ACCESS);
        if (!event)
            return;
        event->of_instruction = of_instruction;
        event->watch = watch->id;
        event->access = access->kind;
        event->size = (uint8_t)access->size;
        event->address = access->linear;
        event->physical = access->physical[0];
        event->before_known = access->before_known;
        event->before = access->before;
        event->eip = eip;
    }
    event->after = after;
    event->stops = watch->stops;
}

void watch_end(Core *core, const Access *access, uint64_t after)
{
    Observers *seen = &core->seen;
    if (access->ra)
        lib.restore_state(core->cpu, access->ra, false);
    for (size_t i = 0; i < seen->watch_count; i++)
        if (matches(&seen->watches[i], access))
            note_access(core, &seen->watches[i], access, after);
    for (size_t i = 0; i < DEBUG_REGISTERS; i++) {
        if (matches(&seen->debug[i], access)) {
            seen->debug_hits |= 1 << i;
            seen->debug_eip = FIELD(uint32_t, core->env, ENV_EIP);
        }
    }
    rearm(core);
}

/* An instruction that faults has not happened; it is told when it does. */
void watch_forget_instruction(Core *core)
{
    Observers *seen = &core->seen;
    uint32_t eip = FIELD(uint32_t, core->env, ENV_EIP);
    size_t kept = 0;
    for (size_t i = 0; i < seen->count; i++) {
        const Event *event = &seen->events[i];
        if (!(event->kind == EVENT_ACCESS && event->of_instruction && event->eip == eip))
            seen->events[kept++] = *event;
    }
    seen->count = kept;
    if (seen->debug_eip == eip)
        seen->debug_hits = 0;
}

/* ---- the set ----------------------------------------------------------------------------------------------------- */

void watches_changed(Core *core)
{
    bool by_guest = false;
    for (size_t i = 0; i < DEBUG_REGISTERS; i++)
        by_guest |= core->seen.debug[i].kinds != 0;
    core->seen.watching = by_guest || core->seen.watch_count;
    tlb_watches_changed(core);
}

bool watch_add(Core *core, Watch watch)
{
    Observers *seen = &core->seen;
    Watch *grown = realloc(seen->watches, (seen->watch_count + 1) * sizeof *grown);
    if (!grown)
        return false;
    seen->watches = grown;
    seen->watches[seen->watch_count++] = watch;
    watches_changed(core);
    return true;
}

bool watch_remove(Core *core, uint32_t id)
{
    Observers *seen = &core->seen;
    for (size_t i = 0; i < seen->watch_count; i++) {
        if (seen->watches[i].id != id)
            continue;
        memmove(&seen->watches[i], &seen->watches[i + 1], (seen->watch_count - i - 1) * sizeof *seen->watches);
        seen->watch_count--;
        watches_changed(core);
        return true;
    }
    return false;
}
