/* BIOS services in real mode, called from a 32-bit kernel as boot loaders do: INT 10h, 11h, 12h, 14h, 15h, 1Ah.

   What a service returns is printed, so that it is compared with QEMU's firmware.  Not asked, because QEMU's machine or
   firmware differs on purpose: floppy drives in INT 11h, INT 17h, memory set aside for ACPI tables.

   Source: IBM PS/2 and PC BIOS Interface Technical Reference; Ralf Brown's Interrupt List. */
#include "bios.h"
#include "test.h"

static struct bios_registers r;
static u8 *const buffer = (u8 *)BIOS_BUFFER;

/* INT with AX, BX, CX, DX; ES and DS are 0, so that DI, SI and BP may point to `buffer`. */
static void call(u8 vector, u32 ax, u32 bx, u32 cx, u32 dx) {
    r = (struct bios_registers){.eax = ax, .ebx = bx, .ecx = cx, .edx = dx, .esi = BIOS_BUFFER, .edi = BIOS_BUFFER,
                                .ebp = BIOS_BUFFER};
    bios(vector, &r);
}
static u8 ah(void) { return r.eax >> 8; }
static u8 al(void) { return r.eax; }
static bool carry(void) { return r.flags & FLAG_CF; }
static u16 word(u32 at) {
    asm("" : "+r"(at));
    return *(volatile u16 *)at;
}
static u8 byte(u32 at) {
    asm("" : "+r"(at));
    return *(volatile u8 *)at;
}
static void show(const char *what) {
    print("# %s: ax %x bx %x cx %x dx %x carry %u\n", what, r.eax & 0xFFFF, r.ebx & 0xFFFF, r.ecx & 0xFFFF,
          r.edx & 0xFFFF, carry());
}

static u16 cell(u32 row, u32 column) { return word(0xB8000 + 2 * (80 * row + column)); }
static void position(u8 row, u8 column) { call(0x10, 0x0200, 0, 0, row << 8 | column); }
static void type(u8 character) { call(0x10, 0x0E00 | character, 0x0007, 0, 0); }
static void where(const char *what) {
    call(0x10, 0x0300, 0, 0, 0);
    print("# %s: row %u column %u shape %x\n", what, r.edx >> 8 & 0xFF, r.edx & 0xFF, r.ecx & 0xFFFF);
}
static u16 crtc(u8 index) {
    outb(0x3D4, index);
    u8 high = inb(0x3D5);
    outb(0x3D4, index + 1);
    return high << 8 | inb(0x3D5);
}

static void check_text(void) {
    call(0x10, 0x0003, 0, 0, 0);
    show("set mode 3");
    call(0x10, 0x0F00, 0, 0, 0);
    show("current mode");
    same("the screen is blank", cell(24, 79), 0x0720);
    where("after setting the mode");
    position(1, 78);
    same("the CRTC's cursor follows", crtc(0x0E), 80 + 78);
    for (const char *text = "abc\bd\r\nx"; *text; text++) type(*text);
    same("a", cell(1, 78), 0x0761);
    same("b", cell(1, 79), 0x0762);
    same("at the end of the row the next one begins; backspace goes back", cell(2, 0), 0x0764);
    same("return and line feed", cell(3, 0), 0x0778);
    where("teletype leaves the cursor");
    type(7);
    where("a bell does not move it");
    position(4, 0);
    type('\b');
    where("backspace stops at the left");

    position(24, 79);
    call(0x10, 0x094C, 0x001E, 1, 0);
    same("function 09h: character and attribute", cell(24, 79), 0x1E4C);
    type('z');
    where("behind the last cell");
    same("the screen scrolled", cell(23, 79), 0x1E7A);
    same("and z kept the attribute that was there", cell(23, 79) >> 8, 0x1E);
    call(0x10, 0x0800, 0, 0, 0);
    print("# the new row: %x\n", cell(24, 0) & 0xFF);

    position(10, 0);
    call(0x10, 0x0941, 0x0042, 5, 0);
    call(0x10, 0x0A42, 0x0017, 2, 0);
    same("function 0Ah leaves the attribute", cell(10, 1), 0x4242);
    same("function 09h wrote five", cell(10, 4), 0x4241);
    where("neither moves the cursor");
    call(0x10, 0x0800, 0, 0, 0);
    show("function 08h");

    call(0x10, 0x0601, 0x2F00, 0x0A00, 0x0B03); /* rows 10-11, columns 0-3 up by 1 */
    same("scroll up: blank below", cell(11, 0), 0x2F20);
    same("outside of the window nothing moves", cell(10, 4), 0x4241);
    position(10, 0);
    call(0x10, 0x0958, 0x0031, 80, 0);
    call(0x10, 0x0701, 0x0F00, 0x0A00, 0x0C4F);
    same("scroll down: blank above", cell(10, 40), 0x0F20);
    same("and the row is below", cell(11, 40), 0x3158);
    call(0x10, 0x0600, 0x7000, 0x0000, 0x184F);
    same("AL=0 clears the window", cell(24, 79), 0x7020);
    call(0x10, 0x0600, 0x0700, 0x0000, 0xFFFF);
    same("corners beyond the screen are cut", cell(24, 79), 0x0720);
}

