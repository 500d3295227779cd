/* The floppy controller with a 1.44 MiB disk in drive A: reset, seeks, reading and writing by DMA channel 2.

   Dword i of sector n is n * 1000 + i.

   Source: Intel 82077AA data sheet, "Command set/descriptions"; Intel 8237A data sheet, "Register description". */
#include "pic.h"
#include "trap.h"

enum { DOR = 0x3F2, MSR = 0x3F4, FIFO = 0x3F5, DIR = 0x3F7, CCR = 0x3F7, IRQ_FLOPPY = 6 };
enum { RQM = 0x80, DIO = 0x40, BUSY = 0x10 };
enum { SPECIFY = 3, SENSE_DRIVE = 4, WRITE = 0xC5, READ = 0xC6, RECALIBRATE = 7, SENSE = 8, READ_ID = 0x4A, SEEK = 15,
       VERSION = 16, CONFIGURE = 19, LOCK = 0x94 };
enum { TO_MEMORY = 0x46, FROM_MEMORY = 0x4A };

static u8 buffer[16384] __attribute__((aligned(16384)));
static u8 result[16];
static volatile u32 interrupts;

static void on_floppy(struct trap *trap) {
    (void)trap;
    interrupts++;
    end_of_interrupt(IRQ_FLOPPY);
}

static void wait_for_interrupt(void) {
    while (!interrupts) sleep_until_interrupt();
}

static void put(u8 value) {
    while ((inb(MSR) & (RQM | DIO)) != RQM) {}
    outb(FIFO, value);
}

static void send(const u8 *command, u32 count) {
    interrupts = 0;
    for (u32 i = 0; i < count; i++) put(command[i]);
}
#define SEND(...) send((u8[]){__VA_ARGS__}, sizeof(u8[]){__VA_ARGS__})

/* The result phase; how many bytes it had. */
static u32 results(void) {
    u32 count = 0;
    while (!(inb(MSR) & RQM)) {}
    while ((inb(MSR) & (RQM | DIO | BUSY)) == (RQM | DIO | BUSY)) {
        result[count++ & 15] = inb(FIFO);
        while (!(inb(MSR) & RQM)) {}
    }
    return count;
}

static void dma(u8 mode, u32 count) {
    u32 at = (u32)buffer;
    outb(0x0A, 6);
    outb(0x0C, 0);
    outb(0x0B, mode);
    outb(0x04, at);
    outb(0x04, at >> 8);
    outb(0x81, at >> 16);
    outb(0x05, count - 1);
    outb(0x05, (count - 1) >> 8);
    outb(0x0A, 2);
}

static bool holds(u32 lba, u32 count, u32 change) {
    u32 *dwords = (u32 *)buffer;
    for (u32 i = 0; i < count * 128; i++)
        if (dwords[i] != (lba + i / 128) * 1000 + i % 128 + change) return false;
    return true;
}

static void head_to(u8 cylinder) {
    SEND(SEEK, 0, cylinder);
    wait_for_interrupt();
    SEND(SENSE);
    (void)results();
}

static void reset(void) {
    outb(DOR, 0x18);
    outb(DOR, 0x1C);
    wait_for_interrupt();
    same("out of reset it wants a command", inb(MSR) & 0xD0, RQM);
    for (u32 i = 0; i < 4; i++) {
        SEND(SENSE);
        same("an answer of two bytes", results(), 2);
        same("for each drive", result[0], 0xC0 | i);
    }
    SEND(SENSE);
    same("then there is nothing to sense", results(), 1);
    same("so the command is invalid", result[0], 0x80);
    SEND(SPECIFY, 0xDF, 0x02);
    outb(CCR, 0);
    SEND(VERSION);
    same("the version is one byte", results(), 1);
    same("an 82077AA", result[0], 0x90);
    same("DOR reads back", inb(DOR), 0x1C);
}

