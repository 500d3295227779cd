/* The 8259A interrupt controllers: masks, priorities, end of interrupt, polling.

   Not here: spurious interrupts, which need a request to vanish between INTR and INTA; and requests that vanish while
   masked, because QEMU keeps an edge that a real 8259A forgets.
   Source: Intel 8259A data sheet, "Operation Command Words". */
#include "pic.h"
#include "trap.h"

enum { KBC_DATA = 0x60, KBC_COMMAND = 0x64, OUTPUT_FULL = 1, INPUT_FULL = 2 };
enum { KBC_WRITE_OUTPUT = 0xD2, KBC_SET_MODE = 0x60 };

static volatile u32 served[8], count;
static volatile u8 isr_inside;
static bool keep_in_service;

static void serve(struct trap *trap) {
    u8 irq = trap->vector - IRQ_VECTOR;
    served[count++ % array_size(served)] = irq;
    isr_inside = in_service(MASTER);
    if (irq == IRQ_KEYBOARD) (void)inb(KBC_DATA);
    if (!keep_in_service) end_of_interrupt(irq);
}

static void serve_offset(struct trap *trap) {
    served[count++ % array_size(served)] = trap->vector;
    end_of_interrupt(IRQ_TIMER);
}

static void window(void) {
    sti();
    for (u32 i = 0; i < 4; i++) asm volatile("nop");
    cli();
}

static void keyboard_wait(void) {
    while (inb(KBC_COMMAND) & INPUT_FULL) {}
}

/* The keyboard controller can be told to act as if a key had come: IRQ 1 whenever we like. */
static void request_keyboard(void) {
    keyboard_wait();
    outb(KBC_COMMAND, KBC_WRITE_OUTPUT);
    keyboard_wait();
    outb(KBC_DATA, 0x1C);
    while (!(requests(MASTER) & 1 << IRQ_KEYBOARD)) {}
}

static void request_timer(void) {
    timer_once(20);
    wait_for_timer_request();
}

static void set_up_keyboard(void) {
    while (inb(KBC_COMMAND) & OUTPUT_FULL) (void)inb(KBC_DATA);
    keyboard_wait();
    outb(KBC_COMMAND, KBC_SET_MODE);
    keyboard_wait();
    outb(KBC_DATA, 0x01); /* the keyboard's interrupt on, no translation */
    keyboard_wait();
}

int main(void) {
    title("interrupt controllers");
    set_up_pics();
    set_up_keyboard();
    on_trap(IRQ_VECTOR + IRQ_TIMER, serve);
    on_trap(IRQ_VECTOR + IRQ_KEYBOARD, serve);

    outb(MASTER_DATA, 0xA5);
    outb(SLAVE_DATA, 0x5A);
    same("the master's mask reads back", inb(MASTER_DATA), 0xA5);
    same("the slave's mask reads back", inb(SLAVE_DATA), 0x5A);

    mask_irqs_except(0);
    request_timer();
    window();
    same("a masked request does not interrupt", count, 0);
    mask_irqs_except(1 << IRQ_TIMER);
    window();
    same("it does when unmasked", count, 1);
    same("while it is served, its in-service bit is set", isr_inside, 1 << IRQ_TIMER);
    same("after EOI no bit is", in_service(MASTER), 0);
    same("and its request is gone", requests(MASTER) & 1, 0);

    count = 0;
    mask_irqs_except(1 << IRQ_TIMER | 1 << IRQ_KEYBOARD);
    request_keyboard();
    request_timer();
    same("two requests wait", requests(MASTER) & 3, 3);
    window();
    same("both were served", count, 2);
    check("IRQ 0 before IRQ 1, though it came later", served[0] == IRQ_TIMER && served[1] == IRQ_KEYBOARD);

    count = 0;
    keep_in_service = true;
    request_timer();
    window();
    same("a handler without EOI", in_service(MASTER), 1 << IRQ_TIMER);
    request_keyboard();
    window();
    same("keeps lower priorities out", count, 1);
    keep_in_service = false;
    outb(MASTER, 0x60 | IRQ_TIMER); /* specific EOI */
    window();
    same("until a specific EOI", count, 2);

    count = 0;
    keep_in_service = true;
    request_keyboard();
    window();
    same("IRQ 1 in service", in_service(MASTER), 1 << IRQ_KEYBOARD);
    keep_in_service = false;
    request_timer();
    window();
    same("does not keep IRQ 0 out", count, 2);
    same("both had been in service", isr_inside, 3);
    same("the non-specific EOI ended the higher one", in_service(MASTER), 1 << IRQ_KEYBOARD);
    outb(MASTER, OCW2_EOI);
    same("the next EOI ended the other", in_service(MASTER), 0);

    count = 0;
    outb(MASTER, 0xC0 | IRQ_TIMER); /* set priority: IRQ 0 is the lowest, IRQ 1 the highest */
    request_timer();
    request_keyboard();
    window();
    check("rotated priorities: IRQ 1 before IRQ 0", served[0] == IRQ_KEYBOARD && served[1] == IRQ_TIMER);
    outb(MASTER, 0xC7); /* IRQ 7 is the lowest again */

    count = 0;
    request_timer();
    outb(MASTER, OCW3_POLL);
    same("a poll answers with the request's number", inb(MASTER) & 0x87, 0x80 | IRQ_TIMER);
    same("and takes it into service", in_service(MASTER), 1 << IRQ_TIMER);
    outb(MASTER, OCW2_EOI);
    outb(MASTER, OCW3_POLL);
    same("with no request its top bit is clear", inb(MASTER) & 0x80, 0);
    window();
    same("a polled request does not interrupt", count, 0);

    on_trap(0x60, serve_offset);
    outb(MASTER, 0x11);
    outb(MASTER_DATA, 0x60);
    outb(MASTER_DATA, 1 << IRQ_CASCADE);
    outb(MASTER_DATA, 0x03); /* automatic EOI */
    outb(MASTER_DATA, ~(1 << IRQ_TIMER));
    timer_every(100);
    timer_once(20);
    wait_for_timer_request();
    window();
    same("ICW2 moves the vectors", served[0], 0x60);
    same("automatic EOI leaves nothing in service", in_service(MASTER), 0);
    return 0;
}
