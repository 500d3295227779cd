# The built-in guest: a small kernel that shows a PC at work, and checks it.
#
# It runs wherever a multiboot loader starts it, for example on QEMU:
#
#     qemu-system-i386 -kernel demo.elf -serial stdio
#
# Each check prints what it sees on the serial port and on the screen.  After the last one the program stops with
# interrupts off and HLT; if a check fails, it writes 1 to the isa-debug-exit port and stops.

.include "multiboot.inc"
.include "console.inc"
.include "memory_map.inc"
.include "descriptors.inc"
.include "paging.inc"
.include "timer.inc"
.include "ring3.inc"

.equ STACK_SIZE,   16384
.equ DEBUG_EXIT,   0xF4
.equ WAIT_TICKS,   10

multiboot_header MULTIBOOT_PAGE_ALIGN|MULTIBOOT_MEMORY_INFO

# check "text"                  Counts the check and says that it passed.
.macro check text
    inc dword ptr [checks_passed]
    print "ok: \text\n"
.endm

# expect eax, wanted            Stops the program unless the register has that value.
.macro expect register, wanted
    cmp \register, \wanted
    jne demo_failed
.endm

# expect_memory label, wanted   The same for 32 bits of memory.
.macro expect_memory label, wanted
    cmp dword ptr [\label], \wanted
    jne demo_failed
.endm

.bss
.balign 16
kernel_stack:  .space STACK_SIZE
kernel_stack_top:
checks_passed: .space 4

.text
.global _start
.type _start, @function
_start:
    # The loader leaves its magic number in EAX, the boot information's address in EBX, and no stack.
    mov esp, offset kernel_stack_top
    cld
    mov ebp, eax
    call console_init
    print "hillemu demo: a kernel in assembly\n"

    # 1. The loader, and its memory map.
    expect ebp, MULTIBOOT_LOADER_MAGIC
    call print_memory_map
    jc demo_failed
    expect_memory checks_passed, 0     # .bss is zero
    check "multiboot loader and memory map"

    # 2. Our own GDT, TSS and IDT: the task register is loaded, and a breakpoint comes back.
    call descriptors_init
    str eax
    and eax, 0xFFFF                         # the upper half of a register operand is undefined on old processors
    expect eax, TASK
    int3
    expect_memory breakpoints_seen, 1
    check "descriptor tables and exceptions"

    # 3. Paging: the same code answers at two addresses.
    call paging_init
    call where_am_i
    mov ebx, eax
    mov eax, offset where_am_i + HIGH_HALF
    call eax
    print "paging: the page at 0x"
    print_hex ebx
    print " is also at 0x"
    print_hex eax
    print "\n"
    sub eax, HIGH_HALF
    expect eax, ebx
    check "paging and the higher half"

    # 4. Interrupts: sleep for ten ticks of the timer.
    call timer_init
    mov ecx, WAIT_TICKS
    call timer_wait
    cmp dword ptr [ticks], WAIT_TICKS
    jb demo_failed
    print "timer: 10 ticks at 100 Hz\n"
    check "timer interrupts"

    # 5. A page fault: the write below reaches an unmapped page, and its handler maps one.
    mov dword ptr [HOLE], HOLE_COOKIE
    expect_memory hole_frame, HOLE_COOKIE
    expect_memory faults_seen, 1
    expect_memory fault_address, HOLE
    expect_memory fault_error, FAULT_WRITE_NOT_PRESENT
    check "page fault on demand"

    # 6. Ring 3 and back.
    call run_user_program
    expect eax, USER_STATUS
    expect_memory calls_seen, 2
    expect_memory user_ring, 3
    check "ring 3 and system calls"

    print "hillemu demo: all "
    print_decimal [checks_passed]
    print " checks passed\n"
    jmp stop

demo_failed:
    print "hillemu demo: FAILED after "
    print_decimal [checks_passed]
    print " checks\n"
    out_byte DEBUG_EXIT, 1

stop:
    cli
    hlt
    jmp stop                                # only a non-maskable interrupt gets here