static void seeking(void) {
    SEND(SEEK, 0, 30);
    wait_for_interrupt();
    SEND(SENSE);
    same("a seek ends with two bytes", results(), 2);
    same("seek end", result[0], 0x20);
    same("at the cylinder", result[1], 30);
    same("the disk has not been changed since", inb(DIR) & 0x80, 0);
    SEND(SENSE_DRIVE, 0);
    same("one byte of drive status", results(), 1);
    same("not at track 0", result[0] & 0x10, 0);
    SEND(RECALIBRATE, 0);
    wait_for_interrupt();
    SEND(SENSE);
    same("recalibrate ends with two bytes", results(), 2);
    same("seek end", result[0], 0x20);
    same("at track 0", result[1], 0);
    SEND(SENSE_DRIVE, 0);
    (void)results();
    same("the drive says so", result[0] & 0x10, 0x10);
}

static void reading(void) {
    dma(TO_MEMORY, 512);
    SEND(READ, 0, 0, 0, 1, 2, 18, 27, 0xFF);
    wait_for_interrupt();
    same("seven bytes of result", results(), 7);
    same("it ended well", result[0] << 16 | result[1] << 8 | result[2], 0);
    check("the first sector", holds(0, 1, 0));

    head_to(40);
    memset(buffer, 0, sizeof buffer);
    dma(TO_MEMORY, 5 * 512);
    SEND(READ, 0, 40, 0, 16, 2, 18, 27, 0xFF);
    wait_for_interrupt();
    same("seven bytes of result", results(), 7);
    same("from head 0 on to head 1", result[0] & 0xC4, 0x04);
    check("three sectors of one side and two of the other", holds(40 * 36 + 15, 5, 0));
    check("no more than the DMA controller counted", buffer[5 * 512] == 0);
    outb(0x0C, 0);
    u32 left = inb(0x05);
    left |= inb(0x05) << 8;
    same("its count is through", left, 0xFFFF);
    same("its terminal count is told", inb(0x08) & 4, 4);

    SEND(READ_ID, 0);
    wait_for_interrupt();
    same("an ID is seven bytes", results(), 7);
    same("without an error", result[0] & 0xC0, 0);
    same("of sectors of 512 bytes", result[6], 2);
}

static void writing(void) {
    u32 *dwords = (u32 *)buffer;
    for (u32 i = 0; i < 256; i++) dwords[i] = (40 * 36 + 3 + i / 128) * 1000 + i % 128 + 7;
    dma(FROM_MEMORY, 1024);
    SEND(WRITE, 0, 40, 0, 4, 2, 18, 27, 0xFF);
    wait_for_interrupt();
    same("seven bytes of result", results(), 7);
    same("it ended well", result[0] & 0xC0, 0);
    memset(buffer, 0, sizeof buffer);
    dma(TO_MEMORY, 1024);
    SEND(READ, 0, 40, 0, 4, 2, 18, 27, 0xFF);
    wait_for_interrupt();
    (void)results();
    check("what was written is there", holds(40 * 36 + 3, 2, 7));
}

static void errors(void) {
    dma(TO_MEMORY, 512);
    SEND(READ, 0, 40, 0, 19, 2, 18, 27, 0xFF);
    wait_for_interrupt();
    same("a sector that no track has: seven bytes", results(), 7);
    same("it ended abnormally", result[0] & 0xC0, 0x40);
    SEND(0x1F);
    same("a command that does not exist: one byte", results(), 1);
    same("it is invalid", result[0], 0x80);
    SEND(CONFIGURE, 0, 0x57, 0);
    SEND(LOCK);
    same("a lock is one byte", results(), 1);
    same("it is locked", result[0], 0x10);
    SEND(LOCK & 0x7F);
    (void)results();
    same("and unlocked", result[0], 0);
}

int main(void) {
    title("floppy");
    set_up_pics();
    on_trap(IRQ_VECTOR + IRQ_FLOPPY, on_floppy);
    same("firmware has taken it out of reset, DMA and interrupts on, motors off", inb(DOR) & 0xFC, 0x0C);
    same("and it is ready", inb(MSR), RQM);
    mask_irqs_except(1 << IRQ_FLOPPY);
    reset();
    seeking();
    reading();
    writing();
    errors();
    outb(DOR, 0x0C);
    return 0;
}
