/* String instructions: what they leave in the registers, and a page fault in the middle of a REP. */
#include "paging.h"
#include "trap.h"

enum { SOURCE = 0x40000000, TARGET = 0x40400000, WORDS = 3 * TABLE_ENTRIES };

static u32 frames[8][TABLE_ENTRIES] __attribute__((aligned(PAGE)));
static volatile u32 faults, frames_used;
static struct { u32 cr2, error, ecx, esi, edi, eip, eflags; } seen[8];

static void page_in(struct trap *trap) {
    seen[faults % array_size(seen)] = (typeof(seen[0])){
        cr2(), trap->error, trap->ecx, trap->esi, trap->edi, trap->eip, trap->eflags,
    };
    faults++;
    map(cr2() & ~(PAGE - 1), (u32)frames[frames_used++], PTE_WRITE);
}

struct result { u32 ecx, esi, edi, eflags; };
#define STRING(instruction, eax_in, ecx_in, esi_in, edi_in) ({                                                      \
        struct result result;                                                                                       \
        asm volatile(instruction "\n pushfd; cld; pop %3"                                                           \
                     : "=c"(result.ecx), "=S"(result.esi), "=D"(result.edi), "=r"(result.eflags)                    \
                     : "a"(eax_in), "0"(ecx_in), "1"(esi_in), "2"(edi_in) : "memory", "cc");                        \
        result; })

static void registers(void) {
    static u8 text[] = "hello, world", copy[32];
    struct result r = STRING("rep movsb", 0, 5, text, copy);
    same("REP MOVSB counts ECX down", r.ecx, 0);
    same("ESI up", r.esi - (u32)text, 5);
    same("EDI up", r.edi - (u32)copy, 5);
    check("and copies", memcmp(copy, "hello\0", 6) == 0);
    r = STRING("rep movsd", 0, 0, text, copy);
    same("REP with ECX 0 does nothing", r.esi - (u32)text, 0);
    r = STRING("std; rep movsw", 0, 3, text + 4, copy + 20);
    same("with DF, ESI goes down by words", (u32)text + 4 - r.esi, 6);
    check("and the words are copied", memcmp(copy + 16, "hello,", 6) == 0);

    memcpy(copy, "abcdefgh", 9);
    STRING("rep movsb", 0, 6, copy, copy + 1);
    check("overlapping, upwards: the first byte spreads", memcmp(copy, "aaaaaaah", 8) == 0);
    memcpy(copy, "abcdefgh", 9);
    STRING("std; rep movsb", 0, 6, copy + 5, copy + 6);
    check("overlapping, downwards: a move", memcmp(copy, "aabcdefh", 8) == 0);

    r = STRING("repne scasb", 'w', 100, 0, text);
    same("REPNE SCASB finds: EDI behind it", r.edi - (u32)text, 8);
    same("ECX says how far", 100 - r.ecx, 8);
    same("ZF says found", r.eflags & FLAG_ZF, FLAG_ZF);
    r = STRING("repne scasb", 'z', 12, 0, text);
    same("not found: ECX 0", r.ecx, 0);
    same("ZF clear", r.eflags & FLAG_ZF, 0);
    r = STRING("repe cmpsb", 0, 12, text, "hello, planet");
    same("REPE CMPSB stops behind the first difference", r.esi - (u32)text, 8);
    same("w is above p: CF clear", r.eflags & (FLAG_CF | FLAG_ZF), 0);
    r = STRING("rep stosd", 0xDEADBEEF, 2, 0, copy);
    check("REP STOSD", memcmp(copy, "\xEF\xBE\xAD\xDE\xEF\xBE\xAD\xDE", 8) == 0);
    u32 last;
    u8 *from = text;
    asm volatile("lodsb" : "=a"(last), "+S"(from) : "0"(0x11223300));
    same("LODSB loads AL only", last, 0x11223300 + 'h');

    r = STRING("rep movsb; .byte 0x66; nop", 0, 3, text, copy);
    asm volatile("jecxz 1f; mov eax, 1; jmp 2f; 1: mov eax, 2; 2:" : "=a"(last) : "c"(r.ecx));
    same("JECXZ sees ECX 0", last, 2);
}

static void faults_in_the_middle(void) {
    start_paging();
    on_trap(PF, page_in);
    for (u32 page = 0; page < 3; page++) map(SOURCE + page * PAGE, (u32)frames[frames_used++], PTE_WRITE);
    for (u32 i = 0; i < WORDS; i++) ((volatile u32 *)SOURCE)[i] = i * 0x01010101;

    struct result r = STRING("rep movsd", 0, WORDS, SOURCE, TARGET);
    same("REP MOVSD into three missing pages: three faults", faults, 3);
    same("all was copied", memcmp((void *)SOURCE, (void *)TARGET, WORDS * 4), 0);
    same("ECX is 0 in the end", r.ecx, 0);
    same("the first fault: nothing done yet", seen[0].ecx, WORDS);
    same("the second: 1,024 words done", seen[1].ecx, WORDS - TABLE_ENTRIES);
    same("ESI of the word that faulted", seen[1].esi, SOURCE + PAGE);
    same("EDI too", seen[1].edi, TARGET + PAGE);
    same("EIP at the REP, each time", seen[1].eip - seen[2].eip, 0);
    same("CR2", seen[2].cr2, TARGET + 2 * PAGE);
    same("error: write, not present", seen[2].error, PF_WRITE);

    faults = 0;
    unmap(TARGET + PAGE);
    frames_used = 4;
    STRING("rep stosb", 0x5A, 2 * PAGE, 0, TARGET + 100);
    same("REP STOSB into one missing page: one fault", faults, 1);
    same("at the page's first byte", seen[0].edi, TARGET + PAGE);
    same("and ECX says so", seen[0].ecx, 2 * PAGE - (PAGE - 100));
    same("filled to the last byte", *(volatile u8 *)(TARGET + 100 + 2 * PAGE - 1), 0x5A);

    faults = 0;
    unmap(SOURCE + PAGE);
    frames_used = 1;
    r = STRING("std; rep movsd", 0, 100, SOURCE + PAGE + 40 * 4, TARGET + PAGE + 40 * 4);
    same("backwards, out of a missing page: one fault", faults, 1);
    same("error: read, not present", seen[0].error, 0);
    same("at the last word of all", seen[0].ecx, 100);
    same("its EFLAGS have DF", seen[0].eflags & FLAG_DF, FLAG_DF);
    same("ESI went down", r.esi, SOURCE + PAGE + 40 * 4 - 400);

    faults = 0;
    unmap(TARGET + PAGE);
    frames_used = 4;
    *(volatile u32 *)(TARGET + PAGE - 2) = 0x77665544;
    same("one store over a page's end: one fault", faults, 1);
    same("at the missing page", seen[0].cr2, TARGET + PAGE);
    same("and nothing was lost", *(volatile u32 *)(TARGET + PAGE - 2), 0x77665544);
}

int main(void) {
    title("string instructions");
    registers();
    faults_in_the_middle();
    return 0;
}
