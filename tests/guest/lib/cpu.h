/* The processor as C sees it: ports, control registers, flags, and the numbers that the manuals give names to. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define array_size(a) (sizeof(a) / sizeof((a)[0]))

/* EFLAGS.  Source: Intel SDM Vol. 1, "EFLAGS Register". */
enum {
    FLAG_CF = 1 << 0, FLAG_PF = 1 << 2, FLAG_AF = 1 << 4, FLAG_ZF = 1 << 6, FLAG_SF = 1 << 7, FLAG_TF = 1 << 8,
    FLAG_IF = 1 << 9, FLAG_DF = 1 << 10, FLAG_OF = 1 << 11, FLAG_IOPL_3 = 3 << 12, FLAG_NT = 1 << 14,
    FLAG_RF = 1 << 16, FLAG_VM = 1 << 17, FLAG_AC = 1 << 18, FLAG_ID = 1 << 21,
};

/* Control registers.  Source: Intel SDM Vol. 3A, "Control Registers". */
enum { CR0_PE = 1 << 0, CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_TS = 1 << 3, CR0_NE = 1 << 5, CR0_WP = 1 << 16, CR0_CD = 1 << 30 };
#define CR0_PG 0x80000000u
enum { CR4_TSD = 1 << 2, CR4_DE = 1 << 3, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_PGE = 1 << 7, CR4_OSFXSR = 1 << 9 };

/* Exceptions.  Source: Intel SDM Vol. 3A, "Exception and Interrupt Vectors". */
enum {
    DE = 0, DB = 1, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14,
    MF = 16,
};

static inline void outb(u16 port, u8 value) { asm volatile("out dx, al" : : "a"(value), "d"(port)); }
static inline void outw(u16 port, u16 value) { asm volatile("out dx, ax" : : "a"(value), "d"(port)); }
static inline void outl(u16 port, u32 value) { asm volatile("out dx, eax" : : "a"(value), "d"(port)); }
static inline u8 inb(u16 port) { u8 value; asm volatile("in al, dx" : "=a"(value) : "d"(port)); return value; }
static inline u16 inw(u16 port) { u16 value; asm volatile("in ax, dx" : "=a"(value) : "d"(port)); return value; }
static inline u32 inl(u16 port) { u32 value; asm volatile("in eax, dx" : "=a"(value) : "d"(port)); return value; }

#define CONTROL_REGISTER(name)                                                                                      \
    static inline u32 name(void) {                                                                                  \
        u32 value;                                                                                                  \
        asm volatile("mov %0, " #name : "=r"(value) : : "memory");                                                  \
        return value;                                                                                               \
    }                                                                                                               \
    static inline void set_##name(u32 value) { asm volatile("mov " #name ", %0" : : "r"(value) : "memory"); }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr6)

static inline u32 flags(void) { u32 value; asm volatile("pushfd; pop %0" : "=r"(value) : : "memory"); return value; }
static inline void set_flags(u32 value) { asm volatile("push %0; popfd" : : "r"(value) : "memory", "cc"); }
static inline u16 selector_cs(void) { u16 value; asm volatile("mov %0, cs" : "=r"(value)); return value; }
static inline u16 selector_ss(void) { u16 value; asm volatile("mov %0, ss" : "=r"(value)); return value; }
static inline u32 privilege(void) { return selector_cs() & 3; }
static inline void cli(void) { asm volatile("cli" : : : "memory"); }
static inline void sti(void) { asm volatile("sti" : : : "memory"); }
static inline void invlpg(u32 at) { asm volatile("invlpg [%0]" : : "r"(at) : "memory"); }

/* Sleep until an interrupt has been served.  STI's shadow covers the HLT, so none can slip in between. */
static inline void sleep_until_interrupt(void) { asm volatile("sti; hlt; cli" : : : "memory"); }

struct cpuid { u32 eax, ebx, ecx, edx; };
static inline struct cpuid cpuid(u32 leaf) {
    struct cpuid id;
    asm volatile("cpuid" : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx) : "a"(leaf), "c"(0));
    return id;
}
static inline u64 rdtsc(void) { u64 ticks; asm volatile("rdtsc" : "=A"(ticks)); return ticks; }
static inline u64 rdmsr(u32 msr) { u64 value; asm volatile("rdmsr" : "=A"(value) : "c"(msr)); return value; }
static inline void wrmsr(u32 msr, u64 value) { asm volatile("wrmsr" : : "A"(value), "c"(msr) : "memory"); }
