/* Segment limits and rights, which QEMU does not check when memory is accessed.  (Native mode only.)
 *
 * In protected mode, an access outside its segment raises #GP(0), in the stack segment #SS(0); so does one through a
 * null selector, a store to a read-only segment or to code, and a load from code that is execute-only.
 *
 * Flat segments cost nothing: while DS, ES, SS and CS are all flat (4 GiB, readable, writable but for CS), blocks are
 * translated as ever.  That is one bit of env->hflags which QEMU does not use, kept up by whatever loads a segment;
 * blocks are told apart by it.  With the bit set, and always in 16-bit code and through FS and GS, a call in front of
 * each access checks it.  The bit comes with QEMU's ADDSEG, so that the translator adds each segment's base, and the
 * addition tells the segment.
 *
 * Not modelled: the limit of CS where code is fetched, limits in real and virtual-8086 mode, and of what helpers of
 * QEMU access by themselves: interrupt frames, x87 environments and 80-bit numbers, FXSAVE, CMPXCHG8B, BOUND.
 *
 * Source: Intel SDM Vol. 3A, "Limit Checking", "Type Checking", "Expand-Down Segments".
 */
#include "core.h"

enum { HF_PE = 1 << 7, HF_VM = 1 << 17, HF_LIMITED = 1 << 28 };
enum { PRESENT = 1 << 15, IS_CODE = 1 << 11, EXPAND_DOWN = 1 << 10, MAY_WRITE_OR_READ = 1 << 9, IS_BIG = 1 << 22 };
enum { STACK_FAULT = 12, GENERAL_PROTECTION = 13 };
enum { MEMOP_SHIFT = 4, MEMOP_SIZE = 3 };

/* What translated code hands over: the segment, whether it stores, and how many bytes. */
enum { INFO_SEGMENT = 7, INFO_STORE = 8, INFO_SIZE_SHIFT = 4 };

static void *segment_of(void *env, int number) { return (char *)env + ENV_SEGS + number * SEG_SIZE; }

static bool is_flat(void *env, int number)
{
    void *segment = segment_of(env, number);
    uint32_t flags = FIELD(uint32_t, segment, SEG_FLAGS);
    uint32_t kind = number == SEG_CS ? IS_CODE : 0;
    return FIELD(uint32_t, segment, SEG_LIMIT) == UINT32_MAX && flags & PRESENT && flags & MAY_WRITE_OR_READ &&
           (flags & IS_CODE) == kind && (kind || !(flags & EXPAND_DOWN));
}

/* A segment was loaded: is anything limited now? */
void limits_changed(void *env)
{
    if (!core_of_env(env)->native)
        return;
    uint32_t hflags = FIELD(uint32_t, env, ENV_HFLAGS) & ~(uint32_t)HF_LIMITED;
    if (hflags & HF_PE && hflags & HF_CS32 && !(FIELD(uint64_t, env, ENV_EFLAGS) & HF_VM)) {
        if (!is_flat(env, SEG_DS) || !is_flat(env, SEG_ES) || !is_flat(env, SEG_SS) || !is_flat(env, SEG_CS))
            hflags |= HF_LIMITED | HF_ADDSEG;
    }
    FIELD(uint32_t, env, ENV_HFLAGS) = hflags;
}

static bool is_within(const void *segment, uint32_t offset, uint32_t size)
{
    uint32_t flags = FIELD(uint32_t, segment, SEG_FLAGS), limit = FIELD(uint32_t, segment, SEG_LIMIT);
    uint64_t last = (uint64_t)offset + size - 1;
    if ((flags & (IS_CODE | EXPAND_DOWN)) == EXPAND_DOWN)
        return offset > limit && last <= (flags & IS_BIG ? UINT32_MAX : 0xffff);
    return limit == UINT32_MAX || last <= limit;
}

static bool is_allowed(const void *segment, bool store)
{
    uint32_t flags = FIELD(uint32_t, segment, SEG_FLAGS);
    if (!(flags & PRESENT))
        return false; /* a null selector */
    return flags & IS_CODE ? !store && flags & MAY_WRITE_OR_READ : !store || flags & MAY_WRITE_OR_READ;
}

