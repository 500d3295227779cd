/* A C program on the hosted kernel: arguments, data and bss, a heap over brk, deep recursion, files, and a child. */

#include "program.h"

START;

static u32 counted[4] = {1, 2, 3, 4};
static u32 zeroed[5000];
static u32 heap_end;

static void *take(u32 size)
{
    u32 at = heap_end;
    heap_end += (size + 15) & ~15u;
    CHECK((u32)call(BRK, heap_end, 0, 0) == heap_end);
    return (void *)at;
}

struct node {
    struct node *next;
    u32 value;
};

static u32 __attribute__((noinline)) depth(u32 left)
{
    volatile char room[1000];
    room[0] = (char)left;
    return left ? depth(left - 1) + (room[0] == (char)left) : 0;
}

void __attribute__((noreturn)) program(u32 *stack)
{
    u32 argc = stack[0];
    char **argv = (char **)(stack + 1);
    CHECK(argc == 3 && argv[3] == 0);
    CHECK(argv[1][0] == 'o' && argv[2][0] == 't');

    CHECK(counted[3] == 4);
    for (u32 i = 0; i < 5000; i++)
        CHECK(zeroed[i] == 0);
    counted[0] = zeroed[4999] = 9;

    heap_end = (u32)call(BRK, 0, 0, 0);
    CHECK(heap_end == 0x08000000);
    struct node *list = 0;
    for (u32 i = 0; i < 10000; i++) {
        struct node *one = take(sizeof *one);
        one->next = list;
        one->value = i;
        list = one;
    }
    u32 sum = 0;
    for (struct node *one = list; one; one = one->next)
        sum += one->value;
    CHECK(sum == 49995000);
    CHECK(depth(1000) == 1000); /* a megabyte of stack, by demand */

    s32 file = call(OPEN, (u32)"data", 0, 0);
    CHECK(file == 3);
    char text[8];
    CHECK(call(READ, file, (u32)text, 5) == 5 && text[0] == 'f' && text[4] == '0');
    char *mapped = (char *)call6(MMAP2, 0, 8192, 3, 2, file, 1);
    CHECK((u32)mapped < 0xFFFFF000 && mapped[0] == 's');
    mapped[0] = 'S';
    CHECK(call(MPROTECT, (u32)mapped, 8192, 1) == 0);

    s32 child = call(FORK, 0, 0, 0);
    if (child == 0) {
        CHECK(mapped[0] == 'S' && counted[0] == 9 && list->value == 9999);
        list->value = 1;
        mapped[0] = 'x'; /* read-only now: this is the end */
        call(EXIT, 0, 0, 0);
    }
    u32 status = 0;
    CHECK(call(WAITPID, child, (u32)&status, 0) == child);
    CHECK(status == 11); /* SIGSEGV */
    CHECK(list->value == 9999);
    CHECK(call(MUNMAP, (u32)mapped, 8192, 0) == 0);
    say("sum ");
    say_number(sum);
    say(", all is well in C\n");
    call(EXIT, 0, 0, 0);
    __builtin_unreachable();
}
