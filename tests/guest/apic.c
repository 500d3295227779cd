/* The local APIC and the I/O APIC: identity, priorities, interrupts to oneself, the timer, redirection, levels.

   Not here, because QEMU does not do what the manuals say: the error status register, the vector table that a
   software-disabled APIC masks, the period of the timer (QEMU counts one more).
   Source: Intel SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; Intel 82093AA data sheet. */
#include "pic.h"
#include "trap.h"

enum { APIC_BASE_MSR = 0x1B, CPUID_APIC = 1 << 9 };
enum {
    ID = 0x20, VERSION = 0x30, TPR = 0x80, PPR = 0xA0, EOI = 0xB0, LDR = 0xD0, DFR = 0xE0, SVR = 0xF0, ISR = 0x100,
    TMR = 0x180, IRR = 0x200, ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, INITIAL = 0x380,
    CURRENT = 0x390, DIVIDE = 0x3E0,
};
enum { NMI = 4 << 8, EXTINT = 7 << 8, LOGICAL = 1 << 11, ASSERT = 1 << 14, MASKED = 1 << 16, PERIODIC = 1 << 17 };
enum { MODE = 7 << 8, LEVEL = 1 << 15, REMOTE_IRR = 1 << 14, SELF = 1 << 18, ALL = 2 << 18, ALL_BUT_SELF = 3 << 18 };
enum { IO_ID = 0, IO_VERSION = 1, IO_TABLE = 0x10, TIMER_PIN = 2 };
enum { COM1_IER = 0x3F9, COM1_IIR = 0x3FA, COM1_MCR = 0x3FC, COM1_LSR = 0x3FD, LSR_EMPTY = 0x60 };

static u32 apic(u32 offset) { return *(volatile u32 *)(0xFEE00000 + offset); }
static void set_apic(u32 offset, u32 value) { *(volatile u32 *)(0xFEE00000 + offset) = value; }
static bool holds(u32 set, u8 vector) { return apic(set + vector / 32 * 16) >> vector % 32 & 1; }

static u32 io_apic(u8 index) {
    *(volatile u32 *)0xFEC00000 = index;
    return *(volatile u32 *)0xFEC00010;
}
static void set_io_apic(u8 index, u32 value) {
    *(volatile u32 *)0xFEC00000 = index;
    *(volatile u32 *)0xFEC00010 = value;
}
static void redirect(u8 pin, u32 low) {
    set_io_apic(IO_TABLE + 2 * pin + 1, 0);
    set_io_apic(IO_TABLE + 2 * pin, low);
}

static volatile u32 served[8], count, nmis;
static volatile u32 seen_ppr, seen_entry;
static volatile bool seen_isr, seen_irr, nest;

static void serve(struct trap *trap) {
    served[count++ % array_size(served)] = trap->vector;
    seen_ppr = apic(PPR);
    seen_isr = holds(ISR, trap->vector);
    seen_irr = holds(IRR, trap->vector);
    if (nest) {
        nest = false;
        set_apic(ICR, SELF | ASSERT | 0x45); /* the same class: waits for the EOI */
        set_apic(ICR, SELF | ASSERT | 0x63); /* a higher one: does not */
        sti();
        asm volatile("nop; nop");
        cli();
        served[count++ % array_size(served)] = 0;
    }
    set_apic(EOI, 0);
}

static void serve_nmi(struct trap *trap) {
    (void)trap;
    nmis++;
}

static void serve_tick(struct trap *trap) {
    (void)trap;
    count++;
    set_apic(EOI, 0);
}

/* A serial port that asks until it is served; the third time it is. */
static void serve_level(struct trap *trap) {
    (void)trap;
    seen_entry = io_apic(IO_TABLE + 2 * IRQ_COM1);
    if (++count == 3) outb(COM1_IER, 0);
    set_apic(EOI, 0);
}

static void window(void) {
    sti();
    for (u32 i = 0; i < 4; i++) asm volatile("nop");
    cli();
}

