/* The register file, straight in QEMU's CPU state.
 *
 * Source for the reset state: Intel SDM Vol. 3A, "Processor State After Reset".
 */
#include <string.h>

#include "core.h"

enum { UC_X86_REG_EFLAGS = 25, UC_X86_REG_FPSW = 31, UC_X86_REG_FPCW = 246, UC_X86_REG_FPTAG = 247 };
enum { CR0_PE = 1, EFLAGS_VM = 1 << 17, EFLAGS_DF_BIT = 10, EFLAGS_CC = 0x8d5, EFLAGS_FIXED = 2 };
enum { ATTRIBUTE_B = 1 << 22, ATTRIBUTE_DPL_BIT = 13 };

typedef enum { PLAIN, EFLAGS, CR0, CR3, CR4, SELECTOR, TABLE_BASE, TABLE_LIMIT } Kind;

typedef struct {
    const char *name;
    uint16_t offset;
    uint8_t kind;
} Register;

#define GENERAL(name, number) {name, ENV_REGS + 8 * number, PLAIN}
#define SEGMENT(name, number) {name, ENV_SEGS + SEG_SIZE * number, SELECTOR}

static const Register registers[] = {
    GENERAL("eax", 0),
    GENERAL("ecx", 1),
    GENERAL("edx", 2),
    GENERAL("ebx", 3),
    GENERAL("esp", 4),
    GENERAL("ebp", 5),
    GENERAL("esi", 6),
    GENERAL("edi", 7),
    {"eip", ENV_EIP, PLAIN},
    {"eflags", ENV_EFLAGS, EFLAGS},
    SEGMENT("cs", SEG_CS),
    SEGMENT("ss", SEG_SS),
    SEGMENT("ds", SEG_DS),
    SEGMENT("es", SEG_ES),
    SEGMENT("fs", SEG_FS),
    SEGMENT("gs", SEG_GS),
    {"ldtr", ENV_LDT, SELECTOR},
    {"tr", ENV_TR, SELECTOR},
    {"gdtr", ENV_GDT, SELECTOR},
    {"idtr", ENV_IDT, SELECTOR},
    {"gdtr_base", ENV_GDT, TABLE_BASE},
    {"gdtr_limit", ENV_GDT, TABLE_LIMIT},
    {"idtr_base", ENV_IDT, TABLE_BASE},
    {"idtr_limit", ENV_IDT, TABLE_LIMIT},
    {"cr0", ENV_CR, CR0},
    {"cr2", ENV_CR + 16, PLAIN},
    {"cr3", ENV_CR + 24, CR3},
    {"cr4", ENV_CR + 32, CR4},
    {"dr0", ENV_DR, PLAIN},
    {"dr1", ENV_DR + 8, PLAIN},
    {"dr2", ENV_DR + 16, PLAIN},
    {"dr3", ENV_DR + 24, PLAIN},
    {"dr6", ENV_DR + 48, PLAIN},
    {"dr7", ENV_DR + 56, PLAIN},
    {"efer", ENV_EFER, PLAIN},
};

static const Register *find(const char *name)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(registers); i++)
        if (registers[i].name[0] == name[0] && !strcmp(registers[i].name, name))
            return &registers[i];
    return NULL;
}

static uint64_t read_register(Core *core, const Register *reg)
{
    char *at = (char *)core->env + reg->offset;
    switch (reg->kind) {
    case EFLAGS: {
        uint32_t value = 0;
        lib.reg_read(core->uc, UC_X86_REG_EFLAGS, &value);
        return value;
    }
    case SELECTOR: return FIELD(uint32_t, at, SEG_SELECTOR);
    case TABLE_BASE: return FIELD(uint32_t, at, SEG_BASE);
    case TABLE_LIMIT: return FIELD(uint32_t, at, SEG_LIMIT);
    default: return FIELD(uint32_t, at, 0);
    }
}

bool register_read(Core *core, const char *name, uint64_t *value)
{
    const Register *reg = find(name);
    if (!reg)
        return false;
    /* Only these two are not up to date inside a device access: QEMU finds them by the place in translated code. */
    if (core->in_access && (reg->kind == EFLAGS || reg->offset == ENV_EIP))
        sync_state(core);
    *value = read_register(core, reg);
    return true;
}

static void write_eflags(Core *core, uint32_t value)
{
    FIELD(uint64_t, core->env, ENV_CC_SRC) = value & EFLAGS_CC;
    FIELD(uint32_t, core->env, ENV_CC_OP) = CC_OP_EFLAGS;
    FIELD(int32_t, core->env, ENV_DF) = 1 - 2 * (int32_t)(value >> EFLAGS_DF_BIT & 1);
    FIELD(uint64_t, core->env, ENV_EFLAGS) = (value & ~(EFLAGS_CC | 1u << EFLAGS_DF_BIT)) | EFLAGS_FIXED;
}

