/* Where the library's loads and stores pass.
 *
 * Each of them is here once, and asks watch.c before and after; descriptors.c corrects what QEMU reads of descriptors.
 * Not here are the page walk's reads, and its writes of accessed and dirty bits: they have no linear address.
 */
#include <string.h>

#include "core.h"

enum { MMU_INDEX = 15 }; /* of what translated code hands over: its TCGMemOpIdx */

static Core *watching_core(void *env)
{
    Core *core = core_of_env(env);
    return core && core->native && core->seen.watching ? core : NULL;
}

static uint64_t as_it_is(uint64_t value) { return value; }
static uint64_t unsigned_8(uint64_t value) { return (uint8_t)value; }
static uint64_t unsigned_16(uint64_t value) { return (uint16_t)value; }
static uint64_t swapped_16(uint64_t value) { return __builtin_bswap16((uint16_t)value); }
static uint64_t swapped_32(uint64_t value) { return __builtin_bswap32((uint32_t)value); }
static uint64_t swapped_64(uint64_t value) { return __builtin_bswap64(value); }

static void tell_memory_model(void *env, uint64_t at, int size, bool writes, uint32_t how, uintptr_t ra)
{
    Core *core = core_of_env(env);
    if (core && core->memory)
        memory_helper_access(core, (uint32_t)at, size, writes, (int)(how & MMU_INDEX), ra);
}

static void tell_lint(void *env, uint64_t at, int size, uint32_t how, uintptr_t ra)
{
    Core *core = core_of_env(env);
    if (core && core->lint)
        tlb_lint_stored(core, (uint32_t)at, size, (int)(how & MMU_INDEX), ra);
}

/* `how` holds the MMU index in its low bits. */
#define LOAD(function, name, type, bytes, in_memory)                                                                  \
    static type function(void *env, uint64_t at, uint32_t how, uintptr_t ra)                                          \
    {                                                                                                                 \
        Core *core = watching_core(env);                                                                              \
        Access access;                                                                                                \
        bool watched = core && watch_begin(core, &access, at, bytes, WATCH_READ, how & MMU_INDEX, ra);                \
        type value = ((type(*)(void *, uint64_t, uint32_t, uintptr_t))lib.name)(env, at, how, ra);                    \
        if (watched)                                                                                                  \
            watch_end(core, &access, in_memory(value));                                                               \
        return value;                                                                                                 \
    }

/* Where the host has what is at `at`, if the soft TLB says so at once, as translated code looks there; else NULL. */
static const void *quick_look(void *env, uint64_t at, int bytes, uint32_t how)
{
    const Core *core = core_of_env(env);
    if (!core || !core->native || (at & 0xfff) > 0x1000u - (unsigned)bytes)
        return NULL;
    const void *entry = soft_tlb_entry(core, at, (int)(how & MMU_INDEX));
    if (FIELD(uint64_t, entry, TLB_ENTRY_READ) != (at & ~(uint64_t)0xfff)) /* nor with a flag, as for a watch */
        return NULL;
    return (const void *)(uintptr_t)(at + FIELD(uint64_t, entry, TLB_ENTRY_ADDEND));
}

/* A delivery makes a dozen of these, and the library takes 300 instructions for each.  The memory model hears of them
 * here. */
