/* 4 MiB pages (CR4.PSE), global pages, and the three-level tables of CR4.PAE.

   Source: Intel SDM Vol. 3A, "32-Bit Paging", "PAE Paging". */
#include "paging.h"
#include "trap.h"

enum { MIB = 1 << 20, AT = 0x40000000, PAE_LARGE = 2 * MIB };

static u64 pointers[4] __attribute__((aligned(32)));
static u64 directories[4][512] __attribute__((aligned(PAGE)));
static u64 table[512] __attribute__((aligned(PAGE)));
static volatile u32 frame[TABLE_ENTRIES] __attribute__((aligned(PAGE)));

static inline volatile u32 *word(u32 at) { return (volatile u32 *)at; }

static void four_mebibytes(void) {
    u32 pde = AT >> 22;
    set_cr4(cr4() | CR4_PSE);
    directory[pde] = 16 * MIB | PDE_LARGE | PTE_WRITE | PTE_PRESENT;
    directory[pde + 1] = 20 * MIB | PDE_LARGE | PTE_PRESENT;
    directory[16 * MIB >> 22] = 16 * MIB | PDE_LARGE | PTE_WRITE | PTE_PRESENT;
    directory[20 * MIB >> 22] = 20 * MIB | PDE_LARGE | PTE_WRITE | PTE_PRESENT;
    set_cr3(cr3());

    *word(16 * MIB + 0x234560) = 0x600D;
    same("22 bits of offset inside a 4 MiB page", *word(AT + 0x234560), 0x600D);
    same("a load sets accessed in the directory entry", directory[pde] & (PTE_ACCESSED | PTE_DIRTY), PTE_ACCESSED);
    *word(AT + 0x3FFFFC) = 0x11223344;
    same("a store sets dirty in it", directory[pde] & PTE_DIRTY, PTE_DIRTY);
    same("the store is in the frame's last word", *word(16 * MIB + 0x3FFFFC), 0x11223344);
    *word(20 * MIB) = 0x55667788;
    same("a word across two 4 MiB pages", *word(AT + 0x3FFFFE), 0x77881122);
    set_cr0(cr0() | CR0_WP);
    ATTEMPT("mov dword ptr [%0], 0", : : "r"(AT + 4 * MIB) : "memory");
    trapped("#PF: a read-only 4 MiB page", PF, PF_PROTECTION | PF_WRITE, 0);
    set_cr0(cr0() & ~CR0_WP);

    map(AT + 8 * MIB, (u32)frame, PTE_WRITE);
    frame[0] = 0xF00;
    same("4 KiB pages go on beside them", *word(AT + 8 * MIB), 0xF00);
    directory[pde] = 20 * MIB | PDE_LARGE | PTE_WRITE | PTE_PRESENT;
    invlpg(AT + 0x1000);
    same("INVLPG anywhere in a 4 MiB page forgets it", *word(AT), 0x55667788);
}

static void global_pages(void) {
    if (!(cpuid(1).edx & 1 << 13)) give_up();
    set_cr4(cr4() | CR4_PGE);
    map(AT + 8 * MIB, (u32)frame, PTE_WRITE | PTE_GLOBAL);
    same("a global page translates", *word(AT + 8 * MIB), 0xF00);
    *entry_of(AT + 8 * MIB) = 0;
    set_cr4(cr4() & ~CR4_PGE);
    ATTEMPT("mov eax, [%0]", : : "r"(AT + 8 * MIB) : "eax");
    trapped("#PF: clearing CR4.PGE forgets global pages", PF, 0, 0);
    map(AT + 8 * MIB, (u32)frame, PTE_WRITE | PTE_GLOBAL);
    set_cr4(cr4() | CR4_PGE);
    same("mapped again", *word(AT + 8 * MIB), 0xF00);
    unmap(AT + 8 * MIB);
    ATTEMPT("mov eax, [%0]", : : "r"(AT + 8 * MIB) : "eax");
    trapped("#PF: INVLPG forgets a global page", PF, 0, 0);
    set_cr4(cr4() & ~CR4_PGE);
}

static void three_levels(void) {
    for (u32 i = 0; i < 4; i++) pointers[i] = (u32)directories[i] | PTE_PRESENT;
    directories[0][0] = 0 | PDE_LARGE | PTE_WRITE | PTE_PRESENT;
    directories[0][1] = PAE_LARGE | PDE_LARGE | PTE_WRITE | PTE_PRESENT;
    directories[1][0] = (u32)table | PTE_WRITE | PTE_PRESENT; /* 0x40000000 */
    directories[3][511] = 16 * MIB | PDE_LARGE | PTE_WRITE | PTE_PRESENT; /* the last 2 MiB */
    table[0] = (u32)frame | PTE_WRITE | PTE_PRESENT;
    table[511] = (u32)frame | PTE_PRESENT;
    set_cr4(cr4() | CR4_PAE);
    set_cr3((u32)pointers);
    set_cr0(cr0() | CR0_PG);

    frame[7] = 0x777;
    same("PAE: a 4 KiB page through three levels", *word(AT + 28), 0x777);
    same("PAE: a load sets accessed", (u32)table[0] & (PTE_ACCESSED | PTE_DIRTY), PTE_ACCESSED);
    *word(AT + 32) = 0x888;
    same("PAE: a store reaches the frame", frame[8], 0x888);
    same("PAE: and sets dirty", (u32)table[0] & PTE_DIRTY, PTE_DIRTY);
    same("PAE: accessed in the directory", (u32)directories[1][0] & PTE_ACCESSED, PTE_ACCESSED);
    *word(0xFFFFFFFC) = 0x99;
    same("PAE: 2 MiB pages, up to the last word", (u32)directories[3][511] & (PTE_ACCESSED | PTE_DIRTY),
         PTE_ACCESSED | PTE_DIRTY);
    ATTEMPT("mov eax, [%0]", : : "r"(AT + PAGE) : "eax");
    trapped("#PF: PAE: a page that is not there", PF, 0, 0);
    ATTEMPT("mov eax, [%0]", : : "r"(0x80000000) : "eax");
    trapped("#PF: PAE: a directory entry that is not there", PF, 0, 0);
    set_cr0(cr0() | CR0_WP);
    ATTEMPT("mov dword ptr [%0], 0", : : "r"(AT + 511 * PAGE) : "memory");
    trapped("#PF: PAE: a read-only page", PF, PF_PROTECTION | PF_WRITE, 0);
    set_cr0(cr0() & ~CR0_WP);
    pointers[1] = 0;
    set_cr3((u32)pointers);
    ATTEMPT("mov eax, [%0]", : : "r"(AT) : "eax");
    trapped("#PF: PAE: CR3's load reads the four pointers again", PF, 0, 0);

    stop_paging();
    set_cr4(cr4() & ~CR4_PAE);
    check("PAE is off and the guest goes on", !(cr4() & CR4_PAE));
}

int main(void) {
    title("paging, large pages");
    start_paging();
    four_mebibytes();
    global_pages();
    stop_paging();
    set_cr4(cr4() & ~CR4_PSE);
    three_levels();
    return 0;
}
