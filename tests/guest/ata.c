/* An ATA disk on the primary channel: PIO, errors, resets, interrupts, and the PIIX's bus master.

   The disk has 3000 sectors; dword i of sector n is n * 1000 + i.  It is alone on its channel.

   Source: ATA/ATAPI-6 (T13 1410D), "Host and device protocols"; "Programming Interface for Bus Master IDE Controller". */
#include "ata.h"
#include "trap.h"

enum { DATA = 0x1F0, ERROR, COUNT, LOW, MID, HIGH, DEVICE, COMMAND, STATUS = COMMAND, CONTROL = 0x3F6, IRQ_ATA = 14 };
enum { IDNF = 0x10, NIEN = 0x02, HOB = 0x80 };
enum { READ = 0x20, READ_EXT = 0x24, READ_MULTIPLE = 0xC4, WRITE = 0x30, WRITE_MULTIPLE = 0xC5, SET_MULTIPLE = 0xC6,
       READ_DMA = 0xC8, WRITE_DMA = 0xCA, VERIFY = 0x40, FLUSH = 0xE7, IDENTIFY = 0xEC, RECALIBRATE = 0x10,
       SET_GEOMETRY = 0x91, NATIVE_MAX = 0xF8, SET_FEATURES = 0xEF, CHECK_POWER = 0xE5, DIAGNOSTIC = 0x90 };
enum { SECTORS = 3000, WORDS = 256, LBA = 0xE0, CHS = 0xA0 };
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4, BM_START = 1, BM_READ = 8, BM_ACTIVE = 1, BM_ERROR = 2, BM_IRQ = 4 };

static u32 buffer[128 * 16] __attribute__((aligned(4096)));
static u16 bus_master;

static void on_disk(struct trap *trap) {
    (void)trap;
    ata_interrupted(STATUS, IRQ_ATA);
}

static void command(u8 number, u32 lba, u8 count, u8 device) {
    interrupts = 0;
    outb(DEVICE, device | (device & 0x40 ? lba >> 24 & 15 : 0));
    outb(COUNT, count);
    outb(LOW, lba);
    outb(MID, lba >> 8);
    outb(HIGH, lba >> 16);
    outb(COMMAND, number);
}

static u8 settle(void) {
    return ata_settled(CONTROL, STATUS);
}

/* Whether `count` sectors in the buffer are those from `lba` on, plus `change` in each dword. */
static bool holds(u32 lba, u32 count, u32 change) {
    for (u32 i = 0; i < count * 128; i++)
        if (buffer[i] != (lba + i / 128) * 1000 + i % 128 + change) return false;
    return true;
}

static void fill(u32 lba, u32 count, u32 change) {
    for (u32 i = 0; i < count * 128; i++) buffer[i] = (lba + i / 128) * 1000 + i % 128 + change;
}

static void who_is_there(void) {
    outb(DEVICE, 0xB0);
    same("there is no drive 1: its status is 0", inb(STATUS), 0);
    outb(DEVICE, 0xA0);
    same("drive 0 is ready", settle() & (BSY | DRDY | DRQ | ERR), DRDY);
    outb(COUNT, 0x55);
    outb(LOW, 0xAA);
    same("the sector count reads back", inb(COUNT), 0x55);
    same("LBA low reads back", inb(LOW), 0xAA);

    outb(CONTROL, SRST | NIEN);
    for (u32 i = 0; i < 10; i++) (void)inb(CONTROL);
    outb(CONTROL, 0);
    timer_once(2400); /* the standard has a host wait for 2 ms before it looks */
    wait_for_timer_request();
    same("after a reset it is ready", settle() & (BSY | DRDY | DRQ | ERR), DRDY);
    same("with the signature: sector count", inb(COUNT), 1);
    same("LBA low", inb(LOW), 1);
    same("LBA mid and high of a disk", inb(MID) | inb(HIGH) << 8, 0);
    same("drive 0 is selected", inb(DEVICE) & 0x10, 0);
    same("its test passed", inb(ERROR), 1);
}

static void identify(void) {
    command(IDENTIFY, 0, 0, CHS);
    wait_for_interrupts(1);
    same("IDENTIFY interrupts with data", status_seen & (BSY | DRDY | DRQ | ERR), DRDY | DRQ);
    insw(DATA, buffer, WORDS);
    same("its end does not interrupt", interrupts, 1);
    same("no data are left", settle() & DRQ, 0);
    u16 *words = (u16 *)buffer;
    same("cylinders", words[1], 2);
    same("heads", words[3], 16);
    same("sectors", words[6], 63);
    same("sectors for 28 bits", words[60] | words[61] << 16, SECTORS);
    same("sectors for 48 bits", words[100] | words[101] << 16, SECTORS);
    same("LBA and DMA", words[49] & 0x300, 0x300);
    same("LBA48 and both flushes", words[83] & 0xF400, 0x7400);
    same("Ultra DMA modes 0 to 5", words[88] & 0xFF, 0x3F);
    same("at most 16 sectors a block", words[47] & 0xFF, 16);
}

