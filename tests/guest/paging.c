/* 32-bit paging with 4 KiB pages: translation, rights, accessed and dirty bits, #PF's error codes, INVLPG.

   Nothing is asked about a translation that was changed but not invalidated: what it does is not defined.  Not here,
   because TCG reads before it writes: the W bit in the error code of a read-modify-write. */
#include "paging.h"
#include "pic.h"
#include "trap.h"
#include "user.h"

enum { AT = 0x40000000, ELSEWHERE = 0x40400000, NOWHERE = 0x48000000 };

static u32 frame_a[TABLE_ENTRIES] __attribute__((aligned(PAGE)));
static u32 frame_b[TABLE_ENTRIES] __attribute__((aligned(PAGE)));

static inline u32 load(u32 at) { return *(volatile u32 *)at; }
static inline void store(u32 at, u32 value) { *(volatile u32 *)at = value; }

#define ATTEMPT_LOAD(at) ATTEMPT("mov eax, [%0]", : : "r"(at) : "eax", "memory")
#define ATTEMPT_STORE(at) ATTEMPT("mov dword ptr [%0], 1", : : "r"(at) : "memory")

static void translation(void) {
    map(AT, (u32)frame_a, PTE_WRITE);
    frame_a[3] = 0xA3;
    same("a page reads its frame", load(AT + 12), 0xA3);
    store(AT + 16, 0xA4);
    same("a store goes to the frame", frame_a[4], 0xA4);
    map(ELSEWHERE, (u32)frame_a, PTE_WRITE);
    same("two pages may share a frame", load(ELSEWHERE + 16), 0xA4);
    map(AT + PAGE, (u32)frame_b, PTE_WRITE);
    frame_a[TABLE_ENTRIES - 1] = 0x44332211;
    frame_b[0] = 0x88776655;
    same("a word across two pages comes from two frames", load(AT + PAGE - 2), 0x66554433);
    map(AT, (u32)frame_b, PTE_WRITE);
    same("after INVLPG the new frame answers", load(AT), 0x88776655);
    map(AT, (u32)frame_a, PTE_WRITE);
    *entry_of(AT) = (u32)frame_b | PTE_WRITE | PTE_PRESENT;
    set_cr3(cr3());
    same("after a load of CR3 the new frame answers", load(AT), 0x88776655);
    same("CR3 reads back", cr3(), (u32)directory);
}

static void accessed_and_dirty(void) {
    const u32 both = PTE_ACCESSED | PTE_DIRTY;
    map(AT, (u32)frame_a, PTE_WRITE);
    directory[AT >> 22] &= ~PTE_ACCESSED;
    set_cr3(cr3());
    same("a new entry is neither accessed nor dirty", *entry_of(AT) & both, 0);
    load(AT);
    same("a load sets accessed", *entry_of(AT) & both, PTE_ACCESSED);
    same("and accessed in the directory", directory[AT >> 22] & PTE_ACCESSED, PTE_ACCESSED);
    store(AT, 1);
    same("a store sets dirty", *entry_of(AT) & both, both);
    map(AT, (u32)frame_a, PTE_WRITE);
    store(AT, 1);
    same("a first store sets both", *entry_of(AT) & both, both);
    *entry_of(AT) &= ~both;
    invlpg(AT);
    load(AT);
    same("cleared bits are set again after INVLPG", *entry_of(AT) & both, PTE_ACCESSED);
    map(AT, (u32)frame_a, 0);
    set_cr0(cr0() | CR0_WP);
    ATTEMPT_STORE(AT);
    same("a store that faults does not set dirty", *entry_of(AT) & PTE_DIRTY, 0);
    set_cr0(cr0() & ~CR0_WP);
}

