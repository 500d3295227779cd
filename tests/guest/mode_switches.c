/* Protected mode, real mode and back: what boot loaders and BIOS callers do all the time.  Thunks, unreal mode, 16-bit
   protected segments, 16-bit gates, a moved interrupt vector table, and every way to switch A20.

   Source: Intel SDM Vol. 3A, "Mode Switching", "Mixing 16-Bit and 32-Bit Code"; Vol. 3B, "Real-Address Mode Operation",
   "Interrupt and Exception Handling" there. */
#include "pic.h"
#include "trap.h"

enum { CODE_16 = SLOT_FREE, DATA_16 = SLOT_FREE + 8, BASED = SLOT_FREE + 16 };
enum { REAL_CODE = 0x700, REAL_STACK = 0x800, REAL_STACK_TOP = 0x1000, OTHER_IVT = 0xA000 };
enum { OWN_VECTOR = 0x60, GATE_VECTOR = 0x61, GATE_286 = 0x06, D_BIT = 22 };

extern const u8 real_code[], real_code_end[], real_int[], real_faults[], real_timer[], real_unreal[], real_based[],
    real_a20[], real_moved[], real_big_operands[], real_msw[], far_16[], gate_16[], serve_own[], serve_fault[],
    serve_timer[], serve_other[], fault_divide[], fault_opcode[], fault_lldt[], trap_break[], fault_bound[],
    trap_overflow[], behind_int[], behind_gate[];

/* Physical memory by address; the 16-bit code leaves its results from 0x500 on. */
static volatile u16 *word_at(u32 at) {
    asm("" : "+r"(at)); /* gcc does not believe in memory below 4 KiB */
    return (volatile u16 *)at;
}
static u16 word(u32 at) { return *word_at(at); }
static u32 dword(u32 at) { return *(volatile u32 *)word_at(at); }