static void identity(void) {
    check("CPUID tells of a local APIC", cpuid(1).edx & CPUID_APIC);
    same("at its usual place, enabled, of the boot processor", (u32)rdmsr(APIC_BASE_MSR), 0xFEE00900);
    same("its ID", apic(ID), 0);
    same("its version, and six entries", apic(VERSION), 0x50014);
    same("firmware has enabled it", apic(SVR) & 0x1FF, 0x1FF);
    same("and lets the 8259A through LINT0", apic(LVT_LINT0) & (MODE | MASKED), EXTINT);
    same("destination format: flat", apic(DFR), 0xFFFFFFFF);
    set_apic(LDR, 0x02000000);
    same("the logical ID reads back", apic(LDR), 0x02000000);
    same("the I/O APIC: version 20h, 24 pins", io_apic(IO_VERSION), 0x00170020);
    redirect(5, MASKED | 0xA55);
    same("a redirection entry reads back", io_apic(IO_TABLE + 10), MASKED | 0xA55);
    set_io_apic(IO_TABLE + 11, 0x12000000);
    same("its destination, too", io_apic(IO_TABLE + 11), 0x12000000);
    for (u8 pin = 0; pin < 24; pin++) redirect(pin, MASKED);
}

static void to_oneself(void) {
    static const u8 vectors[] = {0x30, 0x41, 0x43, 0x45, 0x52, 0x63};
    for (size_t i = 0; i < sizeof vectors; i++) on_trap(vectors[i], serve);

    count = 0;
    set_apic(ICR, SELF | ASSERT | 0x41);
    check("an interrupt to oneself is requested", holds(IRR, 0x41));
    check("the ICR is idle", !(apic(ICR) & 1 << 12));
    set_apic(ICR, SELF | ASSERT | 0x52);
    set_apic(ICR, SELF | ASSERT | 0x43);
    window();
    same("all three came", count, 3);
    check("in the order of their vectors", served[0] == 0x52 && served[1] == 0x43 && served[2] == 0x41);
    check("in service, and no longer requested", seen_isr && !seen_irr);
    same("the processor's priority was the interrupt's class", seen_ppr, 0x40);
    same("and is none now", apic(PPR), 0);

    count = 0;
    nest = true;
    set_apic(ICR, SELF | ASSERT | 0x43);
    window();
    same("with one in service", count, 4);
    check("only a higher class comes in between",
          served[0] == 0x43 && served[1] == 0x63 && served[2] == 0 && served[3] == 0x45);

    count = 0;
    set_apic(TPR, 0x45);
    same("the task priority is the processor's", apic(PPR), 0x45);
    set_apic(ICR, SELF | ASSERT | 0x43);
    window();
    same("it keeps its class out", count, 0);
    set_apic(ICR, SELF | ASSERT | 0x52);
    window();
    same("and no higher one", count, 1);
    set_apic(TPR, 0x30);
    window();
    same("lowered, it lets the waiting one in", count, 2);
    set_apic(TPR, 0);

    count = 0;
    set_apic(ICR_HIGH, 0);
    set_apic(ICR, ASSERT | 0x30);
    window();
    same("by physical ID", count, 1);
    set_apic(ICR_HIGH, 0x03000000);
    set_apic(ICR, ASSERT | LOGICAL | 0x30);
    window();
    same("by logical ID", count, 2);
    set_apic(ICR_HIGH, 0x01000000);
    set_apic(ICR, ASSERT | LOGICAL | 0x30);
    set_apic(ICR, ASSERT | 0x30);
    set_apic(ICR, ALL_BUT_SELF | ASSERT | 0x30);
    window();
    same("not if it is for another", count, 2);
    set_apic(ICR_HIGH, 0);
    set_apic(ICR, ALL | ASSERT | 0x30);
    window();
    same("as one of all", count, 3);

    on_trap(2, serve_nmi);
    set_apic(ICR, ASSERT | NMI);
    window();
    same("NMI to oneself", nmis, 1);
}