static void reading(void) {
    command(READ, 1, 1, LBA);
    wait_for_interrupts(1);
    insw(DATA, buffer, WORDS);
    check("a sector", holds(1, 1, 0));

    command(READ, 2000, 3, LBA);
    for (u32 i = 0; i < 3; i++) {
        wait_for_interrupts(i + 1);
        insd(DATA, buffer + 128 * i, 128);
    }
    check("three sectors", holds(2000, 3, 0));
    same("with an interrupt each", interrupts, 3);
    same("then the drive is ready", settle() & (BSY | DRDY | DRQ | ERR), DRDY);

    command(SET_MULTIPLE, 0, 4, LBA);
    wait_for_interrupts(1);
    command(READ_MULTIPLE, 70, 10, LBA);
    for (u32 i = 0; i < 3; i++) {
        wait_for_interrupts(i + 1);
        insw(DATA, buffer + 512 * i, i < 2 ? 4 * WORDS : 2 * WORDS);
    }
    check("ten sectors in blocks of four", holds(70, 10, 0));
    same("with an interrupt a block", interrupts, 3);

    command(READ, 1 | 1 << 8, 1, CHS | 2); /* cylinder 1, head 2, sector 1 */
    wait_for_interrupts(1);
    insw(DATA, buffer, WORDS);
    check("a sector by cylinder, head and sector", holds((1 * 16 + 2) * 63, 1, 0));

    interrupts = 0;
    outb(DEVICE, LBA);
    for (u32 i = 0; i < 2; i++) { /* the high halves first */
        outb(COUNT, i);
        outb(LOW, i ? 2999 & 0xFF : 0);
        outb(MID, i ? 2999 >> 8 : 0);
        outb(HIGH, 0);
    }
    outb(CONTROL, HOB);
    same("HOB shows the high half of the count", inb(COUNT), 0);
    outb(COMMAND, READ_EXT);
    wait_for_interrupts(1);
    insw(DATA, buffer, WORDS);
    check("the last sector, by 48 bits", holds(2999, 1, 0));
}

static void writing(void) {
    fill(100, 2, 7);
    command(WRITE, 100, 2, LBA);
    same("writing wants its data without an interrupt", settle() & (BSY | DRQ | ERR), DRQ);
    outsw(DATA, buffer, WORDS);
    wait_for_interrupts(1);
    same("the second sector is wanted with one", status_seen & (BSY | DRQ | ERR), DRQ);
    outsw(DATA, buffer + 128, WORDS);
    wait_for_interrupts(2);
    same("the end interrupts", status_seen & (BSY | DRDY | DRQ | ERR), DRDY);
    memset(buffer, 0, sizeof buffer);
    command(READ_MULTIPLE, 100, 2, LBA);
    wait_for_interrupts(1);
    insw(DATA, buffer, 2 * WORDS);
    check("what was written is there", holds(100, 2, 7));

    fill(200, 6, 9);
    command(WRITE_MULTIPLE, 200, 6, LBA);
    (void)settle();
    outsw(DATA, buffer, 4 * WORDS);
    wait_for_interrupts(1);
    outsw(DATA, buffer + 512, 2 * WORDS);
    wait_for_interrupts(2);
    command(FLUSH, 0, 0, LBA);
    wait_for_interrupts(1);
    same("a flush ends well", status_seen & (BSY | DRDY | DRQ | ERR), DRDY);
    for (u32 i = 0; i < 7; i++) {
        command(READ, 199 + i, 1, LBA);
        wait_for_interrupts(1);
        insw(DATA, buffer + 128 * i, WORDS);
    }
    check("the sector before is as it was", buffer[0] == 199000 && buffer[127] == 199127);
    check("blocks of four were written", buffer[128] == 200009 && buffer[128 * 6 + 127] == 205136);
}

static void others(void) {
    command(VERIFY, 2990, 10, LBA);
    wait_for_interrupts(1);
    same("sectors that exist verify", status_seen & (DRQ | ERR), 0);
    command(RECALIBRATE, 0, 0, CHS);
    wait_for_interrupts(1);
    same("recalibrate", status_seen & (DRQ | ERR), 0);
    command(NATIVE_MAX, 0, 0, LBA);
    wait_for_interrupts(1);
    same("the last address", inb(LOW) | inb(MID) << 8 | inb(HIGH) << 16, SECTORS - 1);
    command(CHECK_POWER, 0, 0, CHS);
    wait_for_interrupts(1);
    same("the drive is awake", inb(COUNT), 0xFF);
    outb(ERROR, 0x03); /* features: set transfer mode */
    command(SET_FEATURES, 0, 0x42, CHS);
    wait_for_interrupts(1);
    same("Ultra DMA mode 2 is accepted", status_seen & ERR, 0);
    outb(DEVICE, 0xA3);
    command(SET_GEOMETRY, 0, 17, CHS | 3);
    wait_for_interrupts(1);
    same("a geometry of 4 heads and 17 sectors", status_seen & ERR, 0);
    command(READ, 2 | 5 << 8, 1, CHS | 3);
    wait_for_interrupts(1);
    insw(DATA, buffer, WORDS);
    check("counts so from then on", holds((5 * 4 + 3) * 17 + 1, 1, 0));
    command(DIAGNOSTIC, 0x1234, 1, LBA);
    wait_for_interrupts(1);
    same("the diagnostic passes", inb(ERROR), 1);
    same("and leaves the signature", inb(COUNT) | inb(LOW) << 8 | inb(MID) << 16 | inb(HIGH) << 24, 0x0101);
}

