/* BIOS services, called from 32-bit code: down to real mode and back.

   The caller's buffers for the services are at BIOS_BUFFER, below 1 MiB. */
#pragma once
#include "cpu.h"

struct bios_registers {
    u32 eax, ebx, ecx, edx, esi, edi, ebp;
    u16 ds, es;
    u32 flags;
};

enum { BIOS_BUFFER = 0xF000, BIOS_BUFFER_BYTES = 0x1000 };

/* INT `vector` with these registers, which then hold what came back.  FLAGS is loaded before INT: with IF set, interrupts
   that wait are taken first. */
void bios(u8 vector, struct bios_registers *registers);