static void kernel_rights(void) {
    ATTEMPT_LOAD(NOWHERE);
    trapped("#PF: no page table; error: read, not present", PF, 0, 0);
    same("CR2 is the address", caught.cr2, NOWHERE);
    ATTEMPT_STORE(NOWHERE + 0x123);
    trapped("#PF: a store; error: write, not present", PF, PF_WRITE, 0);
    same("CR2 has the offset too", caught.cr2, NOWHERE + 0x123);
    unmap(AT);
    ATTEMPT_LOAD(AT);
    trapped("#PF: no page in a table", PF, 0, 0);
    map(AT, (u32)frame_a, 0);
    frame_a[0] = 5;
    store(AT, 6);
    same("without CR0.WP the kernel writes read-only pages", frame_a[0], 6);
    set_cr0(cr0() | CR0_WP);
    ATTEMPT_STORE(AT);
    trapped("#PF: with CR0.WP it does not", PF, PF_PROTECTION | PF_WRITE, 0);
    ATTEMPT_LOAD(AT);
    not_trapped("but reads them");
    set_cr0(cr0() & ~CR0_WP);
    map(AT, (u32)frame_a, PTE_USER | PTE_WRITE);
    store(AT, 7);
    same("the kernel writes users' pages", frame_a[0], 7);
    caught = (struct caught){.vector = NO_TRAP};
    attempt_at = NOWHERE;
    asm volatile("mov dword ptr attempt_resume, offset 1f; call %0; 1: add esp, 4" : : "r"(NOWHERE) : "memory");
    trapped("#PF: a call to nowhere arrives with EIP there", PF, 0, 0);
    same("and CR2 there", caught.cr2, NOWHERE);
}

/* Users' tests.  The page at AT is readable, the one behind it the kernel's. */
static u32 user_rights(void) {
    ATTEMPT_LOAD(AT);
    not_trapped("ring 3 reads a user page");
    ATTEMPT_STORE(AT);
    trapped("#PF: ring 3 cannot write a read-only page", PF, PF_PROTECTION | PF_WRITE | PF_USER, 0);
    ATTEMPT_LOAD(AT + PAGE);
    trapped("#PF: ring 3 cannot read a kernel page", PF, PF_PROTECTION | PF_USER, 0);
    ATTEMPT_STORE(AT + PAGE);
    trapped("#PF: nor write it", PF, PF_PROTECTION | PF_WRITE | PF_USER, 0);
    ATTEMPT_LOAD(AT + 2 * PAGE);
    trapped("#PF: ring 3 reads a page that is not there", PF, PF_USER, 0);
    ATTEMPT_LOAD(AT + PAGE - 2);
    trapped("#PF: a word that reaches into a kernel page", PF, PF_PROTECTION | PF_USER, 0);
    same("CR2 is where the kernel page begins", caught.cr2, AT + PAGE);
    ATTEMPT_STORE(ELSEWHERE);
    trapped("#PF: a directory entry without W withholds it", PF, PF_PROTECTION | PF_WRITE | PF_USER, 0);
    return 0;
}

static u32 user_without_directory_right(void) {
    ATTEMPT_LOAD(ELSEWHERE);
    trapped("#PF: a directory entry without U withholds it", PF, PF_PROTECTION | PF_USER, 0);
    return 0;
}

int main(void) {
    title("paging, 4 KiB pages");
    set_up_pics(); /* the timer ticks while interrupts are enabled: nobody wants that here */
    start_paging();
    check("paging is on and the guest goes on", cr0() & CR0_PG);
    translation();
    accessed_and_dirty();
    kernel_rights();

    /* Ring 3 may see the kernel's first megabytes: code, stack and this test's variables are there. */
    for (u32 at = 0x100000; at < 0x200000; at += PAGE) *entry_of(at) |= PTE_USER;
    directory[0] |= PTE_USER;
    map(AT, (u32)frame_a, PTE_USER);
    map(AT + PAGE, (u32)frame_b, PTE_WRITE);
    map(ELSEWHERE, (u32)frame_a, PTE_USER | PTE_WRITE);
    directory[ELSEWHERE >> 22] &= ~PTE_WRITE;
    set_cr3(cr3());
    run_user(user_rights, FLAG_IF);
    directory[ELSEWHERE >> 22] &= ~PTE_USER;
    set_cr3(cr3());
    run_user(user_without_directory_right, FLAG_IF);

    stop_paging();
    check("paging is off and the guest goes on", !(cr0() & CR0_PG));
    return 0;
}