asm(".section .rodata\n"
    ".code16\n"
    "real_code:\n"
    /* From 32-bit code: EBX = what to call in real mode.  CS is CODE_16, whose base is that of segment REAL_CODE. */
    "to_real:\n"
    "    mov ax, 0x38; mov ds, ax; mov es, ax; mov fs, ax; mov gs, ax; mov ss, ax\n"
    "    mov eax, cr0; and al, 0xFE; mov cr0, eax\n"
    "    ljmp 0x700, offset 1f - real_code\n"
    "1:  xor ax, ax; mov ds, ax; mov es, ax; mov fs, ax; mov gs, ax\n"
    "    mov ax, 0x800; mov ss, ax; mov sp, 0x1000\n"
    "    lidt cs:[ivt_register - real_code]\n"
    "    call bx\n"
    "    cli\n"
    "    lidtd cs:[idt_register - real_code]\n"
    "    mov eax, cr0; or al, 1; mov cr0, eax\n"
    "    ljmpd 0x08, offset from_real\n"
    "ivt_register: .word 0x3FF; .long 0\n"
    "other_ivt_register: .word 0x3FF; .long 0xA000\n"
    "idt_register: .word 0x7FF; .long idt\n"

    "real_int:\n"                            /* INT, its frame, IRET, and who we are */
    "    mov [0x500], cs; mov [0x502], ss; mov [0x504], sp\n"
    "    stc; mov ax, 0x1111; int 0x60\n"
    "behind_int: pushf; pop dx\n"
    "    mov [0x506], ax; mov [0x508], dx\n"
    "    smsw ax; mov [0x50A], ax\n"
    "    ret\n"
    "serve_own:\n"                           /* SP: IP, CS, FLAGS */
    "    push bp; mov bp, sp; mov ax, [bp+2]; mov [0x510], ax; mov ax, [bp+4]; mov [0x512], ax\n"
    "    mov ax, [bp+6]; mov [0x516], ax; pop bp\n"
    "    pushf; pop ax; mov [0x514], ax; mov ax, 0x2222; iret\n"

    "real_faults:\n"                         /* faults push their own address, traps the next one */
    "    xor cx, cx; xor dx, dx; mov ax, 1\n"
    "fault_divide: div cx\n"
    "fault_opcode: ud2\n"
    "fault_lldt: lldt ax\n"
    "trap_break: int3\n"
    "    mov word ptr [0x520], 5; mov word ptr [0x522], 9; mov ax, 10\n"
    "fault_bound: bound ax, [0x520]\n"
    "    mov al, 0x7F; add al, 1\n"
    "trap_overflow: into\n"
    "    ret\n"
    "serve_fault:\n"                         /* note IP; step over what is two or more bytes long */
    "    push bp; mov bp, sp; push bx; push ax\n"
    "    mov bx, [0x51E]; mov ax, [bp+2]; mov [bx], ax; add word ptr [0x51E], 2\n"
    "    push si; mov si, ax; mov al, cs:[si]; pop si\n"
    "    cmp al, 0xF7; je 2f; cmp al, 0x0F; je 1f; cmp al, 0x62; je 4f; jmp 5f\n"
    "1:  push si; mov si, [bp+2]; mov al, cs:[si+1]; pop si; cmp al, 0; jne 2f; inc word ptr [bp+2]\n" /* LLDT: 3 */
    "2:  add word ptr [bp+2], 2; jmp 5f\n"
    "4:  add word ptr [bp+2], 4\n"
    "5:  pop ax; pop bx; pop bp; iret\n"

    "real_timer:\n"                          /* interrupts in real mode, with HLT */
    "    mov word ptr [0x528], 0; sti\n"
    "1:  hlt; cmp word ptr [0x528], 3; jb 1b; cli; ret\n"
    "serve_timer: push ax; inc word ptr [0x528]; mov al, 0x20; out 0x20, al; pop ax; iret\n"

    "real_unreal:\n"                         /* a flat DS that real mode keeps, also after its base is reloaded */
    "    cli; mov eax, cr0; or al, 1; mov cr0, eax\n"
    "    mov bx, 0x10; mov ds, bx\n"
    "    and al, 0xFE; mov cr0, eax\n"
    "    mov esi, 0x200000; mov dword ptr [esi], 0x12345678; mov ebx, [esi]; mov cs:[scratch - real_code], ebx\n"
    "    xor ax, ax; mov ds, ax\n"
    "    mov ebx, [esi]; mov [0x544], ebx\n"
    "    mov ebx, cs:[scratch - real_code]; mov [0x540], ebx\n"
    "    ret\n"
    "scratch: .long 0\n"

    "real_based:\n"                          /* the base of a descriptor stays until the next load */
    "    cli; mov eax, cr0; or al, 1; mov cr0, eax\n"
    "    mov bx, 0x40; mov fs, bx\n"
    "    and al, 0xFE; mov cr0, eax\n"
    "    mov ax, fs:[2]; mov [0x530], ax\n"
    "    mov ax, 0x9000 >> 4; mov fs, ax; mov ax, fs:[2]; mov [0x532], ax\n"
    "    ret\n"

    /* A20 off and on, by the gate whose number is at 0x570.  FS reaches beyond 1 MiB: this guest's own code and
       tables are there, and cannot be used meanwhile. */
    "real_a20:\n"
    "    cli; mov eax, cr0; or al, 1; mov cr0, eax; mov bx, 0x10; mov fs, bx; and al, 0xFE; mov cr0, eax\n"
    "    mov ax, 0xFFFF; mov es, ax; mov esi, 0x100500\n"
    "    mov ax, es:[0x510]; mov [0x572], ax\n"
    "    mov cl, 0; call set_a20\n"
    "    mov ax, es:[0x510]; mov [0x574], ax; mov ax, fs:[esi]; mov [0x576], ax\n"
    "    mov word ptr es:[0x510], 0x3333; mov ax, [0x500]; mov [0x578], ax\n"
    "    mov cl, 2; call set_a20\n"
    "    mov ax, es:[0x510]; mov [0x57A], ax; mov ax, [0x500]; mov [0x57C], ax\n"
    "    ret\n"
    "set_a20:\n"                            /* CL = 2: on, 0: off */
    "    cmp byte ptr [0x570], 1; je 1f; ja 2f\n"
    "    in al, 0x92; and al, 0xFC; or al, cl; out 0x92, al; ret\n"
    "1:  call wait_8042; mov al, 0xD1; out 0x64, al; call wait_8042; mov al, 0xDD; or al, cl; out 0x60, al; jmp wait_8042\n"
    "2:  call wait_8042; mov al, 0xDD; or al, cl; out 0x64, al\n"
    "wait_8042: in al, 0x64; test al, 2; jnz wait_8042; ret\n"

    "real_moved:\n"
    "    lidt cs:[other_ivt_register - real_code]; int 0x60; mov [0x536], ax; sidt [0x548]; ret\n"
    "serve_other: mov ax, 0x3333; iret\n"

    "real_big_operands:\n"                   /* 32-bit operands and addresses in 16-bit code */
    "    mov eax, 0x89ABCDEF; mov esi, 0x500; mov ecx, 4; mov dword ptr [esi+ecx*4+0x40], eax\n"
    "    push eax; pop cx; pop dx; mov [0x538], cx; mov [0x53A], dx\n"
    "    pushfd; pop eax; mov [0x554], eax\n"
    "    mov eax, 0xFFFF; add ax, 2; mov [0x558], eax\n"
    "    ret\n"

    "real_msw:\n"                            /* LMSW sets PE and cannot clear it */
    "    cli; smsw ax; or al, 1; lmsw ax; jmp 1f\n"
    "1:  and al, 0xFE; lmsw ax; mov ebx, cr0; mov [0x55C], ebx\n"
    "    and bl, 0xFE; mov cr0, ebx; mov ebx, cr0; mov [0x560], ebx\n"
    "    ret\n"

    /* 16-bit protected mode, far-called from 32-bit code with a 32-bit frame; DS is flat. */
    "far_16:\n"
    "    mov ax, 0xFFFF; add ax, 3; mov ds:[0x53C], ax\n"
    "    mov edx, esp; mov cx, ss; mov ax, 0x38; mov ss, ax; mov esp, 0x12340004\n"
    "    push ax; push ax; push ax\n"        /* SP wraps from 0 to FFFE; the upper half of ESP stays */
    "    mov ebx, esp; mov ss, cx; mov esp, edx; mov ds:[0x564], ebx\n"
    "    stc; int 0x61\n"
    "behind_gate: lretd\n"
    "gate_16:\n"                             /* entered by a 286 interrupt gate: IP, CS, FLAGS of 16 bits */
    "    push bp\n"
    "    mov eax, [esp+2]; mov ds:[0x568], eax; mov ax, [esp+6]; mov ds:[0x56C], ax\n"
    "    pop bp; iret\n"
    "real_code_end:\n"
    ".code32\n"
    ".text\n"
    /* void thunk(u32 offset): call REAL_CODE:offset in real mode. */
    ".globl thunk\n"
    "thunk:\n"
    "    mov eax, [esp+4]\n"
    "    pushad; mov thunk_esp, esp; mov ebx, eax\n"
    "    ljmp 0x30, offset to_real - real_code\n"
    "from_real:\n"
    "    mov eax, 0x10; mov ds, eax; mov es, eax; mov fs, eax; mov gs, eax; mov ss, eax\n"
    "    mov esp, thunk_esp; popad; ret\n"
    ".comm thunk_esp, 4\n");