static void update_cr4(Core *core, uint32_t value)
{
    refuse_by_cr4(core, value);
    lib.update_cr4(core->env, value);
}

bool register_write(Core *core, const char *name, uint64_t value)
{
    const Register *reg = find(name);
    if (!reg)
        return false;
    if (core->in_access)
        sync_state(core);
    char *at = (char *)core->env + reg->offset;
    switch (reg->kind) {
    case EFLAGS: write_eflags(core, (uint32_t)value); break;
    case CR0:
        lib.update_cr0(core->env, (uint32_t)value);
        memory_control(core, CONTROL_CR0);
        break;
    case CR3:
        lib.update_cr3(core->env, (uint32_t)value);
        memory_control(core, CONTROL_CR3);
        break;
    case CR4:
        update_cr4(core, (uint32_t)value);
        memory_control(core, CONTROL_CR4);
        break;
    case SELECTOR: FIELD(uint32_t, at, SEG_SELECTOR) = (uint32_t)value & 0xffff; break;
    case TABLE_BASE: FIELD(uint64_t, at, SEG_BASE) = (uint32_t)value; break;
    case TABLE_LIMIT: FIELD(uint32_t, at, SEG_LIMIT) = (uint32_t)value & 0xffff; break;
    default: FIELD(uint64_t, at, 0) = (uint32_t)value; break;
    }
    return true;
}

PyObject *registers_dict(Core *core)
{
    if (core->in_access)
        sync_state(core);
    PyObject *result = PyDict_New();
    for (size_t i = 0; result && i < Py_ARRAY_LENGTH(registers); i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(read_register(core, &registers[i]));
        if (!value || PyDict_SetItemString(result, registers[i].name, value))
            Py_CLEAR(result);
        Py_XDECREF(value);
    }
    return result;
}

PyObject *registers_basic(Core *core)
{
    enum { GENERAL_COUNT = 8, EIP = 8, EFLAGS_AT = 9 };
    uint32_t values[10];
    if (core->in_access)
        sync_state(core);
    for (int i = 0; i < GENERAL_COUNT; i++)
        values[i] = FIELD(uint32_t, core->env, ENV_REGS + 8 * i);
    values[EIP] = linear_eip(core);
    lib.reg_read(core->uc, UC_X86_REG_EFLAGS, &values[EFLAGS_AT]);
    return PyBytes_FromStringAndSize((char *)values, sizeof values);
}

void *segment_cache(Core *core, const char *name)
{
    const Register *reg = find(name);
    return reg && reg->kind == SELECTOR ? (char *)core->env + reg->offset : NULL;
}

static void set_cache(void *cache, uint32_t selector, uint32_t base, uint32_t limit, uint32_t flags)
{
    FIELD(uint32_t, cache, SEG_SELECTOR) = selector;
    FIELD(uint64_t, cache, SEG_BASE) = base;
    FIELD(uint32_t, cache, SEG_LIMIT) = limit;
    FIELD(uint32_t, cache, SEG_FLAGS) = flags;
}

/* What QEMU's cpu_x86_load_seg_cache() does outside long mode. */
void segment_load(Core *core, int index, uint32_t selector, uint32_t base, uint32_t limit, uint32_t flags)
{
    char *segs = (char *)core->env + ENV_SEGS;
    set_cache(segs + index * SEG_SIZE, selector, base, limit, flags);

    uint32_t hflags = FIELD(uint32_t, core->env, ENV_HFLAGS);
    if (index == SEG_CS)
        hflags = (hflags & ~HF_CS32) | (flags & ATTRIBUTE_B ? HF_CS32 : 0);
    if (index == SEG_SS)
        hflags = (hflags & ~HF_CPL) | (flags >> ATTRIBUTE_DPL_BIT & 3);

    bool stack_is_32_bit = FIELD(uint32_t, segs, SEG_SS *SEG_SIZE + SEG_FLAGS) & ATTRIBUTE_B;
    bool real_or_vm86 =
        !(FIELD(uint64_t, core->env, ENV_CR) & CR0_PE) || (FIELD(uint64_t, core->env, ENV_EFLAGS) & EFLAGS_VM);
    uint64_t bases = FIELD(uint64_t, segs, SEG_DS *SEG_SIZE + SEG_BASE) |
                     FIELD(uint64_t, segs, SEG_ES *SEG_SIZE + SEG_BASE) |
                     FIELD(uint64_t, segs, SEG_SS *SEG_SIZE + SEG_BASE);
    hflags &= ~(HF_SS32 | HF_ADDSEG);
    if (stack_is_32_bit)
        hflags |= HF_SS32;
    if (real_or_vm86 || !(hflags & HF_CS32) || bases)
        hflags |= HF_ADDSEG;
    FIELD(uint32_t, core->env, ENV_HFLAGS) = hflags;
}

