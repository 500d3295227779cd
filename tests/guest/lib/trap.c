#include "trap.h"

volatile struct caught caught;
volatile u32 attempt_at, attempt_resume;
static handler *handlers[256];

void on_trap(u8 vector, handler *serve) { handlers[vector] = serve; }

/* Called by the stubs of traps.S. */
void serve_trap(struct trap *trap) {
    if (handlers[trap->vector]) {
        handlers[trap->vector](trap);
        return;
    }
    if (!attempt_resume) {
        print("unexpected trap %u, error %x, at %x:%x, cr2 %x\n", trap->vector, trap->error, trap->cs, trap->eip,
              cr2());
        give_up();
    }
    caught = (struct caught){trap->vector, trap->error, trap->eip - attempt_at, trap->eflags, trap->cs, cr2()};
    trap->eip = attempt_resume;
    attempt_resume = 0;
}

void trapped(const char *name, u32 vector, u32 error, u32 offset) {
    bool holds = caught.vector == vector && caught.error == error && caught.offset == offset;
    if (!holds)
        print("! vector %u error %x EIP %x, want vector %u error %x EIP %x\n", caught.vector, caught.error,
              caught.offset, vector, error, offset);
    check(name, holds);
}

void not_trapped(const char *name) { trapped(name, NO_TRAP, 0, 0); }

void set_up_traps(void) {
    for (int vector = 0; vector < 256; vector++)
        set_idt(vector, gate(KERNEL_CODE, trap_stubs[vector], PRESENT | INTERRUPT_GATE, 0));
    /* INT3 and INTO are for everybody. */
    set_idt(BP, gate(KERNEL_CODE, trap_stubs[BP], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
    set_idt(OF, gate(KERNEL_CODE, trap_stubs[OF], PRESENT | DPL_3 | INTERRUPT_GATE, 0));
}
