/* The 8042 keyboard controller and the keyboard behind it.

   Source: IBM PC AT Technical Reference, "Keyboard Controller", "Keyboard". */
#include "pic.h"
#include "trap.h"

enum { DATA = 0x60, STATUS = 0x64, OUTPUT_FULL = 1, INPUT_FULL = 2, SELF_TEST_PASSED = 4, LAST_WAS_COMMAND = 8 };
enum { READ_MODE = 0x20, WRITE_MODE = 0x60, SELF_TEST = 0xAA, TEST_KEYBOARD = 0xAB, DISABLE = 0xAD, ENABLE = 0xAE,
       READ_OUTPUT_PORT = 0xD0, WRITE_OUTPUT = 0xD2 };
enum { MODE_IRQ1 = 0x01, MODE_DISABLED = 0x10, MODE_TRANSLATE = 0x40, ACK = 0xFA, NOTHING = 0x100, PATIENCE = 1000000 };

static void command(u8 value) {
    while (inb(STATUS) & INPUT_FULL) {}
    outb(STATUS, value);
}

static void send(u8 value) {
    while (inb(STATUS) & INPUT_FULL) {}
    outb(DATA, value);
}

static u32 receive(void) {
    for (u32 i = 0; i < PATIENCE; i++)
        if (inb(STATUS) & OUTPUT_FULL) return inb(DATA);
    return NOTHING;
}

static u32 ask(u8 value) {
    command(value);
    return receive();
}

static u32 tell(u8 value) {
    send(value);
    return receive();
}

static void set_mode(u8 mode) {
    command(WRITE_MODE);
    send(mode);
}

static volatile u32 interrupts, key;
static void on_key(struct trap *trap) {
    (void)trap;
    interrupts++;
    key = inb(DATA);
    end_of_interrupt(IRQ_KEYBOARD);
}

static void controller(void) {
    same("self test", ask(SELF_TEST), 0x55);
    same("the system flag says that it passed", inb(STATUS) & SELF_TEST_PASSED, SELF_TEST_PASSED);
    same("the keyboard's lines are good", ask(TEST_KEYBOARD), 0);
    set_mode(MODE_DISABLED | SELF_TEST_PASSED);
    same("the command byte reads back", ask(READ_MODE), MODE_DISABLED | SELF_TEST_PASSED);
    command(ENABLE);
    same("ENABLE clears its disable bit", ask(READ_MODE) & MODE_DISABLED, 0);
    command(DISABLE);
    same("DISABLE sets it", ask(READ_MODE) & MODE_DISABLED, MODE_DISABLED);
    command(ENABLE);
    same("the output port has A20 and no reset", ask(READ_OUTPUT_PORT) & 3, 3);
    same("then the output buffer is empty", inb(STATUS) & OUTPUT_FULL, 0);
    set_mode(SELF_TEST_PASSED);
    command(WRITE_OUTPUT);
    send(0x42);
    same("a byte written to the output buffer is there", inb(STATUS) & OUTPUT_FULL, OUTPUT_FULL);
    same("and is read back", receive(), 0x42);
}

static void keyboard(void) {
    same("ECHO", tell(0xEE), 0xEE);
    same("IDENTIFY is acknowledged", tell(0xF2), ACK);
    same("an MF2 keyboard, first byte", receive(), 0xAB);
    same("second byte", receive(), 0x83);
    same("SET LEDS is acknowledged", tell(0xED), ACK);
    same("and so is its argument", tell(0x02), ACK);
    same("SET RATE is acknowledged", tell(0xF3), ACK);
    same("and so is its argument", tell(0x20), ACK);
    same("SELECT SCANCODE SET is acknowledged", tell(0xF0), ACK);
    same("set 2", tell(0x02), ACK);
    same("which set? is acknowledged", tell(0xF0), ACK);
    same("and its question too", tell(0x00), ACK);
    same("it is set 2", receive(), 2);
    same("STOP is acknowledged", tell(0xF5), ACK);
    same("GO is acknowledged", tell(0xF4), ACK);
    same("RESET is acknowledged", tell(0xFF), ACK);
    same("and its test passes", receive(), 0xAA);
    same("then nothing more", inb(STATUS) & OUTPUT_FULL, 0);
}

static void interrupt(void) {
    set_up_pics();
    on_trap(IRQ_VECTOR + IRQ_KEYBOARD, on_key);
    mask_irqs_except(1 << IRQ_KEYBOARD);
    set_mode(SELF_TEST_PASSED | MODE_IRQ1);
    command(WRITE_OUTPUT);
    send(0x1E);
    while (!interrupts) sleep_until_interrupt();
    same("IRQ 1 when the output buffer fills", interrupts, 1);
    same("with the byte", key, 0x1E);
    send(0xEE);
    while (interrupts < 2) sleep_until_interrupt();
    same("an answer of the keyboard interrupts too", key, 0xEE);
    set_mode(SELF_TEST_PASSED);
    command(WRITE_OUTPUT);
    send(0x1F);
    while (!(inb(STATUS) & OUTPUT_FULL)) {}
    sti();
    (void)inb(STATUS);
    cli();
    same("with its bit in the command byte clear, there is no IRQ", interrupts, 2);
    same("but the byte", inb(DATA), 0x1F);
}

int main(void) {
    title("keyboard controller");
    while (inb(STATUS) & OUTPUT_FULL) (void)inb(DATA);
    controller();
    keyboard();
    interrupt();
    return 0;
}
