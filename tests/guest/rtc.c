/* The MC146818 clock and its memory.  Source: Motorola MC146818A data sheet, "Registers". */
#include "pic.h"
#include "trap.h"

enum { INDEX = 0x70, DATA = 0x71 };
enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY = 7, MONTH = 8, YEAR = 9 };
enum { A = 0x0A, B = 0x0B, C = 0x0C, D = 0x0D };
enum { SCRATCH = 0x50, BASE_MEMORY = 0x15, HIGH_MEMORY = 0x34, CENTURY = 0x32 };
enum { B_24_HOURS = 2, B_BINARY = 4, B_UPDATE = 0x10, B_PERIODIC = 0x40, B_SET = 0x80 };
enum { C_UPDATE = 0x10, C_ALARM = 0x20, C_PERIODIC = 0x40, C_IRQ = 0x80 };

static u8 get(u8 index) {
    outb(INDEX, index);
    return inb(DATA);
}

static void set(u8 index, u8 value) {
    outb(INDEX, index);
    outb(DATA, value);
}

static volatile u32 interrupts, flags_seen;
static void on_clock(struct trap *trap) {
    (void)trap;
    interrupts++;
    flags_seen = get(C); /* reading it lets the next one come */
    end_of_interrupt(IRQ_RTC);
}

static bool is_decimal(u8 index, u8 low, u8 high) {
    u8 value = get(index);
    u8 number = (value >> 4) * 10 + (value & 15);
    return (value & 15) <= 9 && number >= low && number <= high;
}

static void calendar(void) {
    same("register D: the time is valid", get(D), 0x80);
    same("register B: 24 hours, decimal, no interrupts", get(B), B_24_HOURS);
    same("register A: 32,768 Hz, 1,024 interrupts per second", get(A) & 0x7F, 0x26);
    check("seconds", is_decimal(SECONDS, 0, 59));
    check("minutes", is_decimal(MINUTES, 0, 59));
    check("hours", is_decimal(HOURS, 0, 23));
    check("weekday", is_decimal(WEEKDAY, 1, 7));
    check("day", is_decimal(DAY, 1, 31));
    check("month", is_decimal(MONTH, 1, 12));
    check("century", is_decimal(CENTURY, 19, 21));

    set(B, B_SET | B_24_HOURS | B_BINARY);
    same("register B reads back", get(B), B_SET | B_24_HOURS | B_BINARY);
    set(SECONDS, 59);
    set(MINUTES, 59);
    set(HOURS, 23);
    set(DAY, 28);
    set(MONTH, 2);
    set(YEAR, 24);
    set(CENTURY, 20); /* the PC's, not the chip's */
    set(WEEKDAY, 4);
    for (u8 alarm = SECONDS + 1; alarm <= HOURS + 1; alarm += 2) set(alarm, 0);
    same("while SET stops it, binary: seconds", get(SECONDS), 59);
    same("hours", get(HOURS), 23);
    same("the update flag stays down", get(A) & 0x80, 0);
    set(B, B_24_HOURS | B_BINARY | B_UPDATE);
    while (!interrupts) sleep_until_interrupt();
    same("the update's end interrupts, and the alarm at midnight is noted", flags_seen & ~C_PERIODIC,
         C_IRQ | C_ALARM | C_UPDATE);
    set(B, B_24_HOURS | B_BINARY);
    same("a second later: a leap year's 29 February", get(DAY) << 8 | get(MONTH), 29 << 8 | 2);
    same("at midnight", get(HOURS) << 8 | get(MINUTES), 0);
    same("a weekday on", get(WEEKDAY), 5);
}

static void memory(void) {
    set(SCRATCH, 0xA5);
    set(SCRATCH + 1, 0x5A);
    same("a byte of memory", get(SCRATCH), 0xA5);
    same("and its neighbour", get(SCRATCH + 1), 0x5A);
    same("base memory is 640 KiB", get(BASE_MEMORY) | get(BASE_MEMORY + 1) << 8, 640);
    same("memory above 16 MiB, in 64 KiB, of a 64 MiB machine", get(HIGH_MEMORY) | get(HIGH_MEMORY + 1) << 8, 48 << 4);
}

static void periodic(void) {
    interrupts = 0;
    (void)get(C);
    set(B, B_24_HOURS | B_PERIODIC);
    while (interrupts < 5) sleep_until_interrupt();
    check("the periodic interrupt came five times", interrupts >= 5);
    same("register C said why", flags_seen & (C_IRQ | C_PERIODIC), C_IRQ | C_PERIODIC);
    set(B, B_24_HOURS);
    (void)get(C);
    same("reading register C clears its IRQ flag", get(C) & C_IRQ, 0);
    same("nothing is left in service, master", in_service(MASTER), 0);
    same("nor slave", in_service(SLAVE), 0);
}

int main(void) {
    title("real-time clock");
    set_up_pics();
    on_trap(IRQ_VECTOR + IRQ_RTC, on_clock);
    mask_irqs_except(1 << IRQ_RTC);
    calendar();
    memory();
    periodic();
    return 0;
}