static void check_strings_and_pages(void) {
    memcpy(buffer, "one\r\ntwo", 8);
    call(0x10, 0x1300, 0x0035, 8, 0x0503);
    same("write string", cell(5, 3), 0x356F);
    same("carriage return and line feed in it", cell(6, 0), 0x3574);
    where("AL=00h leaves the cursor");
    call(0x10, 0x1301, 0x0035, 3, 0x0700);
    where("AL=01h moves it");
    memcpy(buffer, "X\x1FY\x2E", 4);
    call(0x10, 0x1303, 0x0000, 2, 0x0800);
    same("AL=03h: attributes in the string", cell(8, 1), 0x2E59);

    call(0x10, 0x0100, 0, 0x0607, 0);
    print("# underline cursor: crtc %x\n", crtc(0x0A));
    call(0x10, 0x0100, 0, 0x0007, 0);
    print("# block cursor: crtc %x\n", crtc(0x0A));
    call(0x10, 0x0100, 0, 0x2607, 0);
    print("# no cursor: crtc %x\n", crtc(0x0A));
    call(0x10, 0x0100, 0, 0x0D0E, 0);
    print("# lines of 16: crtc %x\n", crtc(0x0A));
    where("the shape is remembered");

    call(0x10, 0x0501, 0, 0, 0);
    same("page 1 is shown", crtc(0x0C), 0x1000 / 2);
    type('p');
    same("teletype writes there", word(0xB9000), 0x0770);
    call(0x10, 0x0F00, 0, 0, 0);
    show("current mode, page 1");
    call(0x10, 0x0300, 0x0100, 0, 0);
    print("# its cursor: %x\n", r.edx & 0xFFFF);
    call(0x10, 0x0500, 0, 0, 0);
    same("page 0 again", crtc(0x0C), 0);
}

static void check_adapter(void) {
    call(0x10, 0x1A00, 0, 0, 0);
    show("display code");
    call(0x10, 0x1200, 0x0010, 0, 0);
    show("EGA information");
    call(0x10, 0x1201, 0x0034, 0, 0);
    same("cursor emulation off", al(), 0x12);
    call(0x10, 0x0100, 0, 0x0607, 0);
    same("then lines are as they are", crtc(0x0A), 0x0607);
    call(0x10, 0x1200, 0x0034, 0, 0);
    call(0x10, 0x1130, 0x0600, 0, 0);
    print("# font 8x16: height %u last row %u\n", r.ecx & 0xFFFF, r.edx & 0xFF);
    u32 font = r.es * 16 + (r.ebp & 0xFFFF);
    bool blank = true, has_a = false;
    for (u32 line = 0; line < 16; line++) {
        blank &= byte(font + 16 * ' ' + line) == 0;
        has_a |= byte(font + 16 * 'A' + line) != 0;
    }
    check("it has a blank and an A", blank && has_a);

    call(0x10, 0x1010, 0x0042, 0x2A15, 0x3F00); /* green 2A, blue 15, red 3F */
    call(0x10, 0x1015, 0x0042, 0, 0);
    show("color 42h");
    memcpy(buffer, "\x01\x02\x03\x04\x05\x06", 6);
    call(0x10, 0x1012, 0x0080, 2, BIOS_BUFFER);
    call(0x10, 0x1017, 0x0080, 2, BIOS_BUFFER + 16);
    check("a block of colors", memcmp(buffer, buffer + 16, 6) == 0);
    call(0x10, 0x1000, 0x3C07, 0, 0);
    call(0x10, 0x1007, 0x0007, 0, 0);
    same("palette register 7", r.ebx >> 8 & 0xFF, 0x3C);
    call(0x10, 0x1001, 0x0500, 0, 0);
    call(0x10, 0x1008, 0, 0, 0);
    same("overscan", r.ebx >> 8 & 0xFF, 0x05);
    call(0x10, 0x1009, 0, 0, BIOS_BUFFER);
    print("# palette: %x %x %x ... %x, overscan %x\n", buffer[0], buffer[6], buffer[7], buffer[15], buffer[16]);
    call(0x10, 0x0003, 0, 0, 0);
    call(0x10, 0x1007, 0x0007, 0, 0);
    same("setting the mode sets the palette", r.ebx >> 8 & 0xFF, 0x07);
}

