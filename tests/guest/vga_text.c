/* VGA text mode: 80 by 25 cells at 0xB8000, and the cursor in the CRT controller. */
#include "test.h"

enum { COLUMNS = 80, ROWS = 25, CRTC_INDEX = 0x3D4, CRTC_DATA = 0x3D5, CURSOR_HIGH = 0x0E, CURSOR_LOW = 0x0F };
static volatile u16 *const cells = (u16 *)0xB8000;

static u8 get(u8 index) {
    outb(CRTC_INDEX, index);
    return inb(CRTC_DATA);
}

static void set(u8 index, u8 value) {
    outb(CRTC_INDEX, index);
    outb(CRTC_DATA, value);
}

int main(void) {
    title("VGA text");
    for (u32 i = 0; i < COLUMNS * ROWS; i++) cells[i] = 0x0720;
    for (u32 row = 0; row < ROWS; row++) cells[row * COLUMNS + row] = 0x1F00 | ('A' + row);
    same("cells read back", cells[24 * COLUMNS + 24], 0x1F00 | 'Y');
    const volatile u8 *bytes = (const volatile u8 *)cells;
    same("bytes of a cell: character, then colour", bytes[0] << 8 | bytes[1], 'A' << 8 | 0x1F);
    ((volatile u8 *)cells)[3] = 0x4E;
    same("a byte's store leaves its neighbour", cells[1], 0x4E20);
    memcpy((void *)cells, (const void *)(cells + COLUMNS), COLUMNS * (ROWS - 1) * 2);
    same("scrolled up one row", cells[23 * COLUMNS + 24], 0x1F00 | 'Y');
    *(volatile u32 *)(cells + 10) = 0x1F421F41;
    same("a dword is two cells", cells[10] << 16 | cells[11], 0x1F411F42u);

    set(CURSOR_HIGH, 0x05);
    set(CURSOR_LOW, 0xA3);
    same("the cursor's position reads back", get(CURSOR_HIGH) << 8 | get(CURSOR_LOW), 0x05A3);
    outw(CRTC_INDEX, 0x3C << 8 | CURSOR_LOW);
    same("index and data in one word", get(CURSOR_LOW), 0x3C);
    same("the index reads back", inb(CRTC_INDEX), CURSOR_LOW);
    set(0x0A, 0x20);
    same("cursor start, with the bit that hides it", get(0x0A), 0x20);
    set(0x0A, 0x0E);
    same("and shown again", get(0x0A), 0x0E);
    check("the miscellaneous register says colour addresses", inb(0x3CC) & 1);
    return 0;
}
