/* The graphics card's own modes: the Bochs VBE registers, the linear framebuffer, and the window's banks.

   Not asked for: 16 colours, where QEMU's card goes by another map mask than the one that is programmed. */
#include "test.h"
#include "vga.h"

enum { ID, XRES, YRES, BPP, ENABLE, BANK, VIRT_WIDTH, VIRT_HEIGHT, X_OFFSET, Y_OFFSET, VIDEO_MEMORY };
enum { ENABLED = 0x01, LIMITS = 0x02, LINEAR = 0x40, KEEP = 0x80 };
enum { CONFIG_ADDRESS = 0xCF8, CONFIG_DATA = 0xCFC };

static u16 get(u16 index) {
    outw(0x1CE, index);
    return inw(0x1CF);
}

static void set(u16 index, u16 value) {
    outw(0x1CE, index);
    outw(0x1CF, value);
}

static void enter(u16 width, u16 height, u16 depth, u16 flags) {
    set(ENABLE, 0);
    set(XRES, width);
    set(YRES, height);
    set(BPP, depth);
    set(ENABLE, ENABLED | flags);
}

/* The card is the only device of class 0x0300 on bus 0. */
static u32 config(u32 device, u32 offset) {
    outl(CONFIG_ADDRESS, 0x80000000u | device << 11 | offset);
    return inl(CONFIG_DATA);
}

static u32 base_address(u32 offset) {
    for (u32 device = 0; device < 32; device++)
        if (config(device, 8) >> 16 == 0x0300) return config(device, offset) & ~0xFu;
    return 0;
}

static void registers(void) {
    same("version", get(ID), 0xB0C5);
    same("16 MiB of video memory", get(VIDEO_MEMORY), 256);
    set(ENABLE, LIMITS);
    same("widest", get(XRES), 16000);
    same("highest", get(YRES), 12000);
    same("deepest", get(BPP), 32);
    enter(643, 400, 7, LINEAR);
    same("a width is a multiple of 8", get(XRES), 640);
    same("an unknown depth is 8", get(BPP), 8);
    same("lines of the screen's width", get(VIRT_WIDTH), 640);
    same("as many as fit", get(VIRT_HEIGHT), 26214);
    set(VIRT_WIDTH, 1024);
    set(X_OFFSET, 33);
    set(Y_OFFSET, 5);
    same("longer lines", get(VIRT_WIDTH), 1024);
    same("and fewer", get(VIRT_HEIGHT), 16384);
    same("the screen's left edge", get(X_OFFSET), 33);
    same("and its top", get(Y_OFFSET), 5);
    set(BANK, 0x1FF);
    same("banks wrap", get(BANK), 0xFF);
    set(ENABLE, ENABLED | LINEAR);
    same("enabling again forgets the bank's offset, not the screen's", get(X_OFFSET), 33);
    enter(640, 400, 8, LINEAR);
    same("a new mode forgets the screen's", get(X_OFFSET), 0);
}

static void framebuffer(void) {
    volatile u32 *pixels = (u32 *)base_address(0x10);
    same("the framebuffer is aligned to its size", (u32)pixels & 0xFFFFFF, 0);
    enter(1024, 768, 32, LINEAR);
    bool clear = true;
    for (u32 i = 0; i < 1024 * 768; i++) clear &= pixels[i] == 0;
    check("a new mode is clear", clear);
    for (u32 i = 0; i < 1024 * 768; i++) pixels[i] = i * 2654435761u;
    bool holds = true;
    for (u32 i = 0; i < 1024 * 768; i++) holds &= pixels[i] == i * 2654435761u;
    check("1024 by 768 pixels of 32 bits", holds);
    pixels[0x3FFFFF] = 0x12345678;
    same("the last of 16 MiB", pixels[0x3FFFFF], 0x12345678);
    enter(640, 480, 32, LINEAR | KEEP);
    same("memory kept", pixels[5], 5 * 2654435761u);
    enter(640, 480, 32, LINEAR);
    same("memory cleared", pixels[5], 0);
    same("as far as the new screen reaches", pixels[640 * 480], 640 * 480 * 2654435761u);
}

static void banks(void) {
    volatile u8 *memory = (u8 *)base_address(0x10);
    enter(640, 480, 8, 0);
    set(BANK, 3);
    vga_window[0x1234] = 0x5A;
    *(volatile u32 *)(vga_window + 0xFFFC) = 0xCAFEF00D;
    same("the window shows a bank", memory[0x31234], 0x5A);
    same("to its end", *(volatile u32 *)(memory + 0x3FFFC), 0xCAFEF00D);
    memory[0x40000] = 0x77;
    set(BANK, 4);
    same("the next bank", vga_window[0], 0x77);
    set(BANK, 3);
    same("and back", vga_window[0x1234], 0x5A);
    enter(640, 480, 8, LINEAR);
    set(BANK, 2);
    vga_window[7] = 0x42;
    same("the window stays beside a linear framebuffer", memory[0x20007], 0x42);
}

int main(void) {
    title("VGA framebuffer");
    registers();
    framebuffer();
    banks();
    set(ENABLE, 0);
    return 0;
}
