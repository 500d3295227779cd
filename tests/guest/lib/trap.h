/* Exceptions and interrupts: handlers by vector, and instructions that are attempted.

       ATTEMPT("div ecx", : : "a"(1), "d"(0), "c"(0));
       trapped("#DE: division by zero", DE, NO_ERROR, 0);

   ATTEMPT runs one instruction.  If it traps, the trap is remembered in `caught` and the guest goes on behind it. */
#pragma once
#include "segment.h"
#include "test.h"

struct trap {
    u32 gs, fs, es, ds, edi, esi, ebp, own_esp, ebx, edx, ecx, eax; /* pushed by the stub */
    u32 vector, error;
    u32 eip, cs, eflags;                /* pushed by the processor... */
    u32 esp, ss;                        /* ...from an outer ring */
    u32 vm_es, vm_ds, vm_fs, vm_gs;     /* ...from virtual-8086 mode */
};

typedef void handler(struct trap *);

/* Call `serve` for this vector; NULL for the standard behaviour: end an ATTEMPT, or else give up. */
void on_trap(u8 vector, handler *serve);

enum { NO_TRAP = 0xFFFF, NO_ERROR = 0 };

struct caught {
    u32 vector; /* NO_TRAP if nothing happened */
    u32 error;  /* 0 where the vector has no error code */
    u32 offset; /* of the pushed EIP from the attempted instruction: 0 for a fault, its length for a trap */
    u32 eflags, cs, cr2;
};
extern volatile struct caught caught;
extern volatile u32 attempt_at, attempt_resume;

#define ATTEMPT(instruction, ...)                                                                                   \
    do {                                                                                                            \
        caught = (struct caught){.vector = NO_TRAP};                                                                \
        asm volatile("mov dword ptr attempt_at, offset 10f\n"                                                       \
                     "mov dword ptr attempt_resume, offset 11f\n"                                                   \
                     "10: " instruction "\n"                                                                        \
                     "11:" __VA_ARGS__);                                                                            \
        attempt_resume = 0;                                                                                         \
    } while (0)

/* One assertion: the last ATTEMPT raised this vector with this error code, and EIP was `offset` bytes into it. */
void trapped(const char *name, u32 vector, u32 error, u32 offset);
void not_trapped(const char *name);

void set_up_traps(void);
extern u32 trap_stubs[256]; /* addresses of the stubs, for gates of the guest's own */
