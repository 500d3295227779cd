/* The VGA's indexed registers, and the window into its memory. */
#pragma once
#include "cpu.h"

enum { VGA_SEQUENCER = 0x3C4, VGA_GRAPHICS = 0x3CE, VGA_CRTC = 0x3D4, VGA_ATTRIBUTE = 0x3C0, VGA_STATUS = 0x3DA };
static volatile u8 *const vga_window = (u8 *)0xA0000;

static inline void vga_set(u16 port, u8 index, u8 value) { outw(port, value << 8 | index); }
static inline u8 vga_get(u16 port, u8 index) {
    outb(port, index);
    return inb(port + 1);
}

/* Sixteen colours in four planes at 0xA0000, nothing done to bytes on their way. */
static inline void vga_planar(void) {
    vga_set(VGA_SEQUENCER, 2, 0x0F);
    vga_set(VGA_SEQUENCER, 4, 0x06);
    static const u8 graphics[] = {0, 0, 0, 0, 0, 0, 0x05, 0x0F, 0xFF};
    for (u32 i = 0; i < sizeof graphics; i++) vga_set(VGA_GRAPHICS, i, graphics[i]);
}
