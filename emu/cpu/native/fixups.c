/* Mends, in the finished operations of a block, what this release of QEMU translates wrongly.
 *
 * SMSW with a 32-bit register stores the whole of CR0 (Intel SDM Vol. 2B, SMSW); the translator stores 16 bits.  No
 * other instruction loads CR0 from the CPU state directly, so its load is the mark to look for.
 *
 * A 128-bit operand in memory must be aligned, or gives #GP(0) (Intel SDM Vol. 2, "SSE Exceptions"; exempt are the
 * instructions that say so, and those whose operand is only 64 bits for a processor).  The translator moves it in two
 * halves, as no other instruction does; the first half's access is told to ask for alignment.
 *
 * ARPL stores only what it changed (Intel SDM Vol. 2A, ARPL); the translator stores always, behind the label that it
 * jumps to where there is nothing to change.  The label goes behind the store.
 */
#include "core.h"

enum { GENERAL_PROTECTION = 13 };
enum { ARPL = 0x63 };
enum { MEMOP_SIZE = 3, MEMOP_8_BYTES = 3, MEMOP_ALIGN_16 = 4 << 4, MEMOP_SHIFT = 4 }; /* TCGMemOpIdx: MMU index below */

typedef struct {
    bool operand_size, rep, repne; /* 66, F3, F2 */
    int length;                    /* of the prefixes */
} Prefixes;

static Prefixes prefixes_at(Core *core, uint64_t pc)
{
    Prefixes prefixes = {0};
    uint8_t byte;
    while (prefixes.length < LONGEST_INSTRUCTION && is_prefix(byte = code_at(core, pc + prefixes.length))) {
        prefixes.operand_size |= byte == 0x66;
        prefixes.rep |= byte == 0xf3;
        prefixes.repne |= byte == 0xf2;
        prefixes.length++;
    }
    return prefixes;
}

static bool has_32_bit_operand(const void *tb, Prefixes prefixes)
{
    return (FIELD(uint32_t, tb, TB_FLAGS) & HF_CS32 ? true : false) != prefixes.operand_size;
}

/* Whether the instruction at `pc` is SMSW with a 32-bit register: 0F 01 /4, mod 3. */
static bool is_smsw_r32(Core *core, const void *tb, uint64_t pc)
{
    Prefixes prefixes = prefixes_at(core, pc);
    return has_32_bit_operand(tb, prefixes) && (code_at(core, pc + prefixes.length + 2) & 0xf8) == 0xe0;
}

/* Whether the instruction at `pc`, which moves 128 bits, may find them anywhere. */
static bool needs_no_alignment(Core *core, uint64_t pc)
{
    Prefixes prefixes = prefixes_at(core, pc);
    uint8_t opcode = code_at(core, pc + prefixes.length + 1);
    switch (opcode) {
    case 0x10:
    case 0x11: return true;                                                 /* MOVUPS, MOVUPD */
    case 0x3a: return (code_at(core, pc + prefixes.length + 2) & 0xfc) == 0x60; /* PCMPESTRM to PCMPISTRI */
    case 0x5a: return !prefixes.operand_size;                               /* CVTPS2PD: 64 bits */
    case 0x6f:
    case 0x7f:                       /* MOVDQU */
    case 0xe6: return prefixes.rep;  /* CVTDQ2PD: 64 bits */
    case 0xf0: return prefixes.repne; /* LDDQU */
    default: return false;
    }
}

static bool is_arpl(Core *core, uint64_t pc) { return code_at(core, pc + prefixes_at(core, pc).length) == ARPL; }

static bool moves_8_bytes(const void *op)
{
    uint8_t opcode = FIELD(uint8_t, op, OP_OPCODE);
    return (opcode == OPC_QEMU_LD_I64 || opcode == OPC_QEMU_ST_I64) &&
           (FIELD(uint64_t, op, OP_ARGS + 2 * 8) >> MEMOP_SHIFT & MEMOP_SIZE) == MEMOP_8_BYTES;
}

void fix_translation(Core *core, const void *tb)
{
    uint64_t pc = 0, esp = (uint64_t)core->tcg + FIELD(uintptr_t, core->tcg, TCG_REGISTERS + 8 * REG_ESP);
    bool smsw = false;
    char *first_half = NULL, *label = NULL;
    for (char *op = FIELD(void *, core->tcg, TCG_OPS); op; op = FIELD(void *, op, OP_LINK)) {
        uint64_t *args = (uint64_t *)(op + OP_ARGS);
        uint8_t *opcode = (uint8_t *)op + OP_OPCODE;
        if (*opcode == OPC_INSN_START) {
            pc = args[0];
            smsw = false;
            first_half = label = NULL;
        } else if (*opcode == OPC_SUB_I64 && args[1] == esp) {
            Prefixes prefixes = prefixes_at(core, pc);
            enter_fix(core, tb, pc + prefixes.length, has_32_bit_operand(tb, prefixes), op);
        } else if (*opcode == OPC_SET_LABEL) {
            label = op;
        } else if (*opcode == OPC_QEMU_ST_I64 && label && is_arpl(core, pc)) {
            op_move_behind(core->tcg, label, op);
            label = NULL;
        } else if (*opcode == OPC_LD_I64 && args[2] == ENV_CR) {
            smsw = is_smsw_r32(core, tb, pc);
        } else if (smsw && *opcode == OPC_DEPOSIT_I64) {
            *opcode = OPC_MOV_I64; /* register = deposit(register, CR0, 0, 16) */
            args[1] = args[2];
            smsw = false;
        } else if (moves_8_bytes(op)) {
            if (first_half && !needs_no_alignment(core, pc))
                FIELD(uint64_t, first_half, OP_ARGS + 2 * 8) |= MEMOP_ALIGN_16 << MEMOP_SHIFT;
            first_half = first_half ? NULL : op;
        }
    }
}

/* An access that asked for alignment, and has none. */
static void on_unaligned_access(void *cpu, uint64_t at, int access, int mmu, uintptr_t ra)
{
    lib.raise_exception_err_ra(core_of_cpu(cpu)->env, GENERAL_PROTECTION, 0, ra);
}

void fixups_install(Core *core)
{
    FIELD(void *, FIELD(void *, core->cpu, CPU_CLASS), CLASS_DO_UNALIGNED_ACCESS) = (void *)on_unaligned_access;
}
