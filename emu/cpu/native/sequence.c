/* What instructions take more or less behind each other, and the steps of translated blocks.
 *
 *   one pipe    an address waits for the instruction before that wrote its base, and a register for the byte written to it
 *   two pipes   an address waits for the clock before; two simple instructions that do not depend on each other are a
 *               pair, and the second takes what the pair takes beyond the first
 *
 * A sequence begins with every block that is entered at its start, so nothing is carried over a branch.  A stop, or a
 * store to the running block's code, cuts a block into pieces: while core->hold says that its end has not been reached,
 * every piece passes timing_begin_piece(), and its sequence goes on where the last one ended.
 *
 * Blocks are translated into one buffer from its start to its end, and all are forgotten when it is full.  So a block's
 * record goes behind those of blocks at lower addresses, and takes the place of all others.
 *
 * Source: i486 Programmer's Reference Manual, appendix E, rules 4, 5, 8; Intel AP-500, "Optimizations for Intel's 32-Bit
 * Processors", s2 and s3.
 */
#include "core.h"

enum { ESP = 1 << 4 };
enum { PUSH_R = 0x50, POP_R = 0x58, PUSH_IMM = 0x68, PUSH_IMM8 = 0x6a, CALL_REL = 0xe8, FXCH = 0xd9 };

static uint8_t flags_of(const Decoded *instruction, int clocks)
{
    uint16_t opcode = instruction->opcode;
    bool is_jcc = (opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0x180 && opcode <= 0x18f);
    uint8_t flags = instruction->uses_stack ? STEP_STACK : 0;
    if ((opcode >= PUSH_R && opcode < POP_R) || opcode == PUSH_IMM || opcode == PUSH_IMM8)
        flags |= STEP_PUSH;
    if (opcode >= POP_R && opcode < POP_R + 8)
        flags |= STEP_POP;
    if (opcode == CALL_REL)
        flags |= STEP_CALL;
    if (instruction->is_memory && clocks >= 3) /* of those that pair */
        flags |= STEP_MODIFIES;
    if (instruction->has_displacement && instruction->has_immediate)
        flags |= STEP_UNPAIRED;
    if (instruction->prefixes || instruction->repeated || (opcode >= 0x100 && !is_jcc))
        flags |= STEP_PREFIXED;
    if (opcode == FXCH && (instruction->modrm & 0xf8) == 0xc8)
        flags |= STEP_FXCH;
    return flags;
}

/* What the prefixes and the address take. */
int timing_extra_clocks(const Timing *timing, const Decoded *instruction)
{
    const TimingPenalties *penalties = &timing->penalties;
    bool is_jcc = instruction->opcode >= 0x180 && instruction->opcode <= 0x18f;
    int clocks = instruction->prefixes * penalties->prefix;
    if (timing->has_two_pipes && instruction->repeated)
        clocks += penalties->prefix;
    if (instruction->opcode >= 0x100 && !is_jcc)
        clocks += penalties->prefix_0f;
    if (instruction->index)
        clocks += penalties->index_register;
    if (instruction->has_displacement && instruction->has_immediate)
        clocks += penalties->displacement_and_immediate;
    return clocks;
}

Step timing_step(const Timing *timing, const Decoded *instruction, int clocks)
{
    const int16_t *figure = timing_figure(timing, instruction->entry, 0);
    bool has_extra = figure && !instruction->repeated; /* REP has them once: cycles.c */
    int extra = has_extra ? timing_extra_clocks(timing, instruction) : 0;
    return (Step){
        .entry = instruction->entry,
        .clocks = (uint16_t)(clocks + extra),
        .figure = (uint16_t)clocks,
        .reads = instruction->reads,
        .writes = instruction->writes,
        .address = instruction->base | (timing->has_two_pipes ? instruction->index : 0) |
                   (instruction->uses_stack ? ESP : 0),
        .reads_wide = instruction->reads_wide,
        .writes_byte = instruction->writes_byte,
        .pairing = figure ? (uint8_t)figure[WORD_PAIRING] : PAIRING_NP,
        .flags = flags_of(instruction, clocks),
    };
}

/* ---- one behind the other ------------------------------------------------------------------------------------------ */

static bool goes_to_u(const Step *step)
{
    return (step->pairing == PAIRING_UV || step->pairing == PAIRING_PU || step->pairing == PAIRING_FX) &&
           !(step->flags & STEP_UNPAIRED);
}

static bool are_pair(const Step *first, const Step *second)
{
    if (first->pairing == PAIRING_FX)
        return second->flags & STEP_FXCH && !(second->flags & STEP_PREFIXED);
    if ((second->pairing != PAIRING_UV && second->pairing != PAIRING_PV) ||
        second->flags & (STEP_UNPAIRED | STEP_PREFIXED))
        return false;
    bool stack = (first->flags & STEP_PUSH && second->flags & (STEP_PUSH | STEP_CALL)) ||
                 (first->flags & STEP_POP && second->flags & STEP_POP);
    uint8_t written = first->writes | (first->flags & STEP_STACK && !stack ? ESP : 0);
    uint8_t used = second->reads | second->writes | (second->flags & STEP_STACK ? ESP : 0);
    return !(written & used);
}