void thunk(u32 offset);
static void real(const u8 *code) { thunk(code - real_code); }
static u16 offset_of(const u8 *code) { return code - real_code; }
static void set_vector(u16 table, u8 vector, const u8 *code) {
    *word_at(table + 4 * vector) = offset_of(code);
    *word_at(table + 4 * vector + 2) = REAL_CODE;
}

static void check_a20(const char *gate, u16 number) {
    print("# %s\n", gate);
    *word_at(0x500) = 0x1111;
    *word_at(0x100500) = 0x2222;
    *word_at(0x570) = number;
    real(real_a20);
    same("A20 is on: FFFF:0510 is behind 1 MiB", word(0x572), 0x2222);
    same("off: it wraps", word(0x574), 0x1111);
    same("so does a 32-bit address", word(0x576), 0x1111);
    same("and a write", word(0x578), 0x3333);
    same("on again: what was behind 1 MiB is still there", word(0x57A), 0x2222);
    same("and the write went below", word(0x57C), 0x3333);
}

static u32 ticks;
static void count_tick(struct trap *trap) { (void)trap, ticks++, end_of_interrupt(IRQ_TIMER); }

static void check_interrupts(void) {
    set_vector(0, OWN_VECTOR, serve_own);
    real(real_int);
    same("CS is a paragraph number", word(0x500), REAL_CODE);
    same("so is SS", word(0x502), REAL_STACK);
    same("INT's frame has the IP behind it", word(0x510), offset_of(behind_int));
    same("and CS", word(0x512), REAL_CODE);
    same("and FLAGS, with CF", word(0x516) & (FLAG_CF | FLAG_IF), FLAG_CF);
    same("the handler runs with IF clear", word(0x514) & FLAG_IF, 0);
    same("its AX comes back", word(0x506), 0x2222);
    same("and IRET brings CF back", word(0x508) & FLAG_CF, FLAG_CF);
    same("SMSW: PE is clear", word(0x50A) & CR0_PE, 0);

    const volatile u16 *noted = word_at(0x5A0);
    *word_at(0x51E) = 0x5A0;
    static const u8 vectors[] = {DE, UD, BP, BR, OF};
    for (size_t i = 0; i < array_size(vectors); i++) set_vector(0, vectors[i], serve_fault);
    real(real_faults);
    same("#DE points at DIV", noted[0], offset_of(fault_divide));
    same("#UD at UD2", noted[1], offset_of(fault_opcode));
    same("#UD at LLDT, which real mode has not", noted[2], offset_of(fault_lldt));
    same("INT3 behind itself", noted[3], offset_of(trap_break) + 1);
    same("#BR at BOUND", noted[4], offset_of(fault_bound));
    same("INTO behind itself", noted[5], offset_of(trap_overflow) + 1);

    set_vector(OTHER_IVT, OWN_VECTOR, serve_other);
    real(real_moved);
    same("LIDT moves the vector table", word(0x536), 0x3333);
    same("SIDT stores its limit", word(0x548), 0x3FF);
    same("and base", word(0x54A), OTHER_IVT);

    set_up_pics();
    set_vector(0, IRQ_VECTOR + IRQ_TIMER, serve_timer);
    mask_irqs_except(1 << IRQ_TIMER);
    timer_every(2000);
    real(real_timer);
    same("three timer interrupts, each ending a HLT", word(0x528), 3);

    on_trap(IRQ_VECTOR + IRQ_TIMER, count_tick);
    u32 switches = 0;
    *word_at(0x528) = 0;
    for (; switches < 300; switches++) {
        if (switches % 100 == 50) sleep_until_interrupt();
        if (switches % 100 == 99) real(real_timer);
        real(real_int);
    }
    mask_irqs_except(0);
    check("300 thunks, interrupts on both sides", ticks >= 3 && word(0x528) == 3);
}

