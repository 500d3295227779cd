/* Do processes keep their coprocessor registers while others use theirs?  With the argument "sse": the XMM registers too.
 *
 * A process inherits them by fork, loses them by execve, and an error that one has left behind hurts nobody else.
 */
#include "program.h"

enum { EXECVE = 11, YIELD = 158, CHILDREN = 3, TURNS = 40, SIGFPE = 8 };
enum { CONTROL = 0x037f, ROUNDING_SHIFT = 10, MXCSR = 0x1f80, MXCSR_ROUNDING_SHIFT = 13 };

static int sse;

static u32 value(u32 seed, u32 number) { return seed * 1000 + number; }

/* Fills ST0 to ST7 and XMM0 to XMM7, and rounds in a way of its own. */
static void load(u32 seed)
{
    unsigned short control = CONTROL | (seed & 3) << ROUNDING_SHIFT;
    __asm__ volatile("fninit\n\tfldcw %0" ::"m"(control));
    for (u32 i = 0; i < 8; i++) {
        u32 number = value(seed, i);
        __asm__ volatile("fild %0" ::"m"(number));
    }
    if (!sse)
        return;
    u32 xmm[8][4], mxcsr = MXCSR | (seed & 3) << MXCSR_ROUNDING_SHIFT;
    for (u32 i = 0; i < 32; i++)
        xmm[i / 4][i % 4] = value(seed, 100 + i);
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    __asm__ volatile("movups xmm0, [%0]\n\tmovups xmm1, [%0+16]\n\tmovups xmm2, [%0+32]\n\tmovups xmm3, [%0+48]\n\t"
                     "movups xmm4, [%0+64]\n\tmovups xmm5, [%0+80]\n\tmovups xmm6, [%0+96]\n\tmovups xmm7, [%0+112]"
                     ::"r"(xmm) : "memory");
}

static int sse_holds(u32 seed)
{
    u32 xmm[8][4], mxcsr;
    __asm__ volatile("movups [%0], xmm0\n\tmovups [%0+16], xmm1\n\tmovups [%0+32], xmm2\n\tmovups [%0+48], xmm3\n\t"
                     "movups [%0+64], xmm4\n\tmovups [%0+80], xmm5\n\tmovups [%0+96], xmm6\n\tmovups [%0+112], xmm7"
                     ::"r"(xmm) : "memory");
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    for (u32 i = 0; i < 32; i++)
        if (xmm[i / 4][i % 4] != value(seed, 100 + i))
            return 0;
    return mxcsr == (MXCSR | (seed & 3) << MXCSR_ROUNDING_SHIFT);
}

/* Whether the registers are as load(seed) left them; leaves them so. */
static int holds(u32 seed)
{
    if (sse && !sse_holds(seed))
        return 0;
    unsigned short control;
    __asm__ volatile("fnstcw %0" : "=m"(control));
    int right = control == (CONTROL | (seed & 3) << ROUNDING_SHIFT);
    for (u32 i = 8; i-- > 0;) {
        u32 number;
        __asm__ volatile("fistp %0" : "=m"(number));
        right &= number == value(seed, i);
    }
    load(seed);
    return right;
}

/* Whether they are as a program finds them: after FNINIT, nothing in XMM. */
static int fresh(void)
{
    struct {
        u32 control, status, tags, rest[4];
    } environment;
    u32 xmm[4] = {1}, mxcsr = MXCSR;
    __asm__ volatile("fnstenv %0" : "=m"(environment));
    if (sse) {
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
        __asm__ volatile("movups [%0], xmm7" ::"r"(xmm) : "memory");
    } else {
        xmm[0] = 0;
    }
    return (environment.control & 0xffff) == CONTROL && !(environment.status & 0xffff) &&
           (environment.tags & 0xffff) == 0xffff && mxcsr == MXCSR && !(xmm[0] | xmm[1] | xmm[2] | xmm[3]);
}

/* Takes longer than a tick now and then, so that the timer interrupts as well. */
static void pass_time(u32 turn)
{
    if (turn % 8 == 0)
        for (volatile u32 i = 0; i < 20000; i++)
            ;
    call(YIELD, 0, 0, 0);
}

static void use_them(u32 seed)
{
    for (u32 turn = 0; turn < TURNS; turn++) {
        pass_time(turn);
        CHECK(holds(seed));
    }
}

static void divide_by_zero(void)
{
    unsigned short control = CONTROL & ~4;
    __asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivp\n\t" ::"m"(control));
    call(YIELD, 0, 0, 0); /* with an error that nobody has heard of */
    __asm__ volatile("fwait");
}

static u32 wait_for(u32 pid)
{
    u32 status = 0xdead;
    CHECK(call(WAITPID, pid, (u32)&status, 0) == (s32)pid);
    return status;
}

__attribute__((used)) static void program(u32 *stack)
{
    const char **arguments = (const char **)(stack + 1);
    sse = stack[0] > 1 && arguments[1][0] == 's';
    CHECK(fresh());
    if (stack[0] > 2)
        call(EXIT, 7, 0, 0); /* that is what execve was for */
    load(100);
    u32 children[CHILDREN];
    for (u32 i = 0; i < CHILDREN; i++) {
        children[i] = call(FORK, 0, 0, 0);
        if (!children[i]) {
            CHECK(holds(100));
            load(201 + i);
            use_them(201 + i);
            call(EXIT, 0, 0, 0);
        }
    }
    use_them(100);
    for (u32 i = 0; i < CHILDREN; i++)
        CHECK(wait_for(children[i]) == 0);
    u32 pid = call(FORK, 0, 0, 0);
    if (!pid)
        divide_by_zero();
    use_them(100);
    CHECK(wait_for(pid) == SIGFPE);
    pid = call(FORK, 0, 0, 0);
    if (!pid) {
        const char *again[] = {arguments[0], sse ? "sse" : "x87", "again", 0};
        load(302);
        CHECK(call(EXECVE, (u32)arguments[0], (u32)again, 0) == 0);
    }
    CHECK(wait_for(pid) == 7 << 8);
    CHECK(holds(100));
    say("everybody kept the registers\n");
    call(EXIT, 0, 0, 0);
}

START;
