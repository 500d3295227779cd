/* The BIOS32 service directory, and the PCI BIOS for 32-bit code that it leads to.  Not asked, because QEMU's firmware does
   not check them: vendor FFFFh, registers that do not exist.

   Source: Phoenix, Standard BIOS 32-bit Service Directory Proposal 0.4; PCI SIG, PCI BIOS Specification 2.1. */
#include "test.h"

struct directory {
    char signature[4];
    u32 entry;
    u8 revision, paragraphs, checksum, reserved[5];
};
enum { SERVICE_PCI = 0x49435024, PRESENT_PCI = 0x20494350 };
enum { SUCCESSFUL, NOT_SUPPORTED = 0x81, NOT_FOUND = 0x86 };
enum { HOST_BRIDGE = 0x1237, INTEL = 0x8086, CLASS_VGA = 0x030000, COMMAND = 4, LINE = 0x3C };

static struct __attribute__((packed)) { u32 offset; u16 selector; } entry_point;
static struct { u32 eax, ebx, ecx, edx, esi, edi, flags; } r;

static void far_call(void) {
    asm volatile("call fword ptr %[at]; pushfd; pop dword ptr %[flags]"
                 : "+a"(r.eax), "+b"(r.ebx), "+c"(r.ecx), "+d"(r.edx), "+S"(r.esi), "+D"(r.edi), [flags] "=m"(r.flags)
                 : [at] "m"(entry_point)
                 : "memory", "cc");
}

static const struct directory *find_directory(void) {
    for (u32 at = 0xE0000; at < 0x100000; at += 16) {
        const struct directory *here = (const struct directory *)at;
        if (memcmp(here->signature, "_32_", 4)) continue;
        u8 sum = 0;
        for (u32 i = 0; i < 16u * here->paragraphs; i++) sum += ((const u8 *)here)[i];
        if (!sum) return here;
    }
    return 0;
}

static u8 ah(void) { return r.eax >> 8; }
static bool carry(void) { return r.flags & FLAG_CF; }

static void pci(u8 function) {
    r.eax = 0xB100 | function;
    far_call();
}
static u32 read(u8 function, u8 reg) {
    r.edi = reg;
    r.ecx = 0xDEADBEEF;
    pci(function);
    return r.ecx;
}
static void write(u8 function, u8 reg, u32 value) {
    r.edi = reg;
    r.ecx = value;
    pci(function);
}
static void failed(const char *what, u8 status) {
    same(what, ah(), status);
    check("with carry", carry());
}

int main(void) {
    title("BIOS32 and the PCI BIOS for 32-bit code");
    asm volatile("mov %0, cs" : "=r"(entry_point.selector));

    const struct directory *directory = find_directory();
    check("the service directory is in the ROM", directory);
    if (!directory) return 0;
    same("revision", directory->revision, 0);
    same("length in paragraphs", directory->paragraphs, 1);

    entry_point.offset = directory->entry;
    r.eax = 0x21212121, r.ebx = 0;
    far_call();
    same("a service that does not exist", r.eax & 0xFF, 0x80);
    r.eax = SERVICE_PCI, r.ebx = 0;
    far_call();
    same("the PCI service exists", r.eax & 0xFF, 0);
    check("in the ROM", r.ebx >= 0xE0000 && r.ebx + r.edx < 0x100000 && r.edx < r.ecx);
    entry_point.offset = r.ebx + r.edx;

    pci(0x01);
    same("the PCI BIOS is present", ah(), SUCCESSFUL);
    same("PCI", r.edx, PRESENT_PCI);
    same("configuration mechanism 1", r.eax & 3, 1);
    same("version", r.ebx & 0xFFFF, 0x0210);
    same("last bus", r.ecx & 0xFF, 0);
    check("no carry", !carry());

    r.ecx = HOST_BRIDGE, r.edx = INTEL, r.esi = 0;
    pci(0x02);
    same("find the host bridge", ah(), SUCCESSFUL);
    same("function 0:00.0", r.ebx & 0xFFFF, 0);
    r.ecx = HOST_BRIDGE, r.edx = INTEL, r.esi = 1;
    pci(0x02);
    failed("there is only one", NOT_FOUND);
    r.ecx = CLASS_VGA, r.esi = 0;
    pci(0x03);
    same("find the graphics card by class", ah(), SUCCESSFUL);
    same("function 0:02.0", r.ebx & 0xFFFF, 2 << 3);
    r.ecx = CLASS_VGA, r.esi = 1;
    pci(0x03);
    failed("there is only one", NOT_FOUND);

    r.ebx = 0;
    same("read a dword", read(0x0A, 0), HOST_BRIDGE << 16 | INTEL);
    same("read a word", read(0x09, 2) & 0xFFFF, HOST_BRIDGE);
    same("read a byte", read(0x08, 1) & 0xFF, INTEL >> 8);
    same("no more than the byte", r.ecx >> 16, 0xDEAD);
    check("no carry", !carry());

    r.ebx = 2 << 3;
    u32 line = read(0x08, LINE) & 0xFF;
    write(0x0B, LINE, 0x5A);
    same("write a byte", read(0x08, LINE) & 0xFF, 0x5A);
    write(0x0B, LINE, line);
    u32 command = read(0x09, COMMAND) & 0xFFFF;
    write(0x0C, COMMAND, command & ~3u);
    same("write a word", read(0x09, COMMAND) & 3, 0);
    write(0x0C, COMMAND, command);
    u32 base = read(0x0A, 0x10);
    write(0x0D, 0x10, 0xFFFFFFFF);
    same("write a dword", read(0x0A, 0x10) & 0xFFF00000, 0xFF000000);
    write(0x0D, 0x10, base);
    same("all is as before", read(0x0A, 0x10), base);

    pci(0x7F);
    failed("a function that does not exist", NOT_SUPPORTED);
    return 0;
}
