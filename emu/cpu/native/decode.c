/* Which form of the clock table an instruction is: prefixes, opcode, ModR/M's reg field and whether rm is memory.
 *
 * Lengths come from the translator, so only bytes that it has fetched are read.
 *
 * Source: Intel 80386 Programmer's Reference Manual, appendix A, "Opcode Map"; arrays: emu/timing/upload.py.
 */
#include "core.h"

enum { TWO_BYTE = 0x0f, X87_FIRST = 0xd8, X87_LAST = 0xdf, ENTER = 0xc8, OPERAND_PREFIX = 0x66 };
enum { SHAPE_WIDTH = 7, WIDTH_BY_PREFIX = 4, SIZE_WORD = 2, SIZE_DWORD = 3 };
enum { HF_PE = 1 << 7, FLAGS_VM = 1 << 17 };

ProcessorMode mode_of_flags(uint32_t flags)
{
    return !(flags & HF_PE) ? MODE_REAL : flags & FLAGS_VM ? MODE_V86 : MODE_PROTECTED;
}

Decoded timing_decode(Core *core, uint64_t pc, uint32_t length, uint32_t flags)
{
    const Timing *timing = core->timing;
    bool wide = flags & HF_CS32, repeated = false;
    uint8_t byte = 0;
    uint32_t at = 0;
    while (at < length && is_prefix(byte = (uint8_t)lib.read_code(core->env, pc + at))) {
        if (byte == OPERAND_PREFIX)
            wide = !(flags & HF_CS32);
        repeated |= byte == 0xf2 || byte == 0xf3;
        at++;
    }
    Decoded result = {.entry.mode = (uint8_t)mode_of_flags(flags)};
    if (at >= length)
        return result;
    at++;
    result.opcode = byte;
    if (byte == TWO_BYTE && at < length)
        result.opcode = (uint16_t)(0x100 | (uint8_t)lib.read_code(core->env, pc + at++));
    uint8_t modrm = 0;
    if (timing->has_modrm[result.opcode] && at < length)
        modrm = (uint8_t)lib.read_code(core->env, pc + at);
    if (result.opcode == ENTER)
        result.level = (uint8_t)lib.read_code(core->env, pc + length - 1) & 31;

    if (result.opcode >= X87_FIRST && result.opcode <= X87_LAST && modrm >= 0xc0) {
        result.entry.form = timing->x87_registers[(result.opcode - X87_FIRST) * 64 + modrm - 0xc0];
        return result;
    }
    size_t place = ((size_t)result.opcode * 8 + (modrm >> 3 & 7)) * 2 + (modrm < 0xc0);
    uint16_t form = timing->forms[place];
    int width = timing->shapes[place] & SHAPE_WIDTH;
    result.entry.form = repeated ? timing->repeated[form] : form;
    result.entry.size = (uint8_t)(width != WIDTH_BY_PREFIX ? width : wide ? SIZE_DWORD : SIZE_WORD);
    return result;
}
