/* A multiboot kernel with frames, locals and a loop, compiled with -O0 -g. */

struct point {
    int x, y;
};

int depth_reached;
volatile int go_on = 1;

static int descend(int depth, struct point *where)
{
    struct point next = {where->x + 1, where->y + depth};
    if (depth == 0) {
        depth_reached = next.y;
        return next.x;
    }
    return descend(depth - 1, &next) + 1;
}

static int count_to(int end)
{
    int i, sum = 0;
    for (i = 0; i < end; i++)
        sum += i & 3;
    return sum;
}

static void out(unsigned short port, unsigned char value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

void kernel_main(void)
{
    struct point origin = {40, 2};
    int found = descend(3, &origin);
    found += count_to(20000);
    out(0xf4, found == 30047 ? 0x10 : 0x11);
    for (;;)
        __asm__ volatile("hlt");
}

__asm__(".section .multiboot, \"a\"\n"
        ".balign 4\n"
        ".long 0x1BADB002, 0, 0xE4524FFE\n"
        ".text\n"
        ".globl _start\n"
        "_start: movl $0x90000, %esp; xorl %ebp, %ebp; call kernel_main\n");
