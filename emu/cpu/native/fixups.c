/* Mends, in the finished operations of a block, what this release of QEMU translates wrongly.
 *
 * SMSW with a 32-bit register stores the whole of CR0 (Intel SDM Vol. 2B, SMSW); the translator stores 16 bits.  No
 * other instruction loads CR0 from the CPU state directly, so its load is the mark to look for.
 */
#include "core.h"

enum { PREFIX_OPERAND_SIZE = 0x66, PREFIX_ADDRESS_SIZE = 0x67, LONGEST_INSTRUCTION = 15 };

static bool is_prefix(uint8_t byte)
{
    return byte == PREFIX_OPERAND_SIZE || byte == PREFIX_ADDRESS_SIZE || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 ||
           (byte & 0xe7) == 0x26 || (byte & 0xfe) == 0x64; /* segment overrides */
}

/* Whether the instruction at `pc` is SMSW with a 32-bit register: 0F 01 /4, mod 3. */
static bool is_smsw_r32(Core *core, const void *tb, uint64_t pc)
{
    bool wide = FIELD(uint32_t, tb, TB_FLAGS) & HF_CS32;
    bool prefixed = false;
    int at = 0;
    uint8_t byte;
    while (at < LONGEST_INSTRUCTION && is_prefix(byte = (uint8_t)lib.read_code(core->env, pc + at))) {
        prefixed |= byte == PREFIX_OPERAND_SIZE;
        at++;
    }
    uint8_t modrm = (uint8_t)lib.read_code(core->env, pc + at + 2);
    return wide != prefixed && (modrm & 0xf8) == 0xe0;
}

void fix_translation(Core *core, const void *tb)
{
    uint64_t pc = 0;
    bool smsw = false;
    for (char *op = FIELD(void *, core->tcg, TCG_OPS); op; op = FIELD(void *, op, OP_LINK)) {
        uint64_t *args = (uint64_t *)(op + OP_ARGS);
        uint8_t *opcode = (uint8_t *)op + OP_OPCODE;
        if (*opcode == OPC_INSN_START) {
            pc = args[0];
            smsw = false;
        } else if (*opcode == OPC_LD_I64 && args[2] == ENV_CR) {
            smsw = is_smsw_r32(core, tb, pc);
        } else if (smsw && *opcode == OPC_DEPOSIT_I64) {
            *opcode = OPC_MOV_I64; /* register = deposit(register, CR0, 0, 16) */
            args[1] = args[2];
            smsw = false;
        }
    }
}
