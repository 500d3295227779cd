/* The way of a key through the BIOS: from the scancode of IRQ 1, by INT 09h and the key buffer, to INT 16h.

   Scancodes are put into the 8042's output buffer by its command D2h, as if a keyboard had sent them.  The codes that
   come out are printed, so that they are compared with QEMU's firmware.

   Not asked, because QEMU's firmware does not know it: Pause, characters typed as numbers with Alt, the state of Insert,
   keys that functions for 84 keys must not see.

   Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 09h", "Interrupt 16h". */
#include "bios.h"
#include "test.h"

enum { COMMAND = 0x64, DATA = 0x60, INPUT_FULL = 2, WRITE_OUTPUT = 0xD2 };
enum { CTRL = 0x1D, LEFT_SHIFT = 0x2A, RIGHT_SHIFT = 0x36, ALT = 0x38, CAPS_LOCK = 0x3A, NUM_LOCK = 0x45,
       SCROLL_LOCK = 0x46, SYSTEM_REQUEST = 0x54, EXTENDED = 0xE0, UP = 0x80 };

static struct bios_registers r;

static void call(u16 ax, u16 cx, u32 flags) {
    r = (struct bios_registers){.eax = ax, .ecx = cx, .flags = flags};
    bios(0x16, &r);
}

static void put(u8 value) {
    while (inb(COMMAND) & INPUT_FULL) {}
    outb(COMMAND, WRITE_OUTPUT);
    while (inb(COMMAND) & INPUT_FULL) {}
    outb(DATA, value);
}

/* The keyboard sends a byte, and IRQ 1 is served. */
static void send(u8 value) {
    put(value);
    call(0x0200, 0, FLAG_IF);
}

static bool waiting(void) {
    call(0x1100, 0, 0);
    return !(r.flags & FLAG_ZF);
}

static u32 read_key(void) {
    call(0x1000, 0, 0);
    return r.eax & 0xFFFF;
}

/* Type a key, and print what comes of it. */
static void type(u8 prefix, u8 key) {
    if (prefix) send(prefix);
    send(key);
    if (prefix) send(prefix);
    send(key | UP);
    if (!waiting()) print(" -");
    while (waiting()) print(" %x", read_key());
}

static bool is_modifier(u8 key) {
    return key == CTRL || key == LEFT_SHIFT || key == RIGHT_SHIFT || key == ALT || key == CAPS_LOCK || key == NUM_LOCK
        || key == SCROLL_LOCK || key == SYSTEM_REQUEST;
}

static bool is_extended(u8 key) {
    return key == 0x1C || key == 0x35 || (key >= 0x47 && key <= 0x53 && key != 0x4A && key != 0x4C && key != 0x4E);
}

/* Every key, with `modifier` (if any) held. */
static void type_all(const char *what, u8 modifier, bool with_keypad) {
    if (modifier) send(modifier);
    for (u8 key = 1; key <= 0x58; key++) {
        if (key % 16 == 1) print("%s# %s %x:", key == 1 ? "" : "\n", what, key);
        if (!is_modifier(key) && (with_keypad || key < 0x47 || key > 0x53)) type(0, key);
    }
    print("\n# %s, extended:", what);
    for (u8 key = 1; key <= 0x58; key++)
        if (is_extended(key)) type(EXTENDED, key);
    print("\n");
    if (modifier) send(modifier | UP);
}

static u32 shift_flags(void) {
    call(0x1200, 0, 0);
    return r.eax & 0xFF7F;
}

static void check_flags(void) {
    static const u8 keys[] = {LEFT_SHIFT, RIGHT_SHIFT, CTRL, ALT, CAPS_LOCK, NUM_LOCK, SCROLL_LOCK};
    for (size_t i = 0; i < array_size(keys); i++) {
        send(keys[i]);
        print("# key %x held: %x", keys[i], shift_flags());
        send(keys[i] | UP);
        print(", up: %x", shift_flags());
        send(keys[i]);
        send(keys[i] | UP);
        print(", again: %x\n", shift_flags());
    }
    send(EXTENDED), send(CTRL);
    print("# right Ctrl: %x\n", shift_flags());
    send(EXTENDED), send(ALT);
    print("# and right Alt: %x\n", shift_flags());
    send(EXTENDED), send(CTRL | UP);
    send(EXTENDED), send(ALT | UP);
    same("all up and off", shift_flags(), 0);
}

static void check_buffer(void) {
    while (waiting()) read_key();
    call(0x0100, 0, 0);
    check("an empty buffer sets the zero flag", r.flags & FLAG_ZF);
    static const u16 codes[] = {0x1E61, 0x48E0, 0xE00D, 0xE00A, 0xE02F, 0x00E0, 0x00F0, 0x3920};
    for (size_t i = 0; i < array_size(codes); i++) {
        call(0x0500, codes[i], 0);
        same("there was room", r.eax & 0xFF, 0);
        call(0x0100, 0, 0);
        print("# %x is seen as %x", codes[i], r.eax & 0xFFFF);
        call(0x0000, 0, 0);
        print(", read as %x", r.eax & 0xFFFF);
        call(0x0500, codes[i], 0);
        print(", with 101 keys %x\n", read_key());
    }
    u32 count = 0;
    for (; count < 20; count++) {
        call(0x0500, 0x3000 + count, 0);
        if (r.eax & 0xFF) break;
    }
    same("the buffer has room for fifteen", count, 15);
    send(0x1E), send(0x1E | UP);
    for (u32 i = 0; i < 15; i++)
        if (read_key() != 0x3000 + i) check("keys come in the order in which they were put", false);
    check("a key too much is lost", !waiting());

    put(0x2C);
    call(0x0000, 0, 0);
    same("reading waits for the key", r.eax & 0xFFFF, 0x2C7A);
    send(0x2C | UP);
    call(0x0900, 0, 0);
    print("# functions: %x\n", r.eax & 0xFF);
    call(0x0A00, 0, 0);
    print("# keyboard: %x\n", r.ebx & 0xFFFF);
    r = (struct bios_registers){.eax = 0x0305, .ebx = 0x0100};
    bios(0x16, &r);
    print("# repeat rate: ax %x\n", r.eax & 0xFFFF);
}

int main(void) {
    title("BIOS keys");
    while (waiting()) read_key();
    type_all("alone", 0, true);
    type_all("Shift", LEFT_SHIFT, true);
    type_all("Ctrl", CTRL, true);
    type_all("Alt", ALT, false);
    check_flags();
    send(CAPS_LOCK), send(CAPS_LOCK | UP);
    type_all("Caps Lock", 0, true);
    print("# Caps Lock and Shift:");
    send(LEFT_SHIFT), type(0, 0x1E), type(0, 0x1A), send(LEFT_SHIFT | UP);
    print("\n");
    send(CAPS_LOCK), send(CAPS_LOCK | UP);
    send(NUM_LOCK), send(NUM_LOCK | UP);
    type_all("Num Lock", 0, true);
    send(NUM_LOCK), send(NUM_LOCK | UP);
    check_buffer();
    return 0;
}
