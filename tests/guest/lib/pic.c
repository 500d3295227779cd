#include "pic.h"

void set_up_pics(void) {
    static const struct { u16 command, data; u8 vector, icw3; } chips[] = {
        {MASTER, MASTER_DATA, IRQ_VECTOR, 1 << IRQ_CASCADE},
        {SLAVE, SLAVE_DATA, IRQ_VECTOR + 8, IRQ_CASCADE},
    };
    for (size_t i = 0; i < array_size(chips); i++) {
        outb(chips[i].command, 0x11);        /* ICW1: edge triggered, cascaded, ICW4 follows */
        outb(chips[i].data, chips[i].vector); /* ICW2 */
        outb(chips[i].data, chips[i].icw3);
        outb(chips[i].data, 0x01); /* ICW4: 8086 mode, no automatic EOI */
        outb(chips[i].data, 0xFF);
    }
}

void mask_irqs_except(u16 wanted) {
    if (wanted & 0xFF00) wanted |= 1 << IRQ_CASCADE;
    outb(MASTER_DATA, ~wanted);
    outb(SLAVE_DATA, ~wanted >> 8);
}

void end_of_interrupt(u8 irq) {
    if (irq >= 8) outb(SLAVE, OCW2_EOI);
    outb(MASTER, OCW2_EOI);
}

u8 requests(u16 pic) {
    outb(pic, OCW3_READ_IRR);
    return inb(pic);
}

u8 in_service(u16 pic) {
    outb(pic, OCW3_READ_ISR);
    return inb(pic);
}

enum { COUNTER_0 = 0x40, TIMER_CONTROL = 0x43 };

static void program_timer(u8 control, u16 count) {
    outb(TIMER_CONTROL, control);
    outb(COUNTER_0, count & 0xFF);
    outb(COUNTER_0, count >> 8);
}

void timer_once(u16 count) { program_timer(0x30, count); }
void timer_every(u16 count) { program_timer(0x34, count); }

void wait_for_timer_request(void) {
    while (!(requests(MASTER) & 1 << IRQ_TIMER)) {}
}
