"""Programs for a laboratory machine with paging on: 4 MiB mapped onto themselves, writable, for every ring."""

from __future__ import annotations

PAGED = """
    .equ DIRECTORY, 0x10000
    .equ TABLE, 0x11000
    .equ PAGE, 0x200000                     # the page that is played with, ...
    .equ ENTRY, TABLE + 0x800               # ... and its entry
    mov edi, TABLE
    mov eax, 7
1:  mov [edi], eax
    add edi, 4; add eax, 0x1000
    cmp eax, 0x400007
    jne 1b
    mov dword ptr [DIRECTORY], TABLE + 7
    mov eax, DIRECTORY; mov cr3, eax
    mov eax, cr0; or eax, 0x80010000; mov cr0, eax
"""
