/* The 16550A at COM1, mostly talking to itself in loop-back mode.

   Source: National Semiconductor PC16550D data sheet, "Registers". */
#include "pic.h"
#include "trap.h"

enum { COM1 = 0x3F8, DATA = COM1, IER, IIR, FCR = IIR, LCR, MCR, LSR, MSR, SCR };
enum { LCR_8N1 = 0x03, LCR_DLAB = 0x80, MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10 };
enum { LSR_READY = 1, LSR_OVERRUN = 2, LSR_EMPTY = 0x60, IER_RECEIVED = 1, IER_EMPTY = 2, NOTHING_PENDING = 1 };

static volatile u32 interrupts, cause, received;
static void on_serial(struct trap *trap) {
    (void)trap;
    interrupts++;
    cause = inb(IIR);
    if (inb(LSR) & LSR_READY) received = inb(DATA);
    outb(IER, 0);
    end_of_interrupt(IRQ_COM1);
}

/* Talk to oneself; nothing may be printed meanwhile. */
static u32 through_loop(u8 value) {
    outb(DATA, value);
    for (u32 i = 0; i < 1000000; i++)
        if (inb(LSR) & LSR_READY) return inb(DATA);
    return 0x100;
}

static void loop(bool on) { outb(MCR, on ? MCR_LOOP : MCR_DTR | MCR_RTS | MCR_OUT2); }

int main(void) {
    title("serial port");
    while ((inb(LSR) & LSR_EMPTY) != LSR_EMPTY) {}
    outb(IER, 0);
    outb(LCR, LCR_DLAB);
    outb(DATA, 0x0C);
    outb(IER, 0x01);
    u32 divisor = inb(DATA) | inb(IER) << 8;
    outb(DATA, 1);
    outb(IER, 0);
    outb(LCR, LCR_8N1);
    u8 enabled = inb(IER), format = inb(LCR);
    same("the divisor reads back", divisor, 0x010C);
    same("and is not the interrupt enable register", enabled, 0);
    same("the line format reads back", format, LCR_8N1);
    outb(SCR, 0xA5);
    same("the scratch register reads back", inb(SCR), 0xA5);
    outb(FCR, 0xC7);
    same("a 16550A: FIFOs on, nothing pending", inb(IIR), 0xC0 | NOTHING_PENDING);
    outb(FCR, 0);
    same("FIFOs off", inb(IIR), NOTHING_PENDING);

    loop(true);
    u32 echo = through_loop(0x5A), other = through_loop(0xC3);
    u8 after = inb(LSR);
    loop(false);
    same("a byte comes round", echo, 0x5A);
    same("another one", other, 0xC3);
    same("then the receiver is empty", after & (LSR_READY | LSR_OVERRUN), 0);

    outb(MCR, MCR_LOOP | MCR_DTR | MCR_OUT1);
    u8 some = inb(MSR) & 0xF0;
    outb(MCR, MCR_LOOP | MCR_RTS | MCR_OUT2);
    u8 rest = inb(MSR) & 0xF0;
    loop(false);
    same("loop-back: DTR to DSR, OUT1 to RI", some, 0x60);
    same("loop-back: RTS to CTS, OUT2 to DCD", rest, 0x90);

    outb(FCR, 0x07);
    loop(true);
    for (u32 i = 0; i < 4; i++) outb(DATA, 0x10 + i);
    u32 first = through_loop(0x14), sum = 0;
    for (u32 i = 0; i < 1000000 && sum != 0x11 + 0x12 + 0x13 + 0x14; i++)
        if (inb(LSR) & LSR_READY) sum += inb(DATA);
    loop(false);
    same("the FIFO keeps order", first, 0x10);
    same("and all the bytes", sum, 0x11 + 0x12 + 0x13 + 0x14);
    outb(FCR, 0);

    set_up_pics();
    on_trap(IRQ_VECTOR + IRQ_COM1, on_serial);
    mask_irqs_except(1 << IRQ_COM1);
    outb(MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
    outb(IER, IER_EMPTY);
    while (!interrupts) sleep_until_interrupt();
    same("an empty transmitter interrupts", cause & 0x0F, 0x02);
    same("once", interrupts, 1);
    same("and is quiet when disabled", inb(IIR) & NOTHING_PENDING, NOTHING_PENDING);
    same("nothing is left in service", in_service(MASTER), 0);
    return 0;
}
