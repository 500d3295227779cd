/* Instructions that this release of QEMU executes and a processor refuses.  (Native mode only.)
 *
 * The translator reads code byte by byte.  Where the bytes are such an instruction, it is given an undefined opcode in
 * its place; whether the fault is #UD or another one is decided when it is executed.
 *
 *   SGDT, SIDT, SLDT, SMSW, STR   #GP(0) outside ring 0 while CR4.UMIP is set
 *   MOVBE between registers       #UD: its operand is in memory
 *   LOCK                          #UD with all but the instructions that read, change and write back memory
 *
 * Source: Intel SDM Vol. 3A, "Control Registers" (CR4.UMIP); Vol. 2A, MOVBE, LOCK.
 */
#include "core.h"

enum { MOD_REGISTER = 3, LOCK = 0xf0, ESCAPE = 0x0f, THREE_BYTES = 0x38, THREE_BYTES_IMMEDIATE = 0x3a };
/* The translator does not know F1, ICEBP; 0F 0B is UD2; 0F 38 FF is nothing. */
enum { UNDEFINED = 0xf1, UNDEFINED_0F = 0x0b, UNDEFINED_0F38 = 0xff };
enum { GENERAL_PROTECTION = 13, CR4_UMIP = 1 << 11 };

/* Where the translator is in the instruction that it reads. */
static struct {
    uint64_t next;
    enum { BEHIND_OPCODE, PREFIXES, BEHIND_ESCAPE, BEHIND_THREE_BYTES } state;
    bool is_locked;
    bool is_crc32; /* F2 was there: 0F 38 F0 and F1 are not MOVBE */
} reader;

bool is_prefix(uint8_t byte)
{
    return byte == 0x66 || byte == 0x67 || byte == 0xf0 || byte == 0xf2 || byte == 0xf3 ||
           (byte & 0xe7) == 0x26 || (byte & 0xfe) == 0x64; /* segment overrides */
}

static bool reads_system_register(uint8_t opcode, uint8_t modrm)
{
    int mod = modrm >> 6, reg = modrm >> 3 & 7;
    return opcode == 0 ? reg < 2 : opcode == 1 && (reg == 4 || (reg < 2 && mod != MOD_REGISTER));
}

/* In virtual-8086 mode SLDT and STR are undefined in any case. */
static bool umip_applies(const Core *core, uint8_t opcode)
{
    bool vm86 = FIELD(uint32_t, core->env, ENV_EFLAGS) >> 17 & 1;
    return FIELD(uint64_t, core->env, ENV_CR + 8 * 4) & CR4_UMIP && FIELD(uint32_t, core->env, ENV_HFLAGS) & HF_CPL &&
           !(vm86 && opcode == 0);
}

/* Which /digits of a ModR/M byte make an instruction that may be locked, one bit each. */
static uint8_t lockable_operations(uint8_t opcode)
{
    if (opcode < 0x38)
        return (opcode & 7) < 2 ? 0xff : 0; /* ADD, OR, ADC, SBB, AND, SUB, XOR; not CMP */
    switch (opcode & 0xfe) {
    case 0x80:
    case 0x82: return 0x7f; /* the same */
    case 0x86: return 0xff; /* XCHG */
    case 0xf6: return 1 << 2 | 1 << 3; /* NOT, NEG */
    case 0xfe: return 1 << 0 | 1 << 1; /* INC, DEC */
    default: return 0;
    }
}

static uint8_t lockable_operations_0f(uint8_t opcode)
{
    switch (opcode) {
    case 0xab:
    case 0xb3:
    case 0xbb: return 0xff; /* BTS, BTR, BTC */
    case 0xba: return 0xe0; /* the same */
    case 0xb0:
    case 0xb1: return 0xff; /* CMPXCHG */
    case 0xc0:
    case 0xc1: return 0xff; /* XADD */
    case 0xc7: return 1 << 1; /* CMPXCHG8B */
    default: return 0;
    }
}

static bool may_be_locked(Core *core, uint8_t operations, uint64_t modrm_at)
{
    if (!operations)
        return false; /* and there may be no such byte */
    uint8_t modrm = code_at(core, modrm_at);
    return modrm >> 6 != MOD_REGISTER && operations >> (modrm >> 3 & 7) & 1;
}

static bool begins_instruction(const Core *core, uint64_t at)
{
    const void *op = last_op(core->tcg);
    return FIELD(uint8_t, op, OP_OPCODE) == OPC_INSN_START && FIELD(uint64_t, op, OP_ARGS) == at;
}

/* The byte of code at `at`, as the translator shall see it. */
uint8_t refuse_byte(Core *core, uint64_t at, uint8_t byte)
{
    if (begins_instruction(core, at)) {
        reader.state = PREFIXES;
        reader.is_crc32 = reader.is_locked = false;
    } else if (at != reader.next) {
        return byte;
    }
    reader.next = at + 1;
    switch (reader.state) {
    case PREFIXES:
        reader.is_crc32 |= byte == 0xf2;
        reader.is_locked |= byte == LOCK;
        if (is_prefix(byte))
            break;
        reader.state = byte == ESCAPE ? BEHIND_ESCAPE : BEHIND_OPCODE;
        if (byte != ESCAPE && reader.is_locked && !may_be_locked(core, lockable_operations(byte), at + 1))
            return UNDEFINED;
        break;
    case BEHIND_ESCAPE:
        reader.state = byte == THREE_BYTES ? BEHIND_THREE_BYTES : BEHIND_OPCODE;
        if (byte <= 1 && umip_applies(core, byte) && reads_system_register(byte, code_at(core, at + 1)))
            return UNDEFINED_0F;
        if (reader.is_locked && !may_be_locked(core, lockable_operations_0f(byte), at + 1))
            return UNDEFINED_0F;
        break;
    case BEHIND_THREE_BYTES:
        reader.state = BEHIND_OPCODE;
        if ((byte & 0xfe) == 0xf0 && !reader.is_crc32 && code_at(core, at + 1) >> 6 == MOD_REGISTER)
            return UNDEFINED_0F38;
        break;
    case BEHIND_OPCODE: break;
    }
    return byte;
}

/* The opcode at EIP is undefined, or was made so: raises the fault that the processor would if it is not #UD. */
void refuse_raise(Core *core)
{
    uint64_t at = linear_eip(core);
    uint8_t byte;
    while (is_prefix(byte = code_at(core, at)))
        at++;
    uint8_t opcode = byte == ESCAPE ? code_at(core, at + 1) : 0xff;
    if (opcode <= 1 && umip_applies(core, opcode) && reads_system_register(opcode, code_at(core, at + 2)))
        lib.raise_exception_err_ra(core->env, GENERAL_PROTECTION, 0, 0);
}

/* What is translated depends on CR4.UMIP. */
void refuse_by_cr4(Core *core, uint32_t value)
{
    if ((FIELD(uint32_t, core->env, ENV_CR + 8 * 4) ^ value) & CR4_UMIP)
        lib.tb_flush(core->cpu);
}
