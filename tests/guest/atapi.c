/* A CD drive on the secondary channel: signature, packets by PIO and DMA, sense data.

   The disc has 400 sectors; dword i of sector n is n * 1000 + i.  The drive is alone on its channel.

   Source: ATA/ATAPI-6 (T13 1410D), "PACKET command protocol"; MMC-3 (T10 1363D), "Commands". */
#include "ata.h"
#include "trap.h"

enum { DATA = 0x170, FEATURES, REASON, LOW, MID, HIGH, DEVICE, COMMAND, ERROR = FEATURES, STATUS = COMMAND,
       CONTROL = 0x376, IRQ_CD = 15 };
enum { COD = 1, IO = 2 };
enum { PACKET = 0xA0, IDENTIFY_PACKET = 0xA1, IDENTIFY = 0xEC, READ_SECTORS = 0x20, DEVICE_RESET = 0x08 };
enum { TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, CAPACITY = 0x25, READ_10 = 0x28, READ_TOC = 0x43,
       READ_12 = 0xA8 };
enum { SECTORS = 400, BM_COMMAND = 8, BM_STATUS = 10, BM_TABLE = 12, BM_START = 1, BM_READ = 8, BM_IRQ = 4 };

static u8 buffer[16384] __attribute__((aligned(4096)));
static u8 last_reason;

static void on_cd(struct trap *trap) {
    (void)trap;
    ata_interrupted(STATUS, IRQ_CD);
}

static u8 settle(void) {
    return ata_settled(CONTROL, STATUS);
}

static void send_packet(const u8 packet[12], u16 limit, bool dma) {
    interrupts = 0;
    outb(DEVICE, 0xA0);
    outb(FEATURES, dma);
    outb(MID, limit);
    outb(HIGH, limit >> 8);
    outb(COMMAND, PACKET);
    (void)settle();
    last_reason = inb(REASON) & 7;
    for (u32 i = 0; i < 12; i += 2) outw(DATA, packet[i] | packet[i + 1] << 8);
}

/* Have a packet answered by PIO into the buffer; how many bytes came. */
static u32 ask(const u8 packet[12], u16 limit) {
    send_packet(packet, limit, false);
    u32 total = 0;
    for (u32 blocks = 1;; blocks++) {
        wait_for_interrupts(blocks);
        if (!(status_seen & DRQ)) return total;
        u32 count = inb(MID) | inb(HIGH) << 8;
        insw(DATA, buffer + total, (count + 1) / 2);
        total += count;
    }
}

