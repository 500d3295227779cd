/* The VGA's planes: write modes, read modes, latches, masks, and the font behind a text mode.

   Not asked for: chained and odd/even memory through the graphics controller's logic, and where their bytes lie in the
   planes.  QEMU passes them by the logic and packs them tighter than the chip does. */
#include "test.h"
#include "vga.h"

enum { SET_RESET, ENABLE_SET_RESET, COLOR_COMPARE, ROTATE, READ_MAP, MODE, MISC, DONT_CARE, BIT_MASK };

static void graphics(u8 index, u8 value) { vga_set(VGA_GRAPHICS, index, value); }

/* The byte at `at` of every plane, plane 3 highest. */
static u32 planes(u32 at) {
    u32 word = 0;
    u8 mode = vga_get(VGA_GRAPHICS, MODE);
    graphics(MODE, 0);
    for (u8 plane = 0; plane < 4; plane++) {
        graphics(READ_MAP, plane);
        word |= (u32)vga_window[at] << 8 * plane;
    }
    graphics(MODE, mode);
    return word;
}

static void fill(u32 at, u32 word) {
    vga_planar();
    for (u8 plane = 0; plane < 4; plane++) {
        vga_set(VGA_SEQUENCER, 2, 1 << plane);
        vga_window[at] = word >> 8 * plane;
    }
    vga_planar();
}

/* What `value` at `at` becomes when its latches hold 0xCCAA55F0 there. */
static u32 written(u32 at, u8 value) {
    (void)vga_window[0x100];
    vga_window[at] = value;
    return planes(at);
}

static u32 checksum(void) {
    u32 sum = 0;
    for (u8 plane = 0; plane < 4; plane++) {
        graphics(READ_MAP, plane);
        for (u32 at = 0; at < 0x2000; at++) sum = (sum << 5 | sum >> 27) ^ vga_window[at];
    }
    return sum;
}

static void writing(void) {
    fill(0x100, 0xCCAA55F0);
    same("planes hold bytes of their own", planes(0x100), 0xCCAA55F0);

    same("write mode 0: the byte in all planes", written(1, 0x35), 0x35353535);
    vga_set(VGA_SEQUENCER, 2, 0x05);
    same("the map mask keeps planes out", written(1, 0xFF), 0x35FF35FF);
    vga_set(VGA_SEQUENCER, 2, 0x0F);
    graphics(ROTATE, 0x03);
    same("rotated right", written(2, 0x35), 0xA6A6A6A6);
    graphics(ROTATE, 0x00);
    graphics(BIT_MASK, 0x0F);
    same("the bit mask lets the latches through", written(2, 0x33), 0xC3A353F3);
    graphics(BIT_MASK, 0xFF);
    graphics(ROTATE, 0x08);
    same("AND with the latches", written(3, 0x3C), 0x0C281430);
    graphics(ROTATE, 0x10);
    same("OR", written(3, 0x3C), 0xFCBE7DFC);
    graphics(ROTATE, 0x18);
    same("XOR", written(3, 0x3C), 0xF09669CC);
    graphics(BIT_MASK, 0xF0);
    same("XOR under a mask", written(3, 0x3C), 0xFC9A65C0);
    graphics(ROTATE, 0x00);
    graphics(BIT_MASK, 0xFF);
    graphics(SET_RESET, 0x06);
    graphics(ENABLE_SET_RESET, 0x03);
    same("set/reset in the planes that it is enabled for", written(4, 0x81), 0x8181FF00);
    graphics(ENABLE_SET_RESET, 0x00);

    graphics(MODE, 1);
    same("write mode 1: the latches", written(5, 0x12), 0xCCAA55F0);
    graphics(MODE, 2);
    same("write mode 2: a colour", written(6, 0x0A), 0xFF00FF00);
    graphics(BIT_MASK, 0x18);
    same("write mode 2 under a mask", written(6, 0x05), 0xC4BA45F8);
    graphics(MODE, 3);
    graphics(BIT_MASK, 0x3C);
    same("write mode 3: the byte is a mask too", written(7, 0xF0), 0xCCBA75C0);
    vga_planar();
    fill(8, 0);
    *(volatile u32 *)(vga_window + 8) = 0x44332211;
    same("a dword is four addresses", planes(9) << 16 | (planes(11) & 0xFFFF), 0x22224444);
    fill(0x203, 0xCCAA55F0);
    (void)*(volatile u32 *)(vga_window + 0x200);
    graphics(MODE, 1);
    vga_window[12] = 0;
    same("after a dword's load the latches hold its last byte", planes(12), 0xCCAA55F0);
}

