/* What C programs for the hosted kernel share: system calls by Linux's numbers, and a little text. */

typedef unsigned u32;
typedef int s32;

static inline s32 call6(u32 number, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f)
{
    s32 result;
    /* EBP may be how the compiler reaches the operand, so the sixth argument goes over the stack. */
    __asm__ volatile("push %7\n\tpush ebp\n\tmov ebp, [esp+4]\n\tint 0x80\n\tpop ebp\n\tadd esp, 4"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "g"(f)
                     : "memory");
    return result;
}

static inline s32 call(u32 number, u32 a, u32 b, u32 c)
{
    s32 result;
    __asm__ volatile("int 0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

enum { EXIT = 1, FORK = 2, READ = 3, WRITE = 4, OPEN = 5, WAITPID = 7, GETPID = 20, BRK = 45, MUNMAP = 91,
       MPROTECT = 125, MMAP2 = 192 };

static inline void say(const char *text)
{
    u32 size = 0;
    while (text[size])
        size++;
    call(WRITE, 1, (u32)text, size);
}

static inline void say_number(u32 number)
{
    char digits[11], *at = digits + 10;
    *at = 0;
    do
        *--at = '0' + number % 10;
    while (number /= 10);
    say(at);
}

#define CHECK(what)                                                                                                   \
    do {                                                                                                              \
        if (!(what)) {                                                                                                \
            say("FAILED: " #what "\n");                                                                               \
            call(EXIT, 1, 0, 0);                                                                                      \
        }                                                                                                             \
    } while (0)

/* ESP points to argc; the stack is as the ABI has it. */
#define START                                                                                                         \
    __asm__(".globl _start\n_start: mov eax, esp\n\tand esp, -16\n\tsub esp, 12\n\tpush eax\n\tcall program\n\tud2\n")
