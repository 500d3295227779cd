/* Takes more memory than there is, page by page, and looks whether its pages keep what was written. */

#include "program.h"

START;

void __attribute__((noreturn)) program(u32 *stack)
{
    u32 pages = 0;
    for (char *digit = ((char **)(stack + 1))[1]; *digit; digit++)
        pages = pages * 10 + (u32)(*digit - '0');
    u32 *at = (u32 *)call6(MMAP2, 0, pages * 4096, 3, 0x22, -1, 0);
    CHECK((u32)at < 0xFFFFF000);
    for (u32 i = 0; i < pages; i++)
        at[i * 1024] = i * 2654435761u;
    for (u32 i = 0; i < pages; i++)
        CHECK(at[i * 1024] == i * 2654435761u);
    say("hog: every page kept its number\n");
    call(EXIT, 0, 0, 0);
    __builtin_unreachable();
}
