/* What a multiboot loader hands over.

   Source: Multiboot Specification 0.6.96, "Machine state", "Boot information format". */
#include "test.h"

struct multiboot_info {
    u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
    u32 drives_length, drives_addr, config_table, boot_loader_name;
};
struct __attribute__((packed)) mmap_entry { u32 size; u64 base, length; u32 type; };
struct module { u32 start, end, string, reserved; };

enum { HAS_MEMORY = 1 << 0, HAS_CMDLINE = 1 << 2, HAS_MODULES = 1 << 3, HAS_MMAP = 1 << 6, HAS_LOADER_NAME = 1 << 9 };

extern const char _start[], image_end[];
static u32 never_written[64];

static bool ends_with(const char *text, const char *end) {
    const char *start = text;
    while (*text) text++;
    const char *last = end;
    while (*last) last++;
    return text - start >= last - end && memcmp(text - (last - end), end, last - end) == 0;
}

static bool available(const struct multiboot_info *info, u32 from, u32 to) {
    for (u32 at = info->mmap_addr; at < info->mmap_addr + info->mmap_length;) {
        const struct mmap_entry *entry = (const void *)at;
        if (entry->type == 1 && entry->base <= from && to <= entry->base + entry->length) return true;
        at += entry->size + 4;
    }
    return false;
}

static bool ranges_ascend_apart(const struct multiboot_info *info) {
    u64 end = 0;
    for (u32 at = info->mmap_addr; at < info->mmap_addr + info->mmap_length;) {
        const struct mmap_entry *entry = (const void *)at;
        if (entry->base < end) return false;
        end = entry->base + entry->length;
        at += entry->size + 4;
    }
    return true;
}

static bool all_zero(const u32 *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (((const volatile u32 *)words)[i]) return false;
    return true;
}

static bool a20_is_on(void) {
    /* Were A20 held low, the two would be the same cell. */
    volatile u32 *low = (u32 *)0x7000, *high = (u32 *)0x107000 + 0x200000 / 4;
    *high = 0x20202020;
    *low = 0x11111111;
    return *high == 0x20202020;
}

int main(void) {
    title("multiboot");
    same("EAX is the loader's magic number", entry.eax, 0x2BADB002);
    same("protected mode is on, paging is off", entry.cr0 & (CR0_PE | CR0_PG), CR0_PE);
    same("interrupts are off, and this is no virtual-8086 task", entry.eflags & (FLAG_IF | FLAG_VM), 0);
    check("A20 is on", a20_is_on());
    check(".bss is cleared", all_zero(never_written, array_size(never_written)));

    const struct multiboot_info *info = (const void *)entry.ebx;
    u32 wanted = HAS_MEMORY | HAS_CMDLINE | HAS_MMAP | HAS_LOADER_NAME;
    same("memory, command line, map and loader's name are there", info->flags & wanted, wanted);
    check("the information lies outside the kernel",
          entry.ebx + sizeof *info <= (u32)_start || entry.ebx >= (u32)image_end);
    check("mem_lower is at most 640 KiB", info->mem_lower > 600 && info->mem_lower <= 640);
    check("mem_upper is a 64 MiB machine's", info->mem_upper > 62 << 10 && info->mem_upper <= 63 << 10);
    check("the map's ranges ascend and do not overlap", ranges_ascend_apart(info));
    check("the map calls low memory available", available(info, 0x1000, 0x9F000));
    check("the map calls memory from 1 MiB to mem_upper available",
          available(info, 1 << 20, (1 << 20) + (info->mem_upper << 10)));
    check("the map does not call the ROM area available", !available(info, 0xF0000, 0x100000));
    check("the command line ends with what was appended", ends_with((const char *)info->cmdline, " colour=blue quiet"));

    same("there are two modules", info->flags & HAS_MODULES ? info->mods_count : 0, 2);
    const struct module *modules = (const void *)info->mods_addr;
    same("the first is five bytes long", modules[0].end - modules[0].start, 5);
    check("its bytes are the file's", memcmp((const void *)modules[0].start, "alpha", 5) == 0);
    same("the second is 5,000 bytes long", modules[1].end - modules[1].start, 5000);
    const u8 *beta = (const u8 *)modules[1].start;
    check("its bytes are the file's", beta[0] == 'b' && beta[4999] == 'b');
    same("modules start on page boundaries", (modules[0].start | modules[1].start) & 0xFFF, 0);
    check("a module's string ends with its arguments", ends_with((const char *)modules[0].string, " first one"));
    check("modules lie behind the kernel", modules[0].start >= (u32)image_end && modules[1].start >= (u32)image_end);
    return 0;
}
