/* REP MOVS and REP STOS under a memory model: iterations without translated code.
 *
 * QEMU translates REP to a block of one iteration that jumps to its own start, and tells the model of each access by a
 * call.  Here the call for such a block's code goes through iterations itself, as translated code would: each has its
 * accesses, told to the model, its cycles and the check at its block's start.  What is not plain is left to translated
 * code, iteration by iteration: the last one, pages that QEMU's soft TLB does not know or has marked (watched, with
 * code, devices), misaligned operands, a block that a stop has cut.
 */
#include <string.h>

#include "memory_quick.h"

enum { USER_MMU = 1, PAGE = 4096, EAX = 0, ECX = 1, ESI = 6, EDI = 7 };
enum { REPNE = 0xf2, REP = 0xf3, OPERAND_SIZE = 0x66, MOVS_BYTE = 0xa4, MOVS = 0xa5, STOS_BYTE = 0xaa, STOS = 0xab };
enum { HF_TF = 1 << 8, HF_RF = 1 << 16, HF_VM = 1 << 17, HF_LIMITED = 1 << 28 };

/* Above the linear address, what memory_fetch_repeat() is told. */
enum { TOLD_LENGTH = 32, TOLD_STORES = 48 };

typedef struct {
    Core *core;
    uint64_t *registers; /* of the guest, in env */
    uint32_t how, size;
    int mmu;
    int32_t step;          /* bytes from one element to the next */
    int64_t charge_of_one; /* as block_charge() */
    int64_t since; /* the clock of the accesses, where nothing is left */
    bool stores; /* and reads nothing */
} Repetition;

/* Where `bytes` at `linear` are on the host, in a page that accesses reach without QEMU's slow path; else NULL. */
static char *host_of(const Repetition *it, uint32_t linear, int field)
{
    const void *entry = soft_tlb_entry(it->core, linear, it->mmu);
    if (FIELD(uint64_t, entry, field) != (linear & ~(uint32_t)(PAGE - 1)) || linear & (it->size - 1))
        return NULL;
    return (char *)(uintptr_t)(linear + FIELD(uint64_t, entry, TLB_ENTRY_ADDEND));
}

static uint32_t linear_of(const Repetition *it, int segment, int number)
{
    uint64_t base = FIELD(uint64_t, it->core->env, ENV_SEGS + segment * SEG_SIZE + SEG_BASE);
    return (uint32_t)(base + it->registers[number]);
}

/* One element: its access, and what the model is told.  Returns what is left of `left`, as *core->left. */
ALWAYS_INLINE int64_t move(MemoryModel *model, const Repetition *it, int64_t left, const char *source, char *target,
                           uint32_t from, uint32_t to, uint32_t size)
{
    uint32_t user = it->how & HOW_USER ? MEMORY_USER : 0, value = (uint32_t)it->registers[EAX];
    if (source) {
        memcpy(&value, source, size);
        int64_t now = it->since - (left >> COUNT_BITS);
        left -= memory_model_access(model, from, size, MEMORY_READ, user, now) << COUNT_BITS;
    }
    memcpy(target, &value, size);
    int64_t now = it->since - (left >> COUNT_BITS);
    return left - (memory_model_access(model, to, size, MEMORY_WRITE, user, now) << COUNT_BITS);
}

/* How many elements lie in the block of `bytes` that `linear` is in, from there on. */
static inline uint32_t count_within(const Repetition *it, uint32_t linear, uint32_t bytes, uint32_t size)
{
    uint32_t offset = linear & (bytes - 1);
    return (it->step > 0 ? bytes - offset : offset + size) / size;
}

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Elements in lines that the filter knows, up to the first line's end; at most `count`.  Touched once, in the order of
 * their accesses, they are as if touched for each.  Returns how many, 0 where one line is not known. */
ALWAYS_INLINE uint32_t move_known(MemoryModel *model, const Repetition *it, int64_t *left, const char *source,
                                  char *target, uint32_t from, uint32_t to, uint32_t count, uint32_t size)
{
    uint32_t user = it->how & HOW_USER ? MEMORY_USER : 0, line_bytes = model->geometry.line_bytes, done = 0;
    uint32_t value = (uint32_t)it->registers[EAX];
    BusUse bus;
    if ((source && !memory_model_filter(model, from, size, MEMORY_READ, user, &bus)) ||
        !memory_model_filter(model, to, size, MEMORY_WRITE, user, &bus) || size > model->geometry.bus_bytes)
        return 0;
    count = least(count, count_within(it, to, line_bytes, size));
    count = source ? least(count, count_within(it, from, line_bytes, size)) : count;
    do {
        if (source)
            memcpy(&value, source + (int64_t)done * it->step, size);
        memcpy(target + (int64_t)done * it->step, &value, size);
        int64_t clocks = bus == BUS_IDLE ? 0 : memory_model_write_once(model, bus, it->since - (*left >> COUNT_BITS));
        *left -= (clocks << COUNT_BITS) + it->charge_of_one;
        done++;
    } while (done < count && *left >= 0);
    model->counters.reads += source ? done : 0;
    model->counters.writes += done;
    return done;
}

/* The iteration that has begun, and those behind it, in the pages that `source` and `target` are in: at most `count`.
 * The clock is kept in a register: through memory, each change of it would wait for the last. */