static void check_segments(void) {
    real(real_unreal);
    same("unreal mode: DS reaches 2 MiB", dword(0x540), 0x12345678);
    same("and after a load of DS, which changes the base only", dword(0x544), 0x12345678);
    ((volatile u16 *)0x8000)[1] = 0x8888;
    ((volatile u16 *)0x9000)[1] = 0x9999;
    real(real_based);
    same("the base of a descriptor outlives protected mode", word(0x530), 0x8888);
    same("until FS is loaded", word(0x532), 0x9999);
    real(real_big_operands);
    same("32-bit operands and scaled addresses in 16-bit code", dword(0x550), 0x89ABCDEF);
    same("PUSH of a dword, POP of words: low", word(0x538), 0xCDEF);
    same("and high", word(0x53A), 0x89AB);
    same("a 16-bit ADD leaves the upper half", dword(0x558), 0x0001);
    same("PUSHFD: bit 1, and no VM", dword(0x554) & (FLAG_VM | 2), 2);
    real(real_msw);
    same("LMSW does not clear PE", dword(0x55C) & CR0_PE, CR0_PE);
    same("MOV to CR0 does", dword(0x560) & CR0_PE, 0);
}

static void check_16_bit_protected_mode(void) {
    set_idt(GATE_VECTOR, gate(CODE_16, offset_of(gate_16), PRESENT | GATE_286, 0));
    struct __attribute__((packed)) { u32 offset; u16 selector; } far = {offset_of(far_16), CODE_16};
    asm volatile("lcall %0" : : "m"(far) : "eax", "ebx", "ecx", "edx", "memory");
    same("16-bit ADD in a 16-bit segment", word(0x53C), 2);
    same("PUSH on a 16-bit stack wraps SP and leaves the rest of ESP", dword(0x564), 0x1234FFFE);
    same("a 286 gate pushes IP and CS as words", dword(0x568), offset_of(behind_gate) | CODE_16 << 16);
    same("and FLAGS", word(0x56C) & (FLAG_CF | FLAG_IF), FLAG_CF);
}

int main(void) {
    title("mode switches");
    memcpy((void *)(REAL_CODE << 4), real_code, real_code_end - real_code);
    u64 code = segment(REAL_CODE << 4, 0xFFFF, PRESENT | CODE), data = segment(0, 0xFFFF, PRESENT | DATA_WRITABLE);
    set_gdt(CODE_16, code & ~(1ull << (32 + D_BIT)));
    set_gdt(DATA_16, data & ~(1ull << (32 + D_BIT)));
    set_gdt(BASED, segment(0x8000, 0xFFFF, PRESENT | DATA_WRITABLE));
    check_interrupts();
    check_segments();
    check_16_bit_protected_mode();
    check_a20("port 92h", 0);
    check_a20("the 8042's output port", 1);
    check_a20("the 8042's own commands", 2);
    return 0;
}