static int follow_on_two_pipes(const TimingPenalties *penalties, Sequence *sequence, const Step *step)
{
    if (sequence->open && are_pair(&sequence->last, step)) {
        /* The first one's prefixes and its wait come before both. */
        int second = step->flags & STEP_FXCH ? 0 : step->figure, more = second - sequence->last.figure;
        more = more > 0 ? more : 0;
        if (!sequence->waited && step->address & sequence->written_before)
            more += penalties->agi;
        if (sequence->last.flags & step->flags & STEP_MODIFIES)
            more += penalties->paired_read_modify_write;
        sequence->written = sequence->last.writes | step->writes;
        sequence->open = false;
        return more;
    }
    bool waits = step->address & sequence->written;
    *sequence = (Sequence){
        .last = *step,
        .written = step->writes,
        .written_before = sequence->written,
        .open = goes_to_u(step),
        .waited = waits,
    };
    return step->clocks + (waits ? penalties->agi : 0);
}

static int timing_follow(const Timing *timing, Sequence *sequence, const Step *step)
{
    const TimingPenalties *penalties = &timing->penalties;
    if (timing->has_two_pipes)
        return follow_on_two_pipes(penalties, sequence, step);
    int clocks = step->clocks;
    if (step->address & sequence->written)
        clocks += penalties->agi;
    if (step->reads_wide & sequence->last.writes_byte)
        clocks += penalties->partial_register;
    sequence->last = *step;
    sequence->written = step->writes;
    return clocks;
}

/* ---- records ------------------------------------------------------------------------------------------------------- */

static bool grow(void **array, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return true;
    size_t larger = wanted * 2;
    void *grown = realloc(*array, larger * size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = larger;
    return true;
}

BlockCosts *timing_record(Core *core, const void *tb)
{
    Timing *timing = core->timing;
    uint32_t id = block_id(core, tb);
    while (timing->block_count && timing->blocks[timing->block_count - 1].id >= id)
        timing->step_count = timing->blocks[--timing->block_count].first_step;
    if (!grow((void **)&timing->blocks, &timing->block_capacity, timing->block_count + 1, sizeof *timing->blocks))
        return NULL;
    BlockCosts *block = &timing->blocks[timing->block_count++];
    *block = (BlockCosts){.id = id, .first_step = (uint32_t)timing->step_count};
    return block;
}

bool timing_record_add(Timing *timing, BlockCosts *block, const Step *step)
{
    if (!grow((void **)&timing->steps, &timing->step_capacity, timing->step_count + 1, sizeof *timing->steps))
        return false;
    timing->steps[timing->step_count++] = *step;
    block->count++;
    return true;
}

const BlockCosts *timing_of_block(const Core *core, const void *tb)
{
    const Timing *timing = core->timing;
    uint32_t id = block_id(core, tb);
    size_t low = 0, high = timing->block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timing->blocks[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < timing->block_count && timing->blocks[low].id == id ? &timing->blocks[low] : NULL;
}

Entry timing_entry(const Core *core, const void *tb, int number)
{
    const BlockCosts *block = timing_of_block(core, tb);
    if (!block || number >= block->count)
        return (Entry){0};
    return core->timing->steps[block->first_step + (size_t)(number < 0 ? block->count - 1 : number)].entry;
}

/* Goes through the block's first `count` instructions; returns the clocks of those from `from` on. */
static int64_t walk(const Core *core, const void *tb, Sequence *sequence, int from, int count)
{
    const Timing *timing = core->timing;
    const BlockCosts *block = timing_of_block(core, tb);
    int64_t sum = 0;
    for (int i = 0; block && i < count && i < block->count; i++) {
        int clocks = timing_follow(timing, sequence, &timing->steps[block->first_step + (size_t)i]);
        sum += i < from ? 0 : clocks;
    }
    return sum;
}

static Sequence entry_of(const Core *core, const void *tb)
{
    bool is_piece = core->hold && core->timing->piece == block_id(core, tb);
    return is_piece ? core->timing->entry : (Sequence){0};
}

/* Whether the last of a block's instructions is the second of a pair. */
static bool last_is_second(const Timing *timing, Sequence sequence, const BlockCosts *block)
{
    const Step *steps = &timing->steps[block->first_step];
    for (int i = 0; i < block->count - 1; i++)
        timing_follow(timing, &sequence, &steps[i]);
    return timing->has_two_pipes && block->count && sequence.open &&
           are_pair(&sequence.last, &steps[block->count - 1]);
}

void timing_find_pipe(const Timing *timing, BlockCosts *block)
{
    block->ends_in_v = last_is_second(timing, (Sequence){0}, block);
}

bool timing_ends_in_v(const Core *core, const void *tb)
{
    const BlockCosts *block = timing_of_block(core, tb);
    if (!block || !core->hold)
        return block && block->ends_in_v;
    return last_is_second(core->timing, entry_of(core, tb), block);
}

int64_t timing_of_whole_block(const Core *core, const void *tb)
{
    Sequence sequence = {0};
    return walk(core, tb, &sequence, 0, FIELD(uint16_t, tb, TB_ICOUNT));
}

int64_t timing_cycles_between(const Core *core, const void *tb, int from, int to)
{
    if (to < from)
        return -timing_cycles_between(core, tb, to, from);
    Sequence sequence = entry_of(core, tb);
    return walk(core, tb, &sequence, from, to);
}

/* ---- pieces -------------------------------------------------------------------------------------------------------- */

void timing_begin_cut(Core *core)
{
    core->timing->sequence = (Sequence){0};
    core->timing->piece = 0;
}

void timing_begin_piece(Core *core, const void *tb)
{
    Timing *timing = core->timing;
    timing->piece = block_id(core, tb);
    timing->entry = timing->sequence;
    walk(core, tb, &timing->sequence, 0, FIELD(uint16_t, tb, TB_ICOUNT));
}

void timing_leave(Core *core, const void *tb, int executed)
{
    Sequence sequence = entry_of(core, tb);
    walk(core, tb, &sequence, 0, executed);
    core->timing->sequence = sequence;
    core->timing->piece = 0;
    timing_set_mark(core, 0);
}
