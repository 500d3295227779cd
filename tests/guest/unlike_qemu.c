/* Where the manuals say one thing and QEMU's TCG does another: this machine follows the manuals.

   Sources: Intel SDM Vol. 2, "RDMSR", "WRMSR"; Intel 8254 data sheet, "Read-Back Command", "Mode 0". */
#include "pic.h"
#include "trap.h"

enum { NO_SUCH_MSR = 0x12345678, TIMER_CONTROL = 0x43, COUNTER_2 = 0x42, STATUS_OUT = 0x80, STATUS_NULL = 0x40 };

static u8 status_of_counter_2(void) {
    outb(TIMER_CONTROL, 0xE8);
    return inb(COUNTER_2);
}

int main(void) {
    title("unlike QEMU");
    ATTEMPT("rdmsr", : : "c"(NO_SUCH_MSR) : "eax", "edx");
    trapped("#GP: RDMSR of an MSR that does not exist", GP, 0, 0);
    ATTEMPT("wrmsr", : : "c"(NO_SUCH_MSR), "a"(0), "d"(0));
    trapped("#GP: WRMSR of one", GP, 0, 0);

    outb(TIMER_CONTROL, 0xB6);
    outb(COUNTER_2, 0x34);
    outb(COUNTER_2, 0x12);
    outb(TIMER_CONTROL, 0xB0);
    same("8254: a control word for mode 0 makes the output low", status_of_counter_2() & STATUS_OUT, 0);
    same("and leaves the counter without a count", status_of_counter_2() & STATUS_NULL, STATUS_NULL);
    return 0;
}
