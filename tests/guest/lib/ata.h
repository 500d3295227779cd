/* What a driver of an ATA channel needs, whatever drive is there: its status, its interrupts, its data port.
   Source: ATA/ATAPI-6 (T13 1410D), "Register definitions and descriptions", "Host and device protocols". */
#pragma once
#include "pic.h"

/* Status and alternate status; error; device control. */
enum { BSY = 0x80, DRDY = 0x40, DRQ = 0x08, ERR = 0x01, ABRT = 0x04, SRST = 0x04 };

/* How many interrupts have come since the last command, and the status that the last of them found. */
static volatile u32 interrupts, status_seen;

/* Reading the status is what takes the interrupt back. */
static inline void ata_interrupted(u16 status, u8 irq) {
    interrupts++;
    status_seen = inb(status);
    end_of_interrupt(irq);
}

static inline void wait_for_interrupts(u32 count) {
    while (interrupts < count) sleep_until_interrupt();
}

/* The status when the drive is not busy any more. */
static inline u8 ata_settled(u16 control, u16 status) {
    while (inb(control) & BSY) {}
    return inb(status);
}

static inline void insw(u16 port, void *to, u32 words) {
    asm volatile("rep insw" : "+D"(to), "+c"(words) : "d"(port) : "memory");
}

static inline void insd(u16 port, void *to, u32 dwords) {
    asm volatile("rep insd" : "+D"(to), "+c"(dwords) : "d"(port) : "memory");
}

static inline void outsw(u16 port, const void *from, u32 words) {
    asm volatile("rep outsw" : "+S"(from), "+c"(words) : "d"(port) : "memory");
}
