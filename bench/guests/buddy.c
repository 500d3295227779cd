/* The buddy system of kernel/mm/buddy.py in C: the same structures, the same choices, the same plan of operations.
 *
 * Compiled for the host (-DHOSTED) or as a multiboot guest.  Like every loop, it marks on its output when it begins and
 * ends, then gives its checksum, then leaves with status 1: `<>1A2B3C4D`.  FRAMES and OPERATIONS come from the command
 * line.  The checksum depends on every block that was handed out, so it is the Python allocator's as well.
 */
typedef unsigned char u8;
typedef unsigned u32;
typedef unsigned long long u64;

#define MAX_ORDER 10
#define USED 0x80
#define WORDS(bits) (((bits) + 63) / 64)
#define NONE 0xFFFFFFFFu

static u64 blocks[2 * WORDS(FRAMES) + 64], groups[2 * WORDS(WORDS(FRAMES)) + 64], summary[64 + WORDS(WORDS(WORDS(FRAMES)))];
static u64 *blocks_of[MAX_ORDER + 1], *groups_of[MAX_ORDER + 1], *summary_of[MAX_ORDER + 1], top[MAX_ORDER + 2];
static u8 state[FRAMES];

static u32 first_bit(u64 word)
{
    return (u32)word ? (u32)__builtin_ctz((u32)word) : 32 + (u32)__builtin_ctz((u32)(word >> 32));
}

static void set_free(u32 order, u32 index)
{
    u64 *in_blocks = &blocks_of[order][index >> 6], *in_groups, *in_summary, before = *in_blocks;

    *in_blocks = before | 1ull << (index & 63);
    if (before)
        return;
    index >>= 6;
    in_groups = &groups_of[order][index >> 6];
    before = *in_groups;
    *in_groups = before | 1ull << (index & 63);
    if (before)
        return;
    index >>= 6;
    in_summary = &summary_of[order][index >> 6];
    before = *in_summary;
    *in_summary = before | 1ull << (index & 63);
    if (!before)
        top[order] |= 1ull << (index >> 6);
}

static void set_used(u32 order, u32 index)
{
    if (blocks_of[order][index >> 6] &= ~(1ull << (index & 63)))
        return;
    index >>= 6;
    if (groups_of[order][index >> 6] &= ~(1ull << (index & 63)))
        return;
    index >>= 6;
    if (summary_of[order][index >> 6] &= ~(1ull << (index & 63)))
        return;
    top[order] &= ~(1ull << (index >> 6));
}

static u32 buddy_alloc(u32 order)
{
    u32 have = order, index;

    while (!top[have])
        have++;
    if (have > MAX_ORDER)
        return NONE;
    index = first_bit(top[have]);
    index = index << 6 | first_bit(summary_of[have][index]);
    index = index << 6 | first_bit(groups_of[have][index]);
    index = index << 6 | first_bit(blocks_of[have][index]);
    set_used(have, index);
    while (have > order) {
        have--;
        index *= 2;
        set_free(have, index + 1);
    }
    index <<= order;
    state[index] = (u8)(USED | order);
    return index;
}

static int buddy_free(u32 frame, u32 order)
{
    u32 index = frame >> order;

    if (frame >= FRAMES || state[frame] != (USED | order))
        return 0;
    state[frame] = 0;
    while (order < MAX_ORDER && blocks_of[order][index >> 6] >> (index & 63 ^ 1) & 1) {
        set_used(order, index ^ 1);
        index >>= 1;
        order++;
    }
    set_free(order, index);
    return 1;
}

/* ---- the plan: bench/kernel_mm.py has the same ---- */

static const u8 orders[32] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7};
static u32 live[FRAMES], lives, used_frames, dice = 1, checksum;

static u32 roll(void)
{
    dice = dice * 1664525u + 1013904223u;
    return dice >> 8;
}

static void take(u32 order)
{
    u32 frame = buddy_alloc(order);

    if (frame == NONE)
        return;
    checksum = checksum * 31 + frame;
    live[lives++] = frame << 4 | order;
    used_frames += 1u << order;
}

static void give(u32 which)
{
    u32 block = live[which];

    live[which] = live[--lives];
    buddy_free(block >> 4, block & 15);
}

static void prepare(void)
{
    u32 order, at, bits, words[3];
    u64 *next[3] = {blocks, groups, summary};

    for (order = 0; order <= MAX_ORDER; order++) {
        bits = FRAMES >> order;
        for (at = 0; at < 3; at++)
            bits = words[at] = WORDS(bits);
        blocks_of[order] = next[0], groups_of[order] = next[1], summary_of[order] = next[2];
        for (at = 0; at < 3; at++)
            next[at] += words[at];
    }
    top[MAX_ORDER + 1] = 1;
    for (at = 0; at < FRAMES >> MAX_ORDER; at++)
        set_free(MAX_ORDER, at);
    while (used_frames < FRAMES / 2)
        take(orders[roll() & 31]);
}

static void run(void)
{
    u32 left, number;

    for (left = OPERATIONS; left; left--) {
        number = roll();
        if (number & 32 || !lives)
            take(orders[number & 31]);
        else
            give((number >> 6) % lives);
    }
}

#ifdef HOSTED
#include <unistd.h>
static void put(char byte) { (void)!write(1, &byte, 1); }
#else
static inline void out(unsigned short port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static void put(char byte) { out(0x3F8, (u8)byte); }
#endif

static void whole(void)
{
    int digit;

    prepare();
    put('<');
    run();
    put('>');
    for (digit = 28; digit >= 0; digit -= 4)
        put("0123456789ABCDEF"[checksum >> digit & 15]);
}

#ifdef HOSTED
int main(void)
{
    whole();
    return 1;
}
#else
__attribute__((section(".multiboot"), used)) static const u32 header[3] = {0x1BADB002, 0, -0x1BADB002u};
static u8 stack[16384] __attribute__((aligned(16), used));

__attribute__((used)) static void guest_main(void)
{
    whole();
    out(0xF4, 0);
    for (;;)
        __asm__ volatile("hlt");
}

__asm__(".text\n.globl _start\n_start:\n  cli\n  mov $stack + 16384, %esp\n  call guest_main\n");
#endif
