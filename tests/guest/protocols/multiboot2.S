/* A Multiboot 2 kernel that says what its loader handed over, for comparing loaders: the registers, then the whole
   information structure, in hexadecimal on COM1.  What it asks for is chosen with -D:

       RELOCATE=preference   a relocatable tag: 2 MiB to 16 MiB, aligned to 64 KiB
       GRAPHICS              a framebuffer tag: 800x600, 32 bits per pixel
       ADDRESSES             address and entry tags, and no ELF headers needed

   Position-independent, because it may be moved.

   Source: Multiboot2 Specification 2.0, "OS image format", "I386 machine state". */
.intel_syntax noprefix

.equ COM1, 0x3F8
.equ DEBUG_EXIT, 0xF4

.text
.code32
.balign 8
header:
    .long 0xE85250D6, 0, header_end - header, -(0xE85250D6 + 0 + header_end - header)
    .balign 8
1:  .short 1, 0                             # information request
    .long 2f - 1b, 1, 2, 3, 4, 6, 8, 9, 14, 15, 21
2:  .balign 8
    .short 6, 0                             # module alignment
    .long 8
    .balign 8
    .short 0x1234, 1                        # unknown, but optional
    .long 8
#ifdef RELOCATE
    .balign 8
    .short 10, 0
    .long 24, 0x200000, 0x1000000, 0x10000, RELOCATE
#endif
#ifdef GRAPHICS
    .balign 8
    .short 5, 0
    .long 20, 800, 600, 32
#endif
#ifdef ADDRESSES
    .balign 8
    .short 2, 0
    .long 24, header, header, image_end, bss_end
    .balign 8
    .short 3, 0
    .long 12, _start
#endif
    .balign 8
    .short 0, 0
    .long 8
header_end:

.global _start
_start:
    call 1f
1:  pop ebp                                 # where this instruction is
    lea esp, [ebp + stack_end - 1b]
    pushfd
    push cs
    push ds
    mov ecx, cr0
    push ecx
    lea ecx, [ebp - 5]                      # _start: the call is 5 bytes long
    push ecx
    push ebx
    push eax
    lea esi, [ebp + where - 1b]
    call string
    mov edi, 7                              # EAX EBX _start CR0 DS CS EFLAGS
2:  pop eax
    call number
    dec edi
    jnz 2b
    lea esi, [ebp + tags - 1b]
    call string
    mov esi, ebx
    mov edi, [ebx]                          # total size
3:  lodsd
    call number
    sub edi, 4
    ja 3b
    lea esi, [ebp + done - 1b]
    call string
    mov al, 0x10
    out DEBUG_EXIT, al
4:  cli
    hlt
    jmp 4b

string:                                     # at ESI, with a NUL
    lodsb
    test al, al
    jz 1f
    call letter
    jmp string
1:  ret

number:                                     # EAX, and a space
    mov ecx, 8
1:  rol eax, 4
    push eax
    and al, 15
    cmp al, 10
    sbb al, 0x69
    das
    call letter
    pop eax
    loop 1b
    push eax
    mov al, ' '
    call letter
    pop eax
    ret

letter:
    push edx
    push eax
    mov edx, COM1 + 5
1:  in al, dx
    test al, 0x20
    jz 1b
    pop eax
    mov edx, COM1
    out dx, al
    pop edx
    ret

where:  .asciz "\nregisters "
tags:   .asciz "\ninformation "
done:   .asciz "\ndone\n"
.balign 16
.skip 256
stack_end:
image_end:

.bss
.skip 4096
bss_end:
