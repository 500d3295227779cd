# void bios(u8 vector, struct bios_registers *registers): see bios.h.
#
# What runs in real mode is copied to segment 0x800 at each call, with the registers and the vector in it.
.intel_syntax noprefix

.set REAL_SEGMENT, 0x800
.set REAL_BASE, REAL_SEGMENT * 16
.set STACK_TOP, 0x6000              # in that segment
.set CODE_16, 0xE8                  # the GDT's last slots, which no guest uses
.set DATA_16, 0xF0
.set FLAT_CODE, 0x08
.set FLAT_DATA, 0x10
.set REGISTER_BYTES, 36

.section .rodata
.code16
real_part:
    mov ax, DATA_16
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    ljmp REAL_SEGMENT, offset 1f - real_part
1:  lidt cs:[real_idt - real_part]
    mov ax, REAL_SEGMENT
    mov ss, ax
    mov sp, STACK_TOP
    xor ax, ax
    mov fs, ax
    mov gs, ax
    mov ebx, cs:[r_ebx - real_part]
    mov ecx, cs:[r_ecx - real_part]
    mov edx, cs:[r_edx - real_part]
    mov esi, cs:[r_esi - real_part]
    mov edi, cs:[r_edi - real_part]
    mov ebp, cs:[r_ebp - real_part]
    mov ds, cs:[r_ds - real_part]
    mov es, cs:[r_es - real_part]
    mov eax, cs:[r_eax - real_part]
    push word ptr cs:[r_flags - real_part]
    popf
    .byte 0xCD                      # INT
vector:
    .byte 0
    pushf
    cli
    pop word ptr cs:[r_flags - real_part]
    mov cs:[r_eax - real_part], eax
    mov cs:[r_ebx - real_part], ebx
    mov cs:[r_ecx - real_part], ecx
    mov cs:[r_edx - real_part], edx
    mov cs:[r_esi - real_part], esi
    mov cs:[r_edi - real_part], edi
    mov cs:[r_ebp - real_part], ebp
    mov cs:[r_ds - real_part], ds
    mov cs:[r_es - real_part], es
    lgdtd cs:[protected_gdt - real_part]            # INT 15h, AH=87h loads the caller's
    lidtd cs:[protected_idt - real_part]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    ljmpd FLAT_CODE, offset back
real_idt:
    .word 0x3FF
    .long 0
protected_gdt:
    .word 0
    .long 0
protected_idt:
    .word 0
    .long 0
.balign 4
registers:
r_eax: .long 0
r_ebx: .long 0
r_ecx: .long 0
r_edx: .long 0
r_esi: .long 0
r_edi: .long 0
r_ebp: .long 0
r_ds: .word 0
r_es: .word 0
r_flags: .long 0
real_part_end:

.text
.code32
.globl bios
bios:
    pushad
    cld
    mov dword ptr [gdt + CODE_16], 0x8000FFFF       # base 0x8000, 64 KiB, 16-bit code
    mov dword ptr [gdt + CODE_16 + 4], 0x00009B00
    mov dword ptr [gdt + DATA_16], 0x0000FFFF       # base 0, likewise data
    mov dword ptr [gdt + DATA_16 + 4], 0x00009300
    mov esi, offset real_part
    mov edi, REAL_BASE
    mov ecx, offset real_part_end - real_part
    rep movsb
    mov esi, [esp + 40]                             # registers
    mov edi, REAL_BASE + (registers - real_part)
    mov ecx, REGISTER_BYTES
    rep movsb
    mov al, [esp + 36]
    mov [REAL_BASE + (vector - real_part)], al
    sgdt [REAL_BASE + (protected_gdt - real_part)]
    sidt [REAL_BASE + (protected_idt - real_part)]
    mov bios_esp, esp
    ljmp CODE_16, 0
back:
    mov eax, FLAT_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    mov esp, bios_esp
    mov esi, REAL_BASE + (registers - real_part)
    mov edi, [esp + 40]
    mov ecx, REGISTER_BYTES
    rep movsb
    popad
    ret

.bss
.align 4
bios_esp:
    .skip 4

.section .note.GNU-stack, "", @progbits