static void check_mode_13(void) {
    call(0x10, 0x0013, 0, 0, 0);
    show("set mode 13h");
    call(0x10, 0x0F00, 0, 0, 0);
    show("current mode");
    call(0x10, 0x0C2A, 0, 319, 199);
    same("write pixel", byte(0xA0000 + 320 * 199 + 319), 0x2A);
    call(0x10, 0x0D00, 0, 319, 199);
    same("read pixel", al(), 0x2A);
    call(0x10, 0x0E41, 0x000C, 0, 0);
    u32 drawn = 0, other = 0;
    for (u32 y = 0; y < 8; y++)
        for (u32 x = 0; x < 8; x++) {
            u8 pixel = byte(0xA0000 + 320 * y + x);
            if (pixel == 0x0C) drawn++;
            else if (pixel) other++;
        }
    check("a letter is drawn in its color on black", drawn > 8 && drawn < 56 && !other);
    call(0x10, 0x0200, 0, 0, 0);
    call(0x10, 0x0800, 0, 0, 0);
    same("and read back", al(), 'A');
    call(0x10, 0x0003, 0, 0, 0);
    same("back in mode 3 the screen is blank", cell(0, 0), 0x0720);
}

static void check_planes(u8 mode, u32 lines) {
    call(0x10, mode, 0, 0, 0);
    print("# mode %x:\n", mode);
    call(0x10, 0x0F00, 0, 0, 0);
    show("current mode");
    print("# rows %u, lines %u, page %x\n", byte(0x484) + 1, word(0x485), word(0x44C));
    call(0x10, 0x0C05, 0, 13, 101);
    call(0x10, 0x0D00, 0, 13, 101);
    same("write and read a pixel", al(), 5);
    call(0x10, 0x0C83, 0, 13, 101);
    call(0x10, 0x0D00, 0, 13, 101);
    same("exclusive or", al(), 6);
    position(2, 3);
    call(0x10, 0x0941, 0x000A, 2, 0);
    call(0x10, 0x0800, 0, 0, 0);
    same("write and read a letter", al(), 'A');
    call(0x10, 0x0601, 0x0000, 0x0000, 0xFFFF);
    position(1, 4);
    call(0x10, 0x0800, 0, 0, 0);
    same("scrolled up", al(), 'A');
    call(0x10, 0x0D00, 0, 13, 101 - lines);
    same("the pixel too", al(), 6);
    call(0x10, 0x0E42, 0x0003, 0, 0);
    where("teletype moves the cursor");
}

static void check_50_rows(void) {
    call(0x10, 0x0003, 0, 0, 0);
    call(0x10, 0x1112, 0, 0, 0);
    print("# 8x8 font: rows %u, lines %u, page %x\n", byte(0x484) + 1, word(0x485), word(0x44C));
    outb(0x3D4, 0x09);
    print("# crtc 9: %x\n", inb(0x3D5) & 0x1F);
    position(49, 0);
    type('x'), type('\r'), type('\n');
    same("the fiftieth row scrolls", cell(48, 0), 0x0778);
    call(0x10, 0x0003, 0, 0, 0);
    same("mode 3 has 25 again", byte(0x484), 24);
}

static void check_small_services(void) {
    call(0x11, 0, 0, 0, 0);
    same("equipment: FPU, mouse, 80x25 in color", r.eax & 0x36, 0x26);
    same("and it is what 40:10 says", r.eax & 0xFFFF, word(0x410));
    call(0x12, 0, 0, 0, 0);
    same("KiB below the EBDA", r.eax & 0xFFFF, 639);
    call(0x14, 0x0300, 0, 0, 0);
    show("COM1's status");
    call(0x14, 0x00E3, 0, 0, 0);
    show("COM1 initialized");

    call(0x1A, 0x0100, 0, 0x0012, 0x3456);
    call(0x1A, 0x0000, 0, 0, 0);
    check("ticks are what was set, or a little more", (r.ecx & 0xFFFF) == 0x12 && (r.edx & 0xFFFF) - 0x3456 < 20);
    call(0x1A, 0x0300, 0, 0x1259, 0x3000); /* 12:59:30 */
    show("set time");
    call(0x1A, 0x0200, 0, 0, 0);
    show("time");
    call(0x1A, 0x0500, 0, 0x2024, 0x0229);
    show("set date");
    call(0x1A, 0x0400, 0, 0, 0);
    show("date");
    call(0x1A, 0x0600, 0, 0x0000, 0);
    print("# set alarm: carry %u\n", carry());
    call(0x1A, 0x0600, 0, 0x0000, 0);
    print("# another: carry %u\n", carry());
    call(0x1A, 0x0700, 0, 0, 0);
    print("# reset alarm: carry %u\n", carry());
}

