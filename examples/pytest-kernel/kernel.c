/* A kernel small enough to read: it maps itself, says so, and then obeys letters that come over the serial port.
 *
 * Virtual addresses: 0x00000000 nothing, up to 0x00400000 as physical (code read-only), 0x00400000 one page of a user's,
 * 0xC0000000 the same 4 MiB again, in the kernel's place.
 *
 * Letters: 'n' reads through a null pointer, 'c' writes to code, 'l' loops forever, 'q' leaves (isa-debug-exit).
 */

enum { PRESENT = 1, WRITABLE = 2, USER = 4, PAGE = 4096, COM1 = 0x3F8, DEBUG_EXIT = 0xF4 };

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef unsigned long long u64;

__attribute__((section(".multiboot"), used)) static const u32 multiboot[] = {0x1BADB002, 0, -0x1BADB002u};

static u32 directory[1024] __attribute__((aligned(PAGE)));
static u32 low[1024] __attribute__((aligned(PAGE)));
static u32 users[1024] __attribute__((aligned(PAGE)));
static u8 users_page[PAGE] __attribute__((aligned(PAGE)));
static u64 idt[32];
static u64 gdt[] = {0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF};
static u8 stack[4 * PAGE] __attribute__((aligned(16), used));

extern u8 code_start[], code_end[];

static void out(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static u8 in(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void print(const char *text)
{
    for (; *text; text++)
        out(COM1, *text);
}

static void print_hex(u32 value)
{
    print("0x");
    for (int shift = 28; shift >= 0; shift -= 4)
        out(COM1, "0123456789abcdef"[value >> shift & 15]);
}

static u8 next_letter(void)
{
    while (!(in(COM1 + 5) & 1))
        ;
    return in(COM1);
}

__attribute__((used, noreturn)) static void page_fault(u32 error)
{
    u32 address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    print("page fault at ");
    print_hex(address);
    print(", error ");
    print_hex(error);
    print("\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

__asm__("page_fault_entry: call page_fault"); /* the error code is where C looks behind the return address ... */
extern u8 page_fault_entry[];                 /* ... as soon as CALL has pushed one */

static void set_up_segments_and_interrupts(void)
{
    struct { u16 limit; u32 base; } __attribute__((packed)) table = {sizeof gdt - 1, (u32)gdt};
    __asm__ volatile("lgdt %0; ljmp $8, $1f; 1: mov %1, %%ds; mov %1, %%es; mov %1, %%ss" : : "m"(table), "r"(16));
    u32 entry = (u32)page_fault_entry;
    idt[14] = (u64)(entry >> 16) << 48 | 0x8E00ull << 32 | 8 << 16 | (entry & 0xFFFF);
    table.limit = sizeof idt - 1;
    table.base = (u32)idt;
    __asm__ volatile("lidt %0" : : "m"(table));
}

static void set_up_paging(void)
{
    for (u32 at = PAGE; at < 1024 * PAGE; at += PAGE) {
        int is_code = at >= (u32)code_start && at < (u32)code_end;
        low[at / PAGE] = at | PRESENT | (is_code ? 0 : WRITABLE);
    }
    users[0] = (u32)users_page | PRESENT | WRITABLE | USER;
    directory[0] = directory[0xC0000000 >> 22] = (u32)low | PRESENT | WRITABLE;
    directory[1] = (u32)users | PRESENT | WRITABLE | USER;
    __asm__ volatile("mov %0, %%cr3; mov %1, %%cr0" : : "r"(directory), "r"(0x80010011) : "memory");
}

__attribute__((used, noreturn)) static void kernel_main(void)
{
    print("booting\n");
    set_up_segments_and_interrupts();
    set_up_paging();
    print("paging on\nready\n");
    for (;;)
        switch (next_letter()) {
        case 'n': print_hex(*(volatile u32 *)0); break;
        case 'c': *(volatile u8 *)code_start = 0; break;
        case 'l': for (;;) __asm__ volatile("pause");
        case 'q': print("bye\n"); out(DEBUG_EXIT, 0); break;
        }
}

__asm__(".globl _start; _start: mov $stack + 16384, %esp; jmp kernel_main");
