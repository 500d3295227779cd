/* The 8254 timer, its interrupt, and HLT.  Only what holds whatever the host's speed is asked.

   Not here, because QEMU has none of it: decimal counting, the status's null-count bit, and the output that falls with
   a control word for mode 0 (QEMU waits for the count).

   Source: Intel 8254 data sheet, "Read-Back Command", "Mode Definitions". */
#include "pic.h"
#include "trap.h"

enum { COUNTER_0 = 0x40, COUNTER_2 = 0x42, CONTROL = 0x43, PORT_B = 0x61, GATE_2 = 1, SPEAKER = 2, OUT_2 = 0x20 };
enum { STATUS_OUT = 0x80 };

static volatile u32 ticks, last_error_flags;
static void on_tick(struct trap *trap) {
    ticks++;
    last_error_flags = trap->eflags;
    end_of_interrupt(IRQ_TIMER);
}

static u8 status(u8 counter) {
    outb(CONTROL, 0xE0 | 2 << counter); /* read back: status, no count */
    return inb(COUNTER_0 + counter);
}

static void interrupts(void) {
    on_trap(IRQ_VECTOR + IRQ_TIMER, on_tick);
    mask_irqs_except(1 << IRQ_TIMER);
    timer_every(1193);
    u32 sleeps = 0;
    while (ticks < 20) {
        sleep_until_interrupt();
        sleeps++;
    }
    check("HLT slept from tick to tick", sleeps <= 20 && sleeps > 0);
    same("the interrupted code ran with IF", last_error_flags & FLAG_IF, FLAG_IF);
    same("nothing is left in service", in_service(MASTER), 0);

    timer_once(1193);
    while (requests(MASTER) & 1) sleep_until_interrupt(); /* one may have been on its way */
    ticks = 0;
    timer_once(1193);
    while (!ticks) sleep_until_interrupt();
    same("mode 0 interrupts once", ticks, 1);
    same("its output is high from then on", status(0) & STATUS_OUT, STATUS_OUT);
    sti();
    for (u32 i = 0; i < 2000; i++) (void)inb(PORT_B);
    cli();
    same("and never again by itself", ticks, 1);

    mask_irqs_except(0);
    ticks = 0;
    timer_every(1193);
    wait_for_timer_request();
    sti();
    for (u32 i = 0; i < 100; i++) (void)inb(PORT_B);
    cli();
    same("a masked interrupt stays a request", ticks, 0);
    same("that can be seen", requests(MASTER) & 1, 1);
    mask_irqs_except(1 << IRQ_TIMER);
    sti();
    (void)inb(PORT_B);
    cli();
    check("and comes when it is unmasked", ticks >= 1);
    mask_irqs_except(0);
}

static void registers(void) {
    outb(CONTROL, 0x34);
    same("status: mode 2, low byte then high byte", status(0) & 0x3F, 0x34);
    outb(COUNTER_0, 0);
    outb(COUNTER_0, 0);
    outb(CONTROL, 0xB6);
    same("status of counter 2: mode 3", status(2) & 0x3F, 0x36);

    outb(PORT_B, inb(PORT_B) & ~(GATE_2 | SPEAKER));
    same("port 0x61 keeps the gate's bit", inb(PORT_B) & 3, 0);
    outb(CONTROL, 0xB0);
    outb(COUNTER_2, 0x34);
    outb(COUNTER_2, 0x12);
    for (u32 i = 0; i < 100; i++) (void)inb(PORT_B);
    same("with the gate low, mode 0 does not finish", inb(PORT_B) & OUT_2, 0);
    outb(PORT_B, inb(PORT_B) | GATE_2);
    while (!(inb(PORT_B) & OUT_2)) {}
    check("with the gate high it does, seen at port 0x61", true);

    outb(CONTROL, 0x94); /* low byte only */
    outb(COUNTER_2, 2);
    bool small = true;
    for (u32 i = 0; i < 50; i++) {
        outb(CONTROL, 0x80);
        small = small && inb(COUNTER_2) <= 2;
    }
    check("a counter of one byte counts below its count", small);
}

int main(void) {
    title("timer");
    set_up_pics();
    registers();
    interrupts();
    return 0;
}
