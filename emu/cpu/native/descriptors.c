/* What QEMU reads of descriptors, where it takes more or less of them than a processor does.  (Native mode only.)
 *
 * An interrupt, trap or call gate of the 80286 has 16 bits of offset; QEMU takes all 32.
 *
 * QEMU reads stacks with the same function, which may lie within a table's limit: many kernels have a limit of 64 KiB.
 * It reads a descriptor's lower half first and then the upper one, and nothing else so: IRET and far returns read three
 * words or more in a row, or two of which the second is a selector of 16 bits.
 *
 * Source: Intel SDM Vol. 3A, "Transferring Control Among Mixed-Size Code Segments"; Intel386 Programmer's Reference
 * Manual, "16-Bit Gates".
 */
#include "core.h"

enum { KIND = 0x1f00, CALL_GATE_16 = 0x0400, INTERRUPT_GATE_16 = 0x0600, TRAP_GATE_16 = 0x0700 };

/* Where the last two words were read. */
static uint64_t last_at, last_but_one_at;

static bool follows_lower_half(uint64_t at) { return last_at == at - 4 && last_but_one_at != at - 8; }

static bool has_ldt(void *env) { return FIELD(uint32_t, env, ENV_LDT + SEG_SELECTOR) & 0xfffc; }

static bool is_upper_half(void *env, int table, uint64_t at)
{
    uint64_t offset = (uint32_t)(at - FIELD(uint64_t, env, table + SEG_BASE));
    return offset < FIELD(uint32_t, env, table + SEG_LIMIT) && (offset & 7) == 4;
}

static bool is_16_bit_gate(void *env, uint64_t at, uint32_t value)
{
    uint32_t kind = value & KIND;
    return (kind == CALL_GATE_16 || kind == INTERRUPT_GATE_16 || kind == TRAP_GATE_16) &&
           (is_upper_half(env, ENV_GDT, at) || is_upper_half(env, ENV_IDT, at) ||
            (has_ldt(env) && is_upper_half(env, ENV_LDT, at)));
}

/* A word at `at` which may be the upper half of a descriptor, as QEMU shall see it. */
uint32_t descriptor_half(void *env, uint64_t at, uint32_t value)
{
    bool may_be = follows_lower_half(at);
    last_but_one_at = last_at;
    last_at = at;
    if (!may_be)
        return value;
    return is_16_bit_gate(env, at, value) ? value & 0xffff : value;
}
