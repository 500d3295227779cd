/* Which form of the clock table an instruction is, and what its neighbours and a branch to it depend on: registers,
 * address, prefixes, components.
 *
 * Lengths come from the translator, so only bytes that it has fetched are read.
 *
 * Source: Intel 80386 Programmer's Reference Manual, appendix A, "Opcode Map", and s17.2.1, "ModR/M and SIB Bytes"; arrays:
 * emu/timing/upload.py, registers.py.
 */
#include "core.h"

enum { TWO_BYTE = 0x0f, X87_FIRST = 0xd8, X87_LAST = 0xdf, ENTER = 0xc8, OPERAND_PREFIX = 0x66, ADDRESS_PREFIX = 0x67 };
enum { SHAPE_WIDTH = 7, SHAPE_TAIL_BIT = 3, SHAPE_HAS_MODRM = 1 << 6, SHAPE_MOD_IGNORED = 1 << 7 };
enum { WIDTH_BYTE = 1, WIDTH_BY_PREFIX = 4, SIZE_WORD = 2, SIZE_DWORD = 3 };
enum { HF_PE = 1 << 7, FLAGS_VM = 1 << 17 };
enum { ACCESS_ALWAYS = 0xff, ACCESS_RM = 1 << 8, ACCESS_REG = 1 << 9, ACCESS_OPCODE = 1 << 10 };
enum { EAX = 1 << 0, ECX = 1 << 1, EBX = 1 << 3, ESP = 1 << 4, EBP = 1 << 5, ESI = 1 << 6, EDI = 1 << 7 };
enum { CBW = 0x98, SAHF = 0x9e, MOVZX_BYTE = 0x1b6, MOVSX_BYTE = 0x1be };

/* The bytes of an instruction, read in order. */
typedef struct {
    Core *core;
    uint64_t pc;
    uint32_t at, length;
} Bytes;

static bool more(const Bytes *bytes) { return bytes->at < bytes->length; }
static uint8_t byte_at(const Bytes *bytes, uint32_t at)
{
    return (uint8_t)lib.read_code(bytes->core->env, bytes->pc + at);
}
static uint8_t next(Bytes *bytes) { return more(bytes) ? byte_at(bytes, bytes->at++) : 0; }

ProcessorMode mode_of_flags(uint32_t flags)
{
    return !(flags & HF_PE) ? MODE_REAL : flags & FLAGS_VM ? MODE_V86 : MODE_PROTECTED;
}

/* The registers of a memory operand's address, and the bytes that say so. */
static void read_address(Decoded *result, Bytes *bytes)
{
    static const uint8_t bases[] = {EBX, EBX, EBP, EBP, ESI, EDI, EBP, EBX}, indices[] = {ESI, EDI, ESI, EDI};
    int mod = result->modrm >> 6, rm = result->modrm & 7, displacement = mod == 1;
    if (!result->wide_address) {
        bool absolute = mod == 0 && rm == 6;
        result->base = absolute ? 0 : bases[rm];
        result->index = rm < 4 ? indices[rm] : 0;
        displacement = mod == 2 || absolute ? 2 : displacement;
    } else {
        int base = rm;
        if (rm == 4) {
            uint8_t sib = next(bytes);
            int index = sib >> 3 & 7;
            base = sib & 7;
            result->index = index == 4 ? 0 : (uint8_t)(1 << index);
            result->components++;
        }
        bool absolute = mod == 0 && base == 5;
        result->base = absolute ? 0 : (uint8_t)(1 << base);
        displacement = mod == 2 || absolute ? 4 : displacement;
    }
    result->has_displacement = displacement > 0;
    result->components += displacement > 0;
    bytes->at += (uint32_t)displacement;
}

/* What is behind the opcode and its address. */
static void read_rest(Decoded *result, const Bytes *bytes)
{
    uint32_t rest = bytes->at < bytes->length ? bytes->length - bytes->at : 0, value = 0;
    for (uint32_t i = 0; i < rest && i < 4; i++)
        value |= (uint32_t)byte_at(bytes, bytes->at + i) << 8 * i;
    result->components += rest > 0;
    result->has_immediate = rest > 0;
    result->immediate = rest == 1 ? (int8_t)value : rest == 2 ? (int16_t)value : (int32_t)value;
}

static uint8_t register_mask(int number, bool is_byte) { return (uint8_t)(1 << (is_byte ? number & 3 : number)); }

static uint8_t named(const Decoded *decoded, uint16_t access, bool is_byte, bool rm_is_byte)
{
    uint8_t mask = 0;
    if (access & ACCESS_RM)
        mask |= register_mask(decoded->modrm & 7, rm_is_byte);
    if (access & ACCESS_REG)
        mask |= register_mask(decoded->modrm >> 3 & 7, is_byte);
    if (access & ACCESS_OPCODE)
        mask |= register_mask(decoded->opcode & 7, is_byte);
    return mask;
}

static bool is_shift_by_cl(uint16_t opcode)
{
    return opcode == 0xd2 || opcode == 0xd3 || opcode == 0x1a5 || opcode == 0x1ad;
}

