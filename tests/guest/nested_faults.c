/* Faults inside handlers, and pages that come when they are asked for. */
#include "paging.h"
#include "trap.h"

enum { FAR_AWAY = 0x40000000 };

static volatile u32 depth, deepest;
static void recurse(struct trap *trap) {
    /* #UD's handler runs UD2 itself, five levels deep. */
    deepest = ++depth > deepest ? depth : deepest;
    if (depth < 5) asm volatile("ud2");
    depth--;
    trap->eip += 2;
}

static volatile u32 order[4], count;
static void divide_in_handler(struct trap *trap) {
    order[count++] = trap->vector;
    asm volatile("div ecx" : : "a"(1), "d"(0), "c"(0) : "cc");
    order[count++] = UD;
    trap->eip += 2;
}
static void skip_division(struct trap *trap) {
    order[count++] = trap->vector;
    trap->eip += 2;
}

static u8 frames[4][PAGE] __attribute__((aligned(PAGE)));
static volatile u32 frames_used, last_error, last_cr2;
static void page_in(struct trap *trap) {
    last_error = trap->error;
    last_cr2 = cr2();
    map(last_cr2 & ~(PAGE - 1), (u32)frames[frames_used++], PTE_WRITE);
}

static volatile u32 handled_cr2;
static void touch_in_handler(struct trap *trap) {
    /* A page fault inside the page fault's handler: the outer fault's address must have been kept. */
    u32 mine = cr2();
    on_trap(PF, page_in);
    *(volatile u32 *)(FAR_AWAY + 0x3000) = 3;
    on_trap(PF, touch_in_handler);
    map(mine & ~(PAGE - 1), (u32)frames[frames_used++], PTE_WRITE);
    handled_cr2 = mine;
    (void)trap;
}

int main(void) {
    title("faults inside handlers");
    on_trap(UD, recurse);
    asm volatile("ud2");
    same("UD2 in its own handler, five deep, and back", deepest, 5);
    same("all of them returned", depth, 0);

    on_trap(UD, divide_in_handler);
    on_trap(DE, skip_division);
    asm volatile("ud2");
    check("#DE inside #UD's handler: #UD, #DE, then #UD goes on",
          order[0] == UD && order[1] == DE && order[2] == UD && count == 3);
    on_trap(UD, NULL);
    on_trap(DE, NULL);

    start_paging();
    on_trap(PF, page_in);
    volatile u32 *words = (u32 *)FAR_AWAY;
    words[5] = 0x1234;
    same("a page made in #PF's handler: the store was done again", words[5], 0x1234);
    same("CR2 was the store's address", last_cr2, FAR_AWAY + 20);
    same("the error code said: a write, page not present", last_error, PF_WRITE);
    same("no second fault", frames_used, 1);

    *(volatile u64 *)(FAR_AWAY + 2 * PAGE - 4) = 0;
    same("a store across two pages", frames_used, 3);
    unmap(FAR_AWAY + PAGE);
    unmap(FAR_AWAY + 2 * PAGE);

    frames_used = 1;
    on_trap(PF, touch_in_handler);
    words[PAGE / 4] = 1;
    same("a page fault inside #PF's handler, both stores done", words[PAGE / 4] + words[3 * PAGE / 4], 4);
    same("the outer handler had read its CR2 in time", handled_cr2, FAR_AWAY + PAGE);
    return 0;
}