static void reading(void) {
    vga_planar();
    fill(0x20, 0xFF00F0CC);
    graphics(MODE, 0x08);
    graphics(DONT_CARE, 0x0F);
    graphics(COLOR_COMPARE, 0x0B);
    same("read mode 1: where the colour is 11", vga_window[0x20], 0xC0);
    graphics(DONT_CARE, 0x03);
    graphics(COLOR_COMPARE, 0x01);
    same("read mode 1: in two planes", vga_window[0x20], 0x0C);
    graphics(DONT_CARE, 0x00);
    same("read mode 1: in none, all match", vga_window[0x20], 0xFF);
}

static void drawing(void) {
    vga_planar();
    for (u32 at = 0; at < 0x2000; at++) vga_window[at] = 0;
    graphics(MODE, 2);
    u32 random = 1;
    for (u32 i = 0; i < 4000; i++) {
        random = random * 1103515245 + 12345;
        u32 at = random >> 8 & 0x1FFF;
        graphics(BIT_MASK, 0x80 >> (random >> 21 & 7));
        graphics(ROTATE, random >> 24 & 0x18);
        (void)vga_window[at];
        vga_window[at] = random >> 27;
    }
    vga_planar();
    print("# pixels: %x\n", checksum());

    for (u32 at = 0; at < 0x2000; at++) vga_window[at] = 0;
    for (u32 i = 0; i < 8000; i++) { /* unchained: a plane for every fourth pixel */
        vga_set(VGA_SEQUENCER, 2, 1 << (i & 3));
        vga_window[i * 7 & 0x1FFF] = i * 31 >> 3;
    }
    vga_planar();
    print("# unchained: %x\n", checksum());
}

static void text(void) {
    volatile u16 *cells = (u16 *)0xB8000;
    vga_set(VGA_SEQUENCER, 2, 0x03);
    vga_set(VGA_SEQUENCER, 4, 0x02);
    graphics(READ_MAP, 0);
    graphics(MODE, 0x10);
    graphics(MISC, 0x0E);
    for (u32 i = 0; i < 2000; i++) cells[i] = i * 257;
    same("nobody is at 0xA0000 in a text mode", vga_window[0], 0xFF);

    vga_set(VGA_SEQUENCER, 2, 0x04);
    vga_set(VGA_SEQUENCER, 4, 0x07);
    graphics(READ_MAP, 2);
    graphics(MODE, 0x00);
    graphics(MISC, 0x04);
    u8 kept = vga_window[32 * 'A' + 5];
    vga_window[32 * 'A' + 5] = 0x5A;
    same("a font's byte", vga_window[32 * 'A' + 5], 0x5A);
    vga_window[32 * 'A' + 5] = kept;

    vga_set(VGA_SEQUENCER, 2, 0x03);
    vga_set(VGA_SEQUENCER, 4, 0x02);
    graphics(READ_MAP, 0);
    graphics(MODE, 0x10);
    graphics(MISC, 0x0E);
    bool same_text = true;
    for (u32 i = 0; i < 2000; i++) same_text &= cells[i] == (u16)(i * 257);
    check("the text is still there after the font", same_text);
}

static void chained(void) {
    vga_set(VGA_SEQUENCER, 2, 0x0F);
    vga_set(VGA_SEQUENCER, 4, 0x0E);
    graphics(MODE, 0x40);
    graphics(MISC, 0x05);
    for (u32 i = 0; i < 64000; i++) vga_window[i] = i * 7 >> 2;
    bool holds = true;
    for (u32 i = 0; i < 64000; i++) holds &= vga_window[i] == (u8)(i * 7 >> 2);
    check("320 by 200 pixels of a byte", holds);
    same("a dword of them", *(volatile u32 *)(vga_window + 0x1000), 0x05030100);
}

int main(void) {
    title("VGA planes");
    writing();
    reading();
    drawing();
    chained();
    text();
    return 0;
}
