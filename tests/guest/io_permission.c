/* Who may use which port: IOPL, and the bitmap at the end of the TSS.

   Source: Intel SDM Vol. 1, "I/O Permission Bit Map". */
#include "pic.h"
#include "trap.h"
#include "user.h"

enum { POST = 0x80, SERIAL_SCRATCH = 0x3FF };

static void permit(u16 port) { main_task.io_map[port / 8] &= ~(1 << port % 8); }
static void forbid(u16 port) { main_task.io_map[port / 8] |= 1 << port % 8; }

static u32 all_denied(void) {
    ATTEMPT("in al, dx", : : "d"(POST) : "eax");
    trapped("#GP: IN, its bit is set", GP, 0, 0);
    ATTEMPT("out 0x80, al");
    trapped("#GP: OUT with an immediate port", GP, 0, 0);
    ATTEMPT("insb", : : "d"(POST), "D"(user_stack) : "memory");
    trapped("#GP: INS", GP, 0, 0);
    ATTEMPT("outsb", : : "d"(POST), "S"(user_stack));
    trapped("#GP: OUTS", GP, 0, 0);
    return 0;
}

static u32 scratch_permitted(void) {
    ATTEMPT("out dx, al", : : "d"(SERIAL_SCRATCH), "a"(0x5A));
    not_trapped("OUT to a permitted port");
    u32 value = 0;
    ATTEMPT("in al, dx", : "+a"(value) : "d"(SERIAL_SCRATCH));
    not_trapped("IN from it");
    same("and the device answered", value & 0xFF, 0x5A);
    ATTEMPT("in al, dx", : : "d"(SERIAL_SCRATCH - 1) : "eax");
    trapped("#GP: its neighbour below is forbidden", GP, 0, 0);
    ATTEMPT("in ax, dx", : : "d"(SERIAL_SCRATCH) : "eax");
    trapped("#GP: a word needs two bits, here in two bytes of the map", GP, 0, 0);
    return 0;
}

static u32 four_permitted(void) {
    ATTEMPT("out dx, eax", : : "d"(POST), "a"(0));
    not_trapped("a dword with its four bits clear");
    ATTEMPT("out dx, eax", : : "d"(POST + 1), "a"(0));
    trapped("#GP: a dword that reaches a fifth port", GP, 0, 0);
    ATTEMPT("out dx, ax", : : "d"(POST + 2), "a"(0));
    not_trapped("a word up to the last");
    return 0;
}

static u32 last_port(void) {
    ATTEMPT("in al, dx", : : "d"(0xFFFF) : "eax");
    not_trapped("port 0xFFFF can be permitted");
    return 0;
}

static u32 beyond_limit(void) {
    ATTEMPT("in al, dx", : : "d"(POST) : "eax");
    not_trapped("a permitted port inside a short map");
    ATTEMPT("in al, dx", : : "d"(0x400) : "eax");
    trapped("#GP: ports beyond the TSS's limit are forbidden", GP, 0, 0);
    return 0;
}

static u32 no_map(void) {
    ATTEMPT("in al, dx", : : "d"(POST) : "eax");
    trapped("#GP: a map base beyond the limit permits nothing", GP, 0, 0);
    return 0;
}

static void limit_tss(u32 limit) {
    set_gdt(MAIN_TSS, segment((u32)&main_task, limit, PRESENT | SYSTEM_TSS));
    asm volatile("ltr %w0" : : "r"(MAIN_TSS));
}

int main(void) {
    title("I/O permission");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    run_user(all_denied, 0);
    permit(SERIAL_SCRATCH);
    run_user(scratch_permitted, 0);
    forbid(SERIAL_SCRATCH);
    for (u16 port = POST; port < POST + 4; port++) permit(port);
    run_user(four_permitted, 0);
    permit(0xFFFF);
    run_user(last_port, 0);
    permit(0x400);
    limit_tss(sizeof(struct tss) + 0x400 / 8 - 1);
    run_user(beyond_limit, 0);
    main_task.tss.io_map = sizeof main_task;
    limit_tss(sizeof main_task - 1);
    run_user(no_map, 0);
    return 0;
}
