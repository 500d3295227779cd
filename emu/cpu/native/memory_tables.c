/* The guest's page tables, as the memory model walks them.
 *
 * QEMU has walked before the model does, to make the access, and has set A and D.  What it set is noted, and the model
 * sees the entries as they were until its own walk sets them.  Where QEMU did not walk, since its soft TLB is larger,
 * and the guest has cleared A or D meanwhile, the model sets them: as a processor with a TLB of its size.
 */
#include "core.h"

enum { ENTRY_PRESENT = 1, ENTRY_ACCESSED = 1 << 5, ENTRY_DIRTY = 1 << 6, ENTRY_LARGE = 1 << 7 };
enum { CR0_PG = 1u << 31, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5 };

static uint32_t *word_at(const Core *core, uint64_t at)
{
    const MemoryArea *area = area_at(core, at);
    return area ? (uint32_t *)(area->host + (at - area->base)) : NULL;
}

static uint32_t value_at(const Core *core, uint64_t at)
{
    const uint32_t *word = word_at(core, at);
    return word ? *word : 0;
}

/* The 32-bit entries that translate `linear`; none without paging and with PAE. */
TableEntries memory_tables_of(const Core *core, uint32_t linear)
{
    TableEntries found = {.count = 0};
    uint32_t cr0 = FIELD(uint32_t, core->env, ENV_CR), cr3 = FIELD(uint32_t, core->env, ENV_CR + 8 * 3);
    uint32_t cr4 = FIELD(uint32_t, core->env, ENV_CR + 8 * 4);
    if (!(cr0 & CR0_PG) || cr4 & CR4_PAE)
        return found;
    found.at[0] = (cr3 & 0xfffff000) | (linear >> 20 & 0xffc);
    found.value[0] = value_at(core, found.at[0]);
    found.count = 1;
    if (!(found.value[0] & ENTRY_PRESENT) || (found.value[0] & ENTRY_LARGE && cr4 & CR4_PSE))
        return found;
    found.at[1] = (found.value[0] & 0xfffff000) | (linear >> 10 & 0xffc);
    found.value[1] = value_at(core, found.at[1]);
    found.count = 2;
    return found;
}

static TableNote *note_of(MemoryEvents *events, uint64_t at) { return &events->notes[at >> 2 & (TABLE_NOTES - 1)]; }

/* QEMU has walked the tables that had these entries: what did it set? */
void memory_tables_were(Core *core, const TableEntries *before)
{
    for (int i = 0; i < before->count; i++) {
        uint32_t now = value_at(core, before->at[i]);
        uint32_t bits = now & ~before->value[i] & (ENTRY_ACCESSED | ENTRY_DIRTY);
        TableNote *note = note_of(core->memory, before->at[i]);
        if (!bits)
            continue;
        if (note->bits && note->at == before->at[i] && note->value == before->value[i])
            bits |= note->bits; /* A by one walk, D by another */
        *note = (TableNote){before->at[i], now, bits};
    }
}

static uint32_t table_read(void *context, uint32_t physical)
{
    MemoryEvents *events = context;
    uint32_t entry = value_at(events->core, physical);
    TableNote *note = note_of(events, physical);
    if (note->bits && note->at == physical && note->value == entry)
        entry &= ~note->bits;
    if (events->record)
        memory_note_table(events, physical, entry);
    return entry;
}

static void table_set(void *context, uint32_t physical, uint32_t bits)
{
    MemoryEvents *events = context;
    TableNote *note = note_of(events, physical);
    if (note->at == physical)
        note->bits &= ~bits;
    uint32_t *word = word_at(events->core, physical);
    if (word)
        *word |= bits;
}

PageTableAccess memory_table_access(MemoryEvents *events)
{
    return (PageTableAccess){table_read, table_set, events};
}