bool segment_set(Core *core, const char *name, uint32_t selector, uint32_t base, uint32_t limit, uint32_t flags)
{
    enum { TSS_BUSY = 1 << 9 };
    static const char *const order[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (int i = 0; i < 6; i++) {
        if (!strcmp(name, order[i])) {
            segment_load(core, i, selector, base, limit, flags);
            return true;
        }
    }
    void *cache = segment_cache(core, name);
    if (cache) /* QEMU aborts at a busy TSS in TR */
        set_cache(cache, selector, base, limit, strcmp(name, "tr") ? flags : flags & ~TSS_BUSY);
    return cache != NULL;
}

void registers_reset(Core *core, uint32_t signature)
{
    enum {
        DATA = 0x9300,
        CODE = 0x9B00,
        LDT = 0x8200,
        TSS = 0x8900
    }; /* QEMU caches TR as not busy, and aborts at a busy one */
    void *env = core->env;

    memset((char *)env + ENV_REGS, 0, 8 * 8);
    FIELD(uint64_t, env, ENV_REGS + 8 * 2) = signature; /* EDX: family, model, stepping */
    write_eflags(core, 0);
    FIELD(uint32_t, env, ENV_HFLAGS) = 0;
    FIELD(uint32_t, env, ENV_HFLAGS2) = HF2_GIF;
    FIELD(uint64_t, env, ENV_EFER) = 0;
    update_cr4(core, 0);
    lib.update_cr3(env, 0);
    lib.update_cr0(env, 0x60000010); /* CD, NW, ET */
    memory_control(core, CONTROL_CR3);
    FIELD(uint64_t, env, ENV_CR + 8 * 2) = 0;
    for (int i = SEG_ES; i <= SEG_GS; i++)
        segment_load(core, i, 0, 0, 0xffff, DATA);
    segment_load(core, SEG_CS, 0xf000, 0xffff0000, 0xffff, CODE);
    FIELD(uint64_t, env, ENV_EIP) = 0xfff0;
    set_cache((char *)env + ENV_GDT, 0, 0, 0xffff, 0);
    set_cache((char *)env + ENV_IDT, 0, 0, 0x3ff, 0); /* as on hardware after INIT: a real-mode table of 256 vectors */
    set_cache((char *)env + ENV_LDT, 0, 0, 0xffff, LDT);
    set_cache((char *)env + ENV_TR, 0, 0, 0xffff, TSS);
    lib.update_dr7(env, 0); /* QEMU forgets its breakpoints */
    memset((char *)env + ENV_DR, 0, 8 * 8);
    FIELD(uint64_t, env, ENV_DR + 8 * 6) = 0xffff0ff0;
    FIELD(uint64_t, env, ENV_DR + 8 * 7) = 0x400;
    FIELD(uint32_t, env, ENV_SYSENTER_CS) = 0;
    FIELD(uint64_t, env, ENV_SYSENTER_ESP) = 0;
    FIELD(uint64_t, env, ENV_SYSENTER_EIP) = 0;
    FIELD(uint32_t, env, ENV_MXCSR) = 0x1f80;
    FIELD(int32_t, env, ENV_OLD_EXCEPTION) = -1;
    uint16_t fpcw = 0x37f, fpsw = 0, fptag = 0xffff;
    lib.reg_write(core->uc, UC_X86_REG_FPSW, &fpsw);
    lib.reg_write(core->uc, UC_X86_REG_FPCW, &fpcw);
    lib.reg_write(core->uc, UC_X86_REG_FPTAG, &fptag);
    FIELD(uint32_t, core->cpu, CPU_INTERRUPT_REQUEST) = 0;
    FIELD(uint32_t, core->cpu, CPU_CFLAGS_NEXT_TB) = UINT32_MAX;
    lib.set_a20(core->cpu, 1);
    soft_tlb_forget(core);
    core->halted = false;
    core->nmi_pending = false;
    core->replaying = false;
    core->hold = 0;
    core->tsc_offset = 0;
    set_current_block(core, NULL);
    observe_forget(core);
}