static void check_access(void *env, uint64_t linear, uint32_t info)
{
    int number = info & INFO_SEGMENT;
    const void *segment = segment_of(env, number);
    uint32_t offset = (uint32_t)(linear - FIELD(uint64_t, segment, SEG_BASE));
    if (!is_allowed(segment, info & INFO_STORE) || !is_within(segment, offset, info >> INFO_SIZE_SHIFT))
        lib.raise_exception_err_ra(env, number == SEG_SS ? STACK_FAULT : GENERAL_PROTECTION, 0,
                                   (uintptr_t)__builtin_return_address(0));
}

/* ---- translation ----------------------------------------------------------------------------------------------- */

/* The number of the segment whose base `temp` is, or -1. */
static int segment_by_base(void *tcg, uint64_t temp)
{
    for (int i = 0; i < 6; i++)
        if (temp == (uint64_t)tcg + FIELD(uintptr_t, tcg, TCG_SEG_BASES + 8 * i))
            return i;
    return -1;
}

/* The segment whose base was added to what the access `op` takes as its address, or -1. */
static int segment_of_access(void *tcg, void *op)
{
    uint64_t address = FIELD(uint64_t, op, OP_ARGS + 8);
    for (op = previous_op(tcg, op); op && FIELD(uint8_t, op, OP_OPCODE) != OPC_INSN_START; op = previous_op(tcg, op)) {
        const uint64_t *args = (const uint64_t *)((char *)op + OP_ARGS);
        uint8_t opcode = FIELD(uint8_t, op, OP_OPCODE);
        bool computes = opcode == OPC_ADD_I64 || opcode == OPC_EXT32U_I64 || opcode == OPC_MOV_I64;
        if (!computes || args[0] != address)
            continue;
        int segment = opcode == OPC_ADD_I64 ? segment_by_base(tcg, args[2]) : -1;
        if (segment >= 0)
            return segment;
        address = args[1];
    }
    return -1;
}

static bool is_checked(uint32_t tb_flags, int segment, bool store)
{
    if (segment < 0 || !(tb_flags & HF_PE) || tb_flags & HF_VM)
        return false;
    return tb_flags & HF_LIMITED || !(tb_flags & HF_CS32) || segment == SEG_FS || segment == SEG_GS ||
           (segment == SEG_CS && store);
}

/* The last operation may be a load or a store: puts its check in front of it. */
void limits_translate_access(void *tcg, const void *tb)
{
    char *access = last_op(tcg);
    uint8_t opcode = FIELD(uint8_t, access, OP_OPCODE);
    if (opcode < OPC_QEMU_LD_I32 || opcode > OPC_QEMU_ST_I64)
        return;
    bool store = opcode == OPC_QEMU_ST_I32 || opcode == OPC_QEMU_ST_I64;
    int segment = segment_of_access(tcg, access);
    if (!is_checked(FIELD(uint32_t, tb, TB_FLAGS), segment, store))
        return;
    int size = 1 << (FIELD(uint64_t, access, OP_ARGS + 2 * 8) >> MEMOP_SHIFT & MEMOP_SIZE);
    int info = segment | (store ? INFO_STORE : 0) | size << INFO_SIZE_SHIFT;

    uintptr_t number = lib.const_i32(tcg, info);
    void *args[3] = {(char *)tcg + FIELD(uintptr_t, tcg, TCG_CPU_ENV), FIELD(void *, access, OP_ARGS + 8),
                     (char *)tcg + number};
    lib.gen_call(tcg, lib.helper_bound, NULL, 3, args); /* the same signature */
    FIELD(uintptr_t, last_op(tcg), OP_ARGS + 3 * sizeof(uintptr_t)) = (uintptr_t)check_access;
    lib.temp_free(tcg, (char *)tcg + number);
    op_move_behind(tcg, access, last_op(tcg));
}

/* A call of `helper` was translated: if it loads segments, one of ours follows it. */
void limits_translate_call(void *tcg, const void *helper)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(lib.helper_segments); i++) {
        if (helper == lib.helper_segments[i]) {
            void *args[1] = {(char *)tcg + FIELD(uintptr_t, tcg, TCG_CPU_ENV)};
            lib.gen_call(tcg, lib.helper_cpuid, NULL, 1, args); /* the same signature */
            FIELD(uintptr_t, last_op(tcg), OP_ARGS + sizeof(uintptr_t)) = (uintptr_t)limits_changed;
        }
    }
}
