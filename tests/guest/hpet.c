/* The HPET: its identity, its counter, and timers that take the place of the 8254 or drive a pin of the I/O APIC.

   Source: IA-PC HPET Specification 1.0a, "Register Definitions". */
#include "pic.h"
#include "trap.h"

enum { CAPABILITIES = 0x00, PERIOD = 0x04, CONFIGURATION = 0x10, STATUS = 0x20, COUNTER = 0xF0 };
enum { TIMER_0 = 0x100, TIMER_2 = 0x140, ROUTES = 4, COMPARATOR = 8, COMPARATOR_HIGH = 12 };
enum { RUN = 1, LEGACY = 2 };
enum { LEVEL = 1 << 1, ENABLE = 1 << 2, PERIODIC = 1 << 3, VALUE_SET = 1 << 6, MODE_32 = 1 << 8, PIN_2 = 2 << 9 };
enum { MASKED = 1 << 16, PIN_LEVEL = 1 << 15, VECTOR = 0x72 };

static u32 hpet(u32 offset) { return *(volatile u32 *)(0xFED00000 + offset); }
static void set_hpet(u32 offset, u32 value) { *(volatile u32 *)(0xFED00000 + offset) = value; }
static void redirect_pin_2(u32 low) {
    *(volatile u32 *)0xFEC00000 = 0x10 + 2 * 2;
    *(volatile u32 *)0xFEC00010 = low;
}
static void end_apic_interrupt(void) { *(volatile u32 *)0xFEE000B0 = 0; }

static volatile u32 count, seen_status;

static void serve_pic(struct trap *trap) {
    (void)trap;
    count++;
    end_of_interrupt(IRQ_TIMER);
}

static void serve_level(struct trap *trap) {
    (void)trap;
    count++;
    seen_status = hpet(STATUS);
    set_hpet(STATUS, seen_status);
    end_apic_interrupt();
}

int main(void) {
    title("HPET");
    set_up_pics();
    set_hpet(CONFIGURATION, 0);
    same("capabilities: three timers, 64 bits, legacy replacement", hpet(CAPABILITIES), 0x8086A201);
    same("a period of 10 ns", hpet(PERIOD), 10000000);
    same("a timer can be periodic and has 64 bits", hpet(TIMER_0) & 0x8030, 0x30);
    same("and knows pin 2", hpet(TIMER_0 + ROUTES), 4);

    set_hpet(COUNTER, 0xFFFFFFF0);
    set_hpet(COUNTER + 4, 6);
    same("the halted counter can be set", hpet(COUNTER), 0xFFFFFFF0);
    set_hpet(CONFIGURATION, RUN);
    while (hpet(COUNTER + 4) == 6) {}
    same("and runs over its lower half", hpet(COUNTER + 4), 7);
    u32 before = hpet(COUNTER);
    timer_once(59659); /* 50 ms */
    wait_for_timer_request();
    u32 passed = hpet(COUNTER) - before;
    check("at 100 MHz", passed > 4000000 && passed < 20000000);
    set_hpet(CONFIGURATION, 0);
    before = hpet(COUNTER);
    for (u32 i = 0; i < 100; i++) (void)inb(0x61);
    same("halted, it stands", hpet(COUNTER), before);

    on_trap(IRQ_VECTOR + IRQ_TIMER, serve_pic);
    timer_once(1);
    mask_irqs_except(1 << IRQ_TIMER);
    sti();
    for (u32 i = 0; i < 100; i++) (void)inb(0x61);
    cli();
    set_hpet(COUNTER, 0);
    set_hpet(COUNTER + 4, 0);
    set_hpet(TIMER_0, ENABLE | PERIODIC | MODE_32 | VALUE_SET);
    set_hpet(TIMER_0 + COMPARATOR, 100000);
    set_hpet(TIMER_0 + COMPARATOR, 50000);
    same("value set: the comparator is the first value", hpet(TIMER_0 + COMPARATOR), 100000);
    same("and its bit reads as 0", hpet(TIMER_0) & VALUE_SET, 0);
    count = 0;
    set_hpet(CONFIGURATION, RUN | LEGACY);
    while (count < 10) sleep_until_interrupt();
    set_hpet(CONFIGURATION, 0);
    check("timer 0 comes as IRQ 0, time after time", hpet(COUNTER) >= 100000 + 9 * 50000);
    check("its comparator is periods ahead", hpet(TIMER_0 + COMPARATOR) % 50000 == 0);
    set_hpet(TIMER_0, 0);
    mask_irqs_except(0);

    on_trap(VECTOR, serve_level);
    timer_every(0);
    timer_once(0); /* IRQ 0 is low, with nothing to come for 55 ms */
    redirect_pin_2(PIN_LEVEL | VECTOR);
    set_hpet(COUNTER, 0);
    set_hpet(TIMER_2, ENABLE | LEVEL | PIN_2 | MODE_32);
    set_hpet(TIMER_2 + COMPARATOR, 50000);
    set_hpet(CONFIGURATION, RUN);
    count = 0;
    while (!count) sleep_until_interrupt();
    same("timer 2 by pin 2, as a level: its status", seen_status, 4);
    same("is cleared by writing it", hpet(STATUS), 0);
    sti();
    for (u32 i = 0; i < 100; i++) (void)inb(0x61);
    cli();
    same("and it came once", count, 1);
    redirect_pin_2(MASKED);
    set_hpet(TIMER_2, 0);
    set_hpet(CONFIGURATION, 0);
    return 0;
}
