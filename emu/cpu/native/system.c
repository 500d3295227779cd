/* Instructions whose result depends on the processor model or on virtual time.
 *
 * Source: Intel SDM Vol. 2, CPUID, RDTSC, RDMSR, WRMSR, SYSENTER; Vol. 3A, "Control Registers".
 */
#include "core.h"

enum { EAX, ECX, EDX, EBX, ESP };
enum { MSR_TSC = 0x10, MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_EFER = 0xC0000080u };
enum { MSR_TSC_AUX = 0xC0000103u };
enum { CR0_PE = 1u << 0, CR0_NW = 1u << 29, CR0_CD = 1u << 30, CR0_PG = 1u << 31 };
enum { EFLAGS_IF = 1u << 9, EFLAGS_RF = 1u << 16, EFLAGS_VM = 1u << 17 };
enum { EFER_NXE = 1u << 11 };

static uint32_t get(Core *core, int reg) { return FIELD(uint32_t, core->env, ENV_REGS + 8 * reg); }
static void set(Core *core, int reg, uint32_t value) { FIELD(uint64_t, core->env, ENV_REGS + 8 * reg) = value; }

bool system_cpuid(Core *core)
{
    if (!core->has_cpuid)
        return false;
    uint32_t leaf = get(core, EAX), subleaf = get(core, ECX);
    const CpuidLeaf *found = NULL, *highest_basic = NULL;
    for (size_t i = 0; i < core->cpuid_count; i++) {
        const CpuidLeaf *entry = &core->cpuid[i];
        if (entry->leaf == leaf && (entry->subleaf == subleaf || entry->subleaf == UINT32_MAX))
            found = entry;
        if (entry->leaf < 0x40000000 && (!highest_basic || entry->leaf >= highest_basic->leaf))
            highest_basic = entry;
    }
    /* Beyond the highest leaf Intel's processors answer as the highest basic leaf. */
    if (!found && highest_basic && (leaf >= 0x40000000 || leaf > highest_basic->leaf))
        found = highest_basic;
    set(core, EAX, found ? found->eax : 0);
    set(core, EBX, found ? found->ebx : 0);
    set(core, ECX, found ? found->ecx : 0);
    set(core, EDX, found ? found->edx : 0);
    return true;
}

static int64_t ticks_at(Core *core, uintptr_t host_pc)
{
    begin_access(core, host_pc);
    int64_t ticks = clock_ticks(core);
    end_access(core);
    return ticks;
}

static uint64_t time_stamp(Core *core, uintptr_t host_pc)
{
    return (uint64_t)(ticks_at(core, host_pc) + core->tsc_offset);
}

void system_rdtsc(Core *core, uintptr_t host_pc)
{
    uint64_t value = time_stamp(core, host_pc);
    set(core, EAX, (uint32_t)value);
    set(core, EDX, (uint32_t)(value >> 32));
}

static Msr *find_msr(Core *core, uint32_t index)
{
    for (size_t i = 0; i < core->msr_count; i++)
        if (core->msrs[i].index == index)
            return &core->msrs[i];
    return NULL;
}

void system_rdtscp(Core *core, uintptr_t host_pc)
{
    const Msr *aux = find_msr(core, MSR_TSC_AUX);
    system_rdtsc(core, host_pc);
    set(core, ECX, aux ? (uint32_t)aux->value : 0);
}

/* A register of a device (the local APIC's base): Python knows it, or says None. */
static bool call_rdmsr(Core *core, uint32_t index, uint64_t *value, uintptr_t host_pc)
{
    begin_access(core, host_pc);
    PyObject *result = PyObject_CallFunction(core->on_rdmsr, "I", index);
    end_access(core);
    bool known = result && result != Py_None;
    *value = known ? PyLong_AsUnsignedLongLongMask(result) : 0;
    Py_XDECREF(result);
    if (PyErr_Occurred())
        keep_error(core);
    return known;
}