static void timer(void) {
    on_trap(0x70, serve_tick);
    set_apic(DIVIDE, 0xB);
    set_apic(LVT_TIMER, MASKED | 0x70);
    set_apic(INITIAL, 0xFFFFFFFF);
    u32 first = apic(CURRENT);
    timer_once(59659); /* 50 ms */
    wait_for_timer_request();
    u32 passed = first - apic(CURRENT);
    same("the initial count reads back", apic(INITIAL), 0xFFFFFFFF);
    check("the timer counts 1 GHz", passed > 40000000 && passed < 200000000);

    set_apic(INITIAL, 0);
    same("an initial count of 0 stops it", apic(CURRENT), 0);
    set_apic(DIVIDE, 3);
    set_apic(INITIAL, 100);
    while (apic(CURRENT)) {}
    window();
    same("masked, it does not interrupt", holds(IRR, 0x70), 0);

    count = 0;
    set_apic(LVT_TIMER, 0x70);
    set_apic(INITIAL, 10000);
    while (!holds(IRR, 0x70)) {}
    same("once it is at 0, it stays there", apic(CURRENT), 0);
    window();
    same("and interrupts once", count, 1);

    count = 0;
    set_apic(LVT_TIMER, PERIODIC | 0x70);
    set_apic(INITIAL, 10000);
    while (count < 10) sleep_until_interrupt();
    check("a periodic one goes on", apic(CURRENT) <= 10000);
    set_apic(LVT_TIMER, MASKED);
    set_apic(INITIAL, 0);
}

static void redirection(void) {
    on_trap(0x72, serve_tick);
    on_trap(0x74, serve_level);
    mask_irqs_except(0);
    set_apic(LVT_LINT0, MASKED);

    count = 0;
    redirect(TIMER_PIN, 0x72);
    timer_every(1193);
    while (count < 10) sleep_until_interrupt();
    check("the 8254 comes by pin 2", true);
    redirect(TIMER_PIN, MASKED | 0x72);
    window(); /* one may have been on its way */
    count = 0;
    wait_for_timer_request();
    window();
    same("not when it is masked", count, 0);
    timer_once(1);

    while ((inb(COM1_LSR) & LSR_EMPTY) != LSR_EMPTY) {}
    u8 modem = inb(COM1_MCR);
    outb(COM1_MCR, modem | 8);
    redirect(IRQ_COM1, LEVEL | 0x74);
    count = 0;
    outb(COM1_IER, 2); /* interrupt when the transmitter is empty: at once */
    for (u32 i = 0; i < 1000 && !holds(IRR, 0x74); i++) (void)inb(COM1_LSR);
    check("a level is accepted as one", holds(TMR, 0x74));
    for (u32 i = 0; i < 8; i++) window();
    u32 times = count;
    (void)inb(COM1_IIR);
    outb(COM1_MCR, modem);
    same("it comes until the device is served", times, 3);
    same("its entry remembers it", seen_entry & (LEVEL | REMOTE_IRR), LEVEL | REMOTE_IRR);
    same("until the end of interrupt", io_apic(IO_TABLE + 2 * IRQ_COM1), LEVEL | 0x74);
    same("and nothing is in service", apic(ISR + 0x30), 0);
    redirect(IRQ_COM1, MASKED);
}

static void virtual_wire(void) {
    on_trap(IRQ_VECTOR + IRQ_TIMER, serve);
    set_apic(LVT_LINT0, MASKED | EXTINT);
    timer_once(20);
    mask_irqs_except(1 << IRQ_TIMER);
    wait_for_timer_request();
    count = 0;
    window();
    same("a masked LINT0 keeps the 8259A out", count, 0);
    set_apic(LVT_LINT0, EXTINT | LEVEL);
    set_apic(TPR, 0xFF);
    window();
    same("an ExtINT has no priority", count, 1);
    same("and its vector is the 8259A's", served[0], IRQ_VECTOR + IRQ_TIMER);
    check("the APIC has nothing of it in service", !seen_isr);
    set_apic(TPR, 0);
    end_of_interrupt(IRQ_TIMER);
    mask_irqs_except(0);
}

int main(void) {
    title("APICs");
    set_up_pics();
    identity();
    virtual_wire();
    to_oneself();
    timer();
    redirection();
    return 0;
}
