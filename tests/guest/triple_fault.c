/* With no IDT left, a breakpoint cannot be delivered, nor #GP, nor #DF: the processor shuts down.
   Everything ends here, without isa-debug-exit: a machine that does not reboot stops. */
#include "trap.h"

int main(void) {
    title("triple fault");
    print("shutting down\n");
    load_idt(NULL, 0);
    asm volatile("int3");
    check("the processor shut down", false);
    return 0;
}
