/* A multiboot kernel that forgets INVLPG in one of the two ways by which it changes entries; for -O2 without frame pointers.
 * Lines with a mark in their comment are what a test looks for. */

#define ENTRIES 1024
#define KEPT __attribute__((noinline, noclone))

static unsigned directory[ENTRIES] __attribute__((aligned(4096)));
static unsigned table[ENTRIES] __attribute__((aligned(4096)));
static unsigned sum;

KEPT static void set_entry(unsigned page, unsigned value)
{
    ((volatile unsigned *)table)[page] = value; /* MARK store */
}

KEPT static unsigned read_word(unsigned address)
{
    return *(volatile unsigned *)address; /* MARK load */
}

KEPT static void map_and_flush(unsigned page, unsigned frame)
{
    set_entry(page, frame << 12 | 3);
    __asm__ volatile("invlpg (%0)" : : "r"(page << 12) : "memory");
}

KEPT static void map_and_forget(unsigned page, unsigned frame)
{
    set_entry(page, frame << 12 | 3); /* MARK forgets */
    sum += frame;
}

KEPT static void use(unsigned page)
{
    sum += read_word(page << 12); /* MARK uses */
    sum += read_word((page << 12) + 4);
}

/* Frames of several sizes, so that no pointer would lead through them. */
KEPT static unsigned deep(unsigned depth)
{
    volatile unsigned room[37];
    unsigned i;
    for (i = 0; i < 37; i++)
        room[i] = depth;
    if (depth)
        return deep(depth - 1) + room[depth];
    map_and_forget(768, 770); /* MARK deep */
    return room[3];
}

void kernel_main(void)
{
    unsigned i;
    for (i = 0; i < ENTRIES; i++)
        table[i] = i << 12 | 3;
    directory[0] = (unsigned)table | 3;
    __asm__ volatile("movl %0, %%cr3; movl %%cr0, %%eax; orl $0x80010000, %%eax; movl %%eax, %%cr0"
                     : : "r"(directory) : "eax", "memory");
    for (i = 0; i < 3; i++) {
        use(768);
        map_and_flush(768, 769 + i);
    }
    use(768);
    sum += deep(5);
    use(768); /* MARK main uses */
    __asm__ volatile("outb %0, %1" : : "a"((unsigned char)0x10), "Nd"((unsigned short)0xf4));
    for (;;)
        __asm__ volatile("hlt");
}

__asm__(".section .multiboot, \"a\"\n"
        ".balign 4\n"
        ".long 0x1BADB002, 0, 0xE4524FFE\n"
        ".text\n"
        ".globl _start\n"
        "_start: movl $0x90000, %esp; xorl %ebp, %ebp; call kernel_main\n");