static void errors(void) {
    command(READ, SECTORS, 1, LBA);
    wait_for_interrupts(1);
    same("a sector behind the end is an error without data", status_seen & (BSY | DRQ | ERR), ERR);
    check("not found or aborted", inb(ERROR) & (IDNF | ABRT));
    command(0xFF, 0, 0, LBA);
    wait_for_interrupts(1);
    same("an unknown command is an error", status_seen & (BSY | DRDY | DRQ | ERR), DRDY | ERR);
    same("it aborts", inb(ERROR), ABRT);
    command(SET_MULTIPLE, 0, 3, LBA);
    wait_for_interrupts(1);
    same("blocks of three sectors abort", inb(ERROR), ABRT);
    command(RECALIBRATE, 0, 0, CHS);
    wait_for_interrupts(1);
    same("a good command clears the error", inb(STATUS) & ERR, 0);

    outb(CONTROL, NIEN);
    command(READ, 5, 1, LBA);
    same("without interrupts: data by asking", settle() & (DRQ | ERR), DRQ);
    insw(DATA, buffer, WORDS);
    check("they are right", holds(5, 1, 0));
    (void)inb(STATUS);
    sti();
    asm volatile("nop");
    cli();
    same("nothing interrupted", interrupts, 0);
    outb(CONTROL, 0);
}

static u32 pci(u8 offset) {
    outl(0xCF8, 0x80000900 | offset);
    return inl(0xCFC);
}

static void direct_memory(void) {
    same("the PIIX's ATA controller", pci(0x00), 0x70108086);
    same("its class: ATA with a bus master", pci(0x08) >> 8, 0x010180);
    bus_master = pci(0x20) & 0xFFF0;
    outl(0xCF8, 0x80000904);
    outw(0xCFC, inw(0xCFC) | 5); /* ports, bus master */

    static u32 table[4] __attribute__((aligned(16)));
    table[0] = (u32)buffer + 1024;
    table[1] = 512 + 100;
    table[2] = (u32)buffer + 2048;
    table[3] = 0x80000000 | (1024 - 100);
    memset(buffer, 0xEE, sizeof buffer);
    outb(bus_master + BM_COMMAND, BM_READ);
    outb(bus_master + BM_STATUS, BM_ERROR | BM_IRQ);
    outl(bus_master + BM_TABLE, (u32)table);
    same("the table's address reads back", inl(bus_master + BM_TABLE), (u32)table);
    command(READ_DMA, 1234, 3, LBA);
    outb(bus_master + BM_COMMAND, BM_READ | BM_START);
    wait_for_interrupts(1);
    same("the drive is ready", status_seen & (BSY | DRDY | DRQ | ERR), DRDY);
    same("the bus master says so: all regions used", inb(bus_master + BM_STATUS) & 7, BM_IRQ);
    outb(bus_master + BM_COMMAND, BM_READ);
    outb(bus_master + BM_STATUS, BM_ERROR | BM_IRQ);
    same("its interrupt is cleared", inb(bus_master + BM_STATUS) & 7, 0);
    check("nothing before the first region", buffer[255] == 0xEEEEEEEE);
    memcpy(buffer, buffer + 256, 612);
    memcpy((u8 *)buffer + 612, buffer + 512, 924);
    check("the sectors lie in two regions", holds(1234, 3, 0));

    fill(300, 2, 3);
    table[0] = (u32)buffer;
    table[1] = 0x80000000 | 2048; /* too large */
    outb(bus_master + BM_COMMAND, 0);
    command(WRITE_DMA, 300, 2, LBA);
    outb(bus_master + BM_COMMAND, BM_START);
    wait_for_interrupts(1);
    same("with regions to spare it stays active", inb(bus_master + BM_STATUS) & 7, BM_ACTIVE | BM_IRQ);
    outb(bus_master + BM_COMMAND, 0);
    same("until it is stopped", inb(bus_master + BM_STATUS) & 7, BM_IRQ);
    memset(buffer, 0, sizeof buffer);
    for (u32 i = 0; i < 2; i++) {
        command(READ, 300 + i, 1, LBA);
        wait_for_interrupts(1);
        insw(DATA, buffer + 128 * i, WORDS);
    }
    check("the sectors were written", holds(300, 2, 3));
}

int main(void) {
    title("ATA disk");
    set_up_pics();
    on_trap(IRQ_VECTOR + IRQ_ATA, on_disk);
    mask_irqs_except(1 << IRQ_ATA);
    who_is_there();
    identify();
    reading();
    writing();
    others();
    errors();
    direct_memory();
    return 0;
}