/* Those that change AL or AH and have no width. */
static bool adjusts_byte(uint16_t opcode)
{
    return opcode == 0x27 || opcode == 0x2f || opcode == 0x37 || opcode == 0x3f || opcode == 0x9f || opcode == 0xd4 ||
           opcode == 0xd5 || opcode == 0xd7;
}

static void find_registers(Decoded *result, uint16_t reads, uint16_t writes, int width, bool wide)
{
    bool is_byte = width == WIDTH_BYTE;
    bool rm_is_byte = is_byte || result->opcode == MOVZX_BYTE || result->opcode == MOVSX_BYTE;
    uint8_t address = result->base | result->index;
    uint8_t always_read = reads & ACCESS_ALWAYS, always_written = writes & ACCESS_ALWAYS;
    uint8_t named_read = named(result, reads, is_byte, rm_is_byte);
    uint8_t named_written = named(result, writes, is_byte, rm_is_byte);
    if (always_written & ESP) {
        result->uses_stack = true;
        always_read &= (uint8_t)~ESP;
        always_written &= (uint8_t)~ESP;
    }
    result->reads = always_read | named_read | address;
    result->writes = always_written | named_written;

    uint8_t bytes_read = is_byte ? named_read | (always_read & (EAX | ECX)) : 0;
    if (rm_is_byte && !is_byte)
        bytes_read = named_read;
    if (is_shift_by_cl(result->opcode))
        bytes_read |= ECX & ~named_read;
    if (adjusts_byte(result->opcode) || result->opcode == SAHF || (result->opcode == CBW && !wide))
        bytes_read = EAX;
    result->reads_wide = (uint8_t)((result->reads & ~bytes_read) | address);
    uint8_t pointers = ESI | EDI;
    result->writes_byte = is_byte ? result->writes & ~(always_written & pointers) : 0;
    if (adjusts_byte(result->opcode))
        result->writes_byte = EAX;
}

static bool is_transfer(uint16_t opcode, uint8_t modrm)
{
    int reg = modrm >> 3 & 7;
    return (opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0x180 && opcode <= 0x18f) ||
           (opcode >= 0xe0 && opcode <= 0xe3) || (opcode >= 0xe8 && opcode <= 0xeb) || opcode == 0x9a ||
           opcode == 0xc2 || opcode == 0xc3 || opcode == 0xca || opcode == 0xcb ||
           (opcode == 0xff && reg >= 2 && reg <= 5);
}

Decoded timing_decode(Core *core, uint64_t pc, uint32_t length, uint32_t flags)
{
    const Timing *timing = core->timing;
    bool wide = flags & HF_CS32;
    int repeats = 0;
    uint8_t byte = 0;
    Bytes bytes = {core, pc, 0, length};
    Decoded result = {.entry.mode = (uint8_t)mode_of_flags(flags), .wide_address = wide};
    while (more(&bytes) && is_prefix(byte = byte_at(&bytes, bytes.at))) {
        if (byte == OPERAND_PREFIX)
            wide = !(flags & HF_CS32);
        if (byte == ADDRESS_PREFIX)
            result.wide_address = !(flags & HF_CS32);
        repeats += byte == 0xf2 || byte == 0xf3;
        bytes.at++;
    }
    result.prefixes = (uint8_t)bytes.at;
    result.opcode = next(&bytes);
    if (result.opcode == TWO_BYTE)
        result.opcode = (uint16_t)(0x100 | next(&bytes));
    result.components = (uint8_t)bytes.at;
    if (result.opcode == ENTER)
        result.level = byte_at(&bytes, length - 1) & 31;
    if (timing->has_modrm[result.opcode]) {
        result.modrm = next(&bytes);
        result.components++;
    }
    bool memory = timing->has_modrm[result.opcode] && result.modrm < 0xc0;
    size_t place = ((size_t)result.opcode * 8 + (result.modrm >> 3 & 7)) * 2 + memory;
    uint16_t shape = timing->shapes[place];
    result.is_memory = memory && !(shape & SHAPE_MOD_IGNORED);
    result.is_transfer = is_transfer(result.opcode, result.modrm);
    if (result.is_memory)
        read_address(&result, &bytes);
    read_rest(&result, &bytes);

    if (result.opcode >= X87_FIRST && result.opcode <= X87_LAST && !memory) {
        result.entry.form = timing->x87_registers[(result.opcode - X87_FIRST) * 64 + result.modrm - 0xc0];
        return result;
    }
    uint16_t form = timing->forms[place];
    int width = shape & SHAPE_WIDTH;
    result.repeated = repeats && timing->repeated[form] != form;
    result.prefixes -= (uint8_t)(result.repeated ? repeats : 0);
    result.entry.form = result.repeated ? timing->repeated[form] : form;
    result.entry.size = (uint8_t)(width != WIDTH_BY_PREFIX ? width : wide ? SIZE_DWORD : SIZE_WORD);
    find_registers(&result, timing->reads[place], timing->writes[place], width, wide);
    return result;
}