static bool call_wrmsr(Core *core, uint32_t index, uint64_t value, uintptr_t host_pc)
{
    begin_access(core, host_pc);
    PyObject *result = PyObject_CallFunction(core->on_wrmsr, "IK", index, (unsigned long long)value);
    end_access(core);
    bool taken = result == Py_True;
    Py_XDECREF(result);
    if (PyErr_Occurred())
        keep_error(core);
    return taken;
}

bool system_rdmsr(Core *core, uintptr_t host_pc)
{
    Msr *msr = find_msr(core, get(core, ECX));
    uint64_t value = 0;
    if (!msr && !call_rdmsr(core, get(core, ECX), &value, host_pc))
        return false;
    switch (msr ? msr->index : 0) {
    case 0: break;
    case MSR_TSC: value = time_stamp(core, host_pc); break;
    case MSR_SYSENTER_CS: value = FIELD(uint32_t, core->env, ENV_SYSENTER_CS); break;
    case MSR_SYSENTER_ESP: value = FIELD(uint64_t, core->env, ENV_SYSENTER_ESP); break;
    case MSR_SYSENTER_EIP: value = FIELD(uint64_t, core->env, ENV_SYSENTER_EIP); break;
    case MSR_EFER: value = FIELD(uint64_t, core->env, ENV_EFER); break;
    default: value = msr->value; break;
    }
    set(core, EAX, (uint32_t)value);
    set(core, EDX, (uint32_t)(value >> 32));
    return true;
}

bool system_wrmsr(Core *core, uintptr_t host_pc)
{
    Msr *msr = find_msr(core, get(core, ECX));
    uint64_t value = get(core, EAX) | (uint64_t)get(core, EDX) << 32;
    if (!msr)
        return call_wrmsr(core, get(core, ECX), value, host_pc);
    uint64_t fixed = msr->index == MSR_EFER ? FIELD(uint64_t, core->env, ENV_EFER) : msr->value;
    if ((value ^ fixed) & ~msr->writable)
        return false; /* reserved or read-only bits */
    switch (msr->index) {
    case MSR_TSC: core->tsc_offset = (int64_t)value - ticks_at(core, host_pc); break;
    case MSR_SYSENTER_CS: FIELD(uint32_t, core->env, ENV_SYSENTER_CS) = (uint32_t)value & 0xffff; break;
    case MSR_SYSENTER_ESP: FIELD(uint64_t, core->env, ENV_SYSENTER_ESP) = (uint32_t)value; break;
    case MSR_SYSENTER_EIP: FIELD(uint64_t, core->env, ENV_SYSENTER_EIP) = (uint32_t)value; break;
    case MSR_EFER:
        FIELD(uint64_t, core->env, ENV_EFER) = value;
        lib.tlb_flush(core->cpu); /* NXE changes what cached translations allow */
        break;
    default: msr->value = value; break;
    }
    return true;
}

bool system_sysenter(Core *core)
{
    uint32_t selector = FIELD(uint32_t, core->env, ENV_SYSENTER_CS) & 0xfffc;
    if (selector == 0)
        return false;
    FIELD(uint32_t, core->env, ENV_EFLAGS) &= ~(EFLAGS_VM | EFLAGS_IF | EFLAGS_RF);
    segment_load(core, SEG_CS, selector, 0, 0xffffffff, 0x00C09B00);     /* flat 32-bit code, DPL 0, accessed */
    segment_load(core, SEG_SS, selector + 8, 0, 0xffffffff, 0x00C09300); /* flat data, DPL 0, accessed */
    set(core, ESP, (uint32_t)FIELD(uint64_t, core->env, ENV_SYSENTER_ESP));
    FIELD(uint64_t, core->env, ENV_EIP) = (uint32_t)FIELD(uint64_t, core->env, ENV_SYSENTER_EIP);
    return true;
}

bool system_check_cr(Core *core, int number, uint32_t value)
{
    switch (number) {
    case 0: return !((value & CR0_PG) && !(value & CR0_PE)) && !((value & CR0_NW) && !(value & CR0_CD));
    case 4: return !(value & ~core->cr4_valid);
    default: return true;
    }
}