static u32 big(const u8 *at) { return (u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static bool holds(u32 lba, u32 count) {
    u32 *dwords = (u32 *)buffer;
    for (u32 i = 0; i < count * 512; i++)
        if (dwords[i] != (lba + i / 512) * 1000 + i % 512) return false;
    return true;
}

static void the_cable(void) {
    outb(DEVICE, 0xA0); /* QEMU's reset does not select drive 0 */
    outb(CONTROL, SRST);
    for (u32 i = 0; i < 10; i++) (void)inb(CONTROL);
    outb(CONTROL, 0);
    timer_once(2400); /* the standard has a host wait for 2 ms before it looks */
    wait_for_timer_request();
    while (inb(CONTROL) & BSY) {}
    same("the signature of a packet device", inb(MID) | inb(HIGH) << 8, 0xEB14);
    same("sector count and number", inb(REASON) | inb(LOW) << 8, 0x0101);
    interrupts = 0;
    outb(DEVICE, 0xA0);
    outb(COMMAND, IDENTIFY);
    wait_for_interrupts(1);
    same("IDENTIFY DEVICE aborts", status_seen & (BSY | DRQ | ERR), ERR);
    same("with ABRT", inb(ERROR) & ABRT, ABRT);
    same("and leaves the signature", inb(MID) | inb(HIGH) << 8, 0xEB14);
    interrupts = 0;
    outb(COMMAND, IDENTIFY_PACKET);
    wait_for_interrupts(1);
    insw(DATA, buffer, 256);
    same("IDENTIFY PACKET DEVICE: a removable CD drive, packets of 12 bytes", *(u16 *)buffer & 0xDF83, 0x8580);
    outb(COMMAND, DEVICE_RESET);
    while (inb(CONTROL) & BSY) {}
    same("DEVICE RESET leaves the signature too", inb(MID) | inb(HIGH) << 8, 0xEB14);
}

static void the_disc(void) {
    (void)ask((u8[12]){TEST_UNIT_READY}, 0); /* whatever is pending */
    same("no data: one interrupt", interrupts, 1);
    (void)ask((u8[12]){TEST_UNIT_READY}, 0);
    same("the disc is ready", status_seen & (BSY | DRDY | DRQ | ERR), DRDY);
    same("the packet was asked for as a command", last_reason, COD);
    same("the end is told as a status", inb(REASON) & 7, IO | COD);

    same("the capacity has 8 bytes", ask((u8[12]){CAPACITY}, 0xFFFE), 8);
    same("the last sector", big(buffer), SECTORS - 1);
    same("the sectors' size", big(buffer + 4), 2048);
    same("the inquiry has as many bytes as asked for", ask((u8[12]){INQUIRY, 0, 0, 0, 36}, 0xFFFE), 36);
    same("a CD drive", buffer[0] & 0x1F, 5);
    same("removable", buffer[1], 0x80);

    same("three sectors", ask((u8[12]){READ_10, [5] = 17, [8] = 3}, 0xFFFE), 6144);
    check("are the right ones", holds(17, 3));
    same("in one block", interrupts, 2);
    same("three sectors", ask((u8[12]){READ_12, [5] = 200, [9] = 3}, 2048), 6144);
    check("are the right ones", holds(200, 3));
    same("in three blocks", interrupts, 4);
    same("the last sector", ask((u8[12]){READ_10, [4] = (SECTORS - 1) >> 8, [5] = (SECTORS - 1) & 0xFF, [8] = 1}, 2048),
         2048);
    check("is the right one", holds(SECTORS - 1, 1));

    same("the table of contents", ask((u8[12]){READ_TOC, [8] = 100}, 0xFFFE), 20);
    same("its length", buffer[0] << 8 | buffer[1], 18);
    same("first and last track", buffer[2] << 8 | buffer[3], 0x0101);
    same("track 1", buffer[6] << 24 | big(buffer + 8), 1 << 24);
    same("the lead-out", buffer[14], 0xAA);
    same("begins behind the last sector", big(buffer + 16), SECTORS);
    same("in minutes, seconds and frames", ask((u8[12]){READ_TOC, 2, [8] = 100}, 0xFFFE), 20);
    same("track 1 is at 00:02:00", big(buffer + 8), 0x000200);
    same("the sessions", ask((u8[12]){READ_TOC, [2] = 1, [8] = 12}, 0xFFFE), 12);
    same("first and last", buffer[2] << 8 | buffer[3], 0x0101);
}

static void errors(void) {
    same("a sector behind the end moves nothing", ask((u8[12]){READ_10, [4] = SECTORS >> 8, [5] = SECTORS & 0xFF, [8] = 1}, 2048),
         0);
    same("it is an error", status_seen & (BSY | DRQ | ERR), ERR);
    same("with the sense key in the error register", inb(ERROR) >> 4, 5);
    same("sense data", ask((u8[12]){REQUEST_SENSE, [4] = 18}, 0xFFFE), 18);
    same("illegal request", buffer[2], 5);
    same("out of range", buffer[12] << 8 | buffer[13], 0x2100);
    (void)ask((u8[12]){0xFF}, 0xFFFE);
    same("an unknown command", inb(ERROR) >> 4, 5);
    (void)ask((u8[12]){REQUEST_SENSE, [4] = 18}, 0xFFFE);
    same("is called so", buffer[12] << 8 | buffer[13], 0x2000);
}

static void direct_memory(void) {
    outl(0xCF8, 0x80000920);
    u16 bus_master = inl(0xCFC) & 0xFFF0;
    outl(0xCF8, 0x80000904);
    outw(0xCFC, inw(0xCFC) | 5);
    static u32 table[4] __attribute__((aligned(16)));
    table[0] = (u32)buffer;
    table[1] = 3000;
    table[2] = (u32)buffer + 3000;
    table[3] = 0x80000000 | (8192 - 3000);
    memset(buffer, 0xEE, sizeof buffer);
    outb(bus_master + BM_COMMAND, BM_READ);
    outb(bus_master + BM_STATUS, 6);
    outl(bus_master + BM_TABLE, (u32)table);
    send_packet((u8[12]){READ_10, [5] = 99, [8] = 4}, 0, true);
    outb(bus_master + BM_COMMAND, BM_READ | BM_START);
    wait_for_interrupts(1);
    same("by DMA the only interrupt is at the end", status_seen & (BSY | DRDY | DRQ | ERR), DRDY);
    same("the bus master says so", inb(bus_master + BM_STATUS) & 7, BM_IRQ);
    outb(bus_master + BM_COMMAND, 0);
    outb(bus_master + BM_STATUS, 6);
    check("the sectors are in memory", holds(99, 4));
    same("and nothing behind them", buffer[8192], 0xEE);
}

int main(void) {
    title("CD drive");
    set_up_pics();
    on_trap(IRQ_VECTOR + IRQ_CD, on_cd);
    mask_irqs_except(1 << IRQ_CD);
    the_cable();
    the_disc();
    errors();
    direct_memory();
    return 0;
}