ALWAYS_INLINE void move_all(MemoryEvents *events, const Repetition *it, const char *source, char *target, uint32_t from,
                            uint32_t to, uint32_t count, uint32_t size)
{
    Core *core = it->core;
    int64_t left = *core->left;
    uint32_t done = 0;
    do {
        uint32_t moved = move_known(&events->model, it, &left, source, target, from, to, count - done, size);
        if (!moved) {
            left = move(&events->model, it, left, source, target, from, to, size) - it->charge_of_one;
            moved = 1;
        }
        int64_t bytes = (int64_t)moved * it->step;
        source += source ? bytes : 0;
        target += bytes;
        from += (uint32_t)bytes;
        to += (uint32_t)bytes;
        done += moved;
    } while (done < count && left >= 0);
    *core->left = left;
    core->timing->repeats += done;
    it->registers[ECX] -= done;
    it->registers[EDI] = (uint32_t)(it->registers[EDI] + done * (uint32_t)it->step);
    if (source)
        it->registers[ESI] = (uint32_t)(it->registers[ESI] + done * (uint32_t)it->step);
}

/* The iteration that has begun, and those behind it; where one is left to translated code, it has begun. */
static void repeat(MemoryEvents *events, Repetition *it)
{
    Core *core = it->core;
    while ((uint32_t)it->registers[ECX] > 1 && !core->hold) {
        uint32_t count = (uint32_t)it->registers[ECX] - 1;
        uint32_t from = linear_of(it, SEG_DS, ESI), to = linear_of(it, SEG_ES, EDI);
        const char *source = it->stores ? NULL : host_of(it, from, TLB_ENTRY_READ);
        char *target = host_of(it, to, TLB_ENTRY_WRITE);
        if (!target || !(source || it->stores))
            return;
        count = least(count, count_within(it, to, PAGE, it->size));
        count = source ? least(count, count_within(it, from, PAGE, it->size)) : count;
        it->since = core->check - (it->how >> HOW_REST);
        switch (it->size) {
        case 1: move_all(events, it, source, target, from, to, count, 1); break;
        case 2: move_all(events, it, source, target, from, to, count, 2); break;
        default: move_all(events, it, source, target, from, to, count, 4); break;
        }
        if (*core->left < 0)
            block_slow(core->uc, *core->tb_id);
    }
}

void memory_fetch_repeat(MemoryEvents *events, uint64_t told, uint32_t how)
{
    uint32_t pc = (uint32_t)told, length = told >> TOLD_LENGTH & 0xff;
    Core *core = events->core;
    if (pc != events->repeat || pc + length != events->next) {
        memory_enter_block(events, pc | (uint64_t)length << 32 | 1ull << 48, (how & ~(uint32_t)HOW_SIZE) | length,
                           (uintptr_t)__builtin_return_address(0));
    } else if (!events->skip) {
        Repetition it = {
            .core = core,
            .registers = &FIELD(uint64_t, core->env, ENV_REGS),
            .how = how,
            .size = how & HOW_SIZE,
            .mmu = how & HOW_USER ? USER_MMU : processor_mmu_index(core),
            .step = FIELD(int32_t, core->env, ENV_DF) * (int32_t)(how & HOW_SIZE),
            .charge_of_one = ((int64_t)(how >> HOW_REST) << COUNT_BITS) - 1,
            .stores = told >> TOLD_STORES & 1,
        };
        repeat(events, &it);
    }
}

/* ---- translation ------------------------------------------------------------------------------------------------- */

/* What memory_fetch_repeat() is told at the start of `tb`, and the operand's size; 0 where translated code makes each
 * iteration. */
uint64_t memory_repeat_told(Core *core, const void *tb, uint32_t *size)
{
    uint32_t flags = FIELD(uint32_t, tb, TB_FLAGS), pc = FIELD(uint32_t, tb, TB_PC);
    uint32_t length = FIELD(uint16_t, tb, TB_SIZE);
    bool is_plain = flags & HF_CS32 && !(flags & (HF_TF | HF_RF | HF_VM | HF_LIMITED | HF_INHIBIT_IRQ));
    bool is_whole = !(FIELD(uint32_t, tb, TB_CFLAGS) & CF_COUNT_MASK) && FIELD(uint16_t, tb, TB_ICOUNT) == 1;
    if (!is_plain || !is_whole || core->profile || core->memory->record || block_is_watched(core, tb) ||
        !timing_is_listed(core->timing, timing_entry(core, tb, 0)) || length > LONGEST_INSTRUCTION)
        return 0;
    bool repeats = false, narrow = false;
    for (uint32_t i = 0; i + 1 < length; i++) {
        uint8_t prefix = code_at(core, pc + i);
        if (prefix != REP && prefix != REPNE && prefix != OPERAND_SIZE)
            return 0;
        repeats |= prefix != OPERAND_SIZE;
        narrow |= prefix == OPERAND_SIZE;
    }
    uint8_t opcode = code_at(core, pc + length - 1);
    if (!repeats || (opcode != MOVS_BYTE && opcode != MOVS && opcode != STOS_BYTE && opcode != STOS))
        return 0;
    *size = opcode == MOVS_BYTE || opcode == STOS_BYTE ? 1 : narrow ? 2 : 4;
    return pc | (uint64_t)length << TOLD_LENGTH | (uint64_t)(opcode >= STOS_BYTE) << TOLD_STORES;
}