static void put_descriptor(u32 slot, u32 base, u16 limit, u8 access) {
    u16 *to = (u16 *)(buffer + slot);
    to[0] = limit;
    to[1] = base;
    to[2] = (base >> 16 & 0xFF) | access << 8;
    to[3] = base >> 24 << 8;
}

static void check_system(void) {
    call(0x15, 0x4F1E, 0, 0, 0);
    print("# key intercept: al %x\n", al());
    call(0x15, 0x2402, 0, 0, 0);
    show("A20 state");
    call(0x15, 0x2401, 0, 0, 0);
    show("A20 on");
    call(0x15, 0x2403, 0, 0, 0);
    show("A20 support");
    call(0x15, 0x8600, 0, 0, 2000);
    show("wait 2 ms");
    call(0x15, 0xC000, 0, 0, 0);
    same("configuration: carry and AH", carry() << 8 | ah(), 0);
    u32 table = r.es * 16 + (r.ebx & 0xFFFF);
    print("# configuration: %u bytes, model %x %x\n", word(table), byte(table + 2), byte(table + 3));
    print("# features %x %x\n", byte(table + 5), byte(table + 6));
    call(0x15, 0xC100, 0, 0, 0);
    same("EBDA segment", r.es, word(0x40E));
    same("and no carry", carry(), 0);

    memset(buffer, 0, 0x30);
    put_descriptor(0x10, 0x100000, 0xFFFF, 0x93);
    put_descriptor(0x18, 0x50000, 0xFFFF, 0x93);
    call(0x15, 0x8700, 0, 8, 0);
    show("block move");
    check("it copied from above 1 MiB", memcmp((void *)0x100000, (void *)0x50000, 16) == 0);

    call(0x15, 0xE820, 0, 20, 0);
    show("E820 without SMAP");
    call(0x15, 0xE820, 1000, 20, 0x534D4150);
    print("# E820 beyond the end: ah %x carry %u\n", ah(), carry());
    u32 next = 0, entries = 0;
    do {
        memset(buffer, 0xEE, 32);
        r = (struct bios_registers){.eax = 0xE820, .ebx = next, .ecx = 24, .edx = 0x534D4150, .edi = BIOS_BUFFER};
        bios(0x15, &r);
        if (!next) {
            same("EAX is SMAP", r.eax, 0x534D4150);
            same("20 bytes", r.ecx, 20);
            same("no more are written", buffer[20], 0xEE);
            print("# first entry: %x bytes at %x, kind %u\n", ((u32 *)buffer)[2], ((u32 *)buffer)[0], ((u32 *)buffer)[4]);
        }
        next = r.ebx;
        entries++;
    } while (next && !carry() && entries < 50);
    check("the map ends with EBX = 0", !next && !carry());
    call(0x15, 0xE801, 0, 0, 0);
    check("E801: two ways to say the same", (r.eax & 0xFFFF) == (r.ecx & 0xFFFF) && (r.ebx & 0xFFFF) == (r.edx & 0xFFFF));
    same("KiB from 1 MiB to 16 MiB", r.eax & 0xFFFF, 15 * 1024);
    call(0x15, 0x7700, 0, 0, 0);
    show("a function that is not there");
}

static void check_mouse(void) {
    call(0x15, 0xC205, 0x0300, 0, 0);
    show("mouse: begin");
    call(0x15, 0xC204, 0, 0, 0);
    show("mouse: type");
    call(0x15, 0xC203, 0x0300, 0, 0);
    show("mouse: resolution");
    call(0x15, 0xC202, 0x0200, 0, 0);
    show("mouse: rate");
    call(0x15, 0xC206, 0x0200, 0, 0);
    show("mouse: 2:1");
    call(0x15, 0xC206, 0x0000, 0, 0);
    show("mouse: status");
    call(0x15, 0xC2FF, 0, 0, 0);
    show("mouse: no such function");
}

int main(void) {
    title("BIOS services");
    check_text();
    check_strings_and_pages();
    check_adapter();
    check_mode_13();
    check_planes(0x0D, 8);
    check_planes(0x10, 14);
    check_planes(0x12, 16);
    check_50_rows();
    check_small_services();
    check_system();
    check_mouse();
    return 0;
}