#define DIRECT_LOAD(name, symbol, type, bytes, in_memory)                                                             \
    LOAD(slow_##name, name, type, bytes, in_memory)                                                                   \
    static type name(void *env, uint64_t at, uint32_t how, uintptr_t ra)                                              \
    {                                                                                                                 \
        enum { ABOVE = 8 * (sizeof(type) - bytes) };                                                                  \
        const void *host = quick_look(env, at, bytes, how);                                                           \
        type value = 0;                                                                                               \
        if (host) {                                                                                                   \
            memcpy(&value, host, bytes);                                                                              \
            value = (type)((uint64_t)value << ABOVE) >> ABOVE; /* with its sign, if the type has one */               \
        } else {                                                                                                      \
            value = slow_##name(env, at, how, ra);                                                                    \
        }                                                                                                             \
        tell_memory_model(env, at, bytes, false, how, ra);                                                            \
        return value;                                                                                                 \
    }

#define STORE(name, symbol, type, bytes, in_memory, direct)                                                           \
    static void name(void *env, uint64_t at, type value, uint32_t how, uintptr_t ra)                                  \
    {                                                                                                                 \
        Core *core = watching_core(env);                                                                              \
        Access access;                                                                                                \
        bool watched = core && watch_begin(core, &access, at, bytes, WATCH_WRITE, how & MMU_INDEX, ra);               \
        ((void (*)(void *, uint64_t, type, uint32_t, uintptr_t))lib.name)(env, at, value, how, ra);                   \
        if (watched)                                                                                                  \
            watch_end(core, &access, in_memory(value));                                                               \
        if (direct)                                                                                                   \
            tell_memory_model(env, at, bytes, true, how, ra);                                                         \
        tell_lint(env, at, bytes, how, ra);                                                                           \
    }

#define SLOW_LOAD(name, symbol, ...) LOAD(name, name, __VA_ARGS__)
#define SLOW_STORE(...) STORE(__VA_ARGS__, false)
#define DIRECT_STORE(...) STORE(__VA_ARGS__, true)
SLOW_LOADS(SLOW_LOAD)
SLOW_STORES(SLOW_STORE)
DIRECT_LOADS(DIRECT_LOAD)
DIRECT_STORES(DIRECT_STORE)

int processor_mmu_index(const Core *core)
{
    enum { MMU_KERNEL_SMAP = 0, MMU_KERNEL = 2, HF_SMAP = 1 << 23, EFLAGS_AC = 1 << 18 };
    uint32_t hflags = FIELD(uint32_t, core->env, ENV_HFLAGS);
    bool allowed = (hflags & HF_CPL) != HF_CPL && FIELD(uint32_t, core->env, ENV_EFLAGS) & EFLAGS_AC;
    return !(hflags & HF_SMAP) || allowed ? MMU_KERNEL : MMU_KERNEL_SMAP;
}

uint32_t processor_load(Core *core, uint64_t at, int bytes)
{
    uint32_t (*load)(void *, uint64_t, uint32_t, uintptr_t) = bytes == 2 ? direct_load_2 : direct_load_4;
    return load(core->env, (uint32_t)at, (uint32_t)processor_mmu_index(core), 0);
}

void processor_store(Core *core, uint64_t at, uint32_t value, int bytes)
{
    void (*store)(void *, uint64_t, uint32_t, uint32_t, uintptr_t) = bytes == 2 ? direct_store_2 : direct_store_4;
    store(core->env, (uint32_t)at, value, (uint32_t)processor_mmu_index(core), 0);
}

/* QEMU reads descriptors by words of 32 bits, and not all as a processor does. */
static uint32_t load_4_as_descriptor(void *env, uint64_t at, uint32_t how, uintptr_t ra)
{
    uint32_t value = direct_load_4(env, at, how, ra);
    const Core *core = core_of_env(env);
    return core && core->native ? descriptor_half(env, at, value) : value;
}

#define IN_TABLE(name, ...) {.original = lib.name, .replacement = (void *)name, .in_data = true},
#define CALLED(name, ...) {.original = lib.name, .replacement = (void *)name},

bool memory_access_install(void)
{
    Replacement replacements[] = {SLOW_ACCESSES(IN_TABLE) DIRECT_ACCESSES(CALLED)};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(replacements); i++)
        if (replacements[i].replacement == (void *)direct_load_4)
            replacements[i].replacement = (void *)load_4_as_descriptor;
    return slots_redirect(replacements, Py_ARRAY_LENGTH(replacements));
}
