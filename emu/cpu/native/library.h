/* The functions of libunicorn that the core uses: the public API and QEMU's own.  library.c finds them, all of them
 * before the first engine is made. */
#ifndef HILLEMU_LIBRARY_H
#define HILLEMU_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory_access.h"

typedef struct {
    unsigned (*version)(unsigned *, unsigned *);
    int (*open)(int, int, void **);
    int (*close)(void *);
    const char *(*strerror)(int);
    int (*ctl)(void *, int, ...);
    int (*emu_start)(void *, uint64_t, uint64_t, uint64_t, size_t);
    int (*hook_add)(void *, uintptr_t *, int, void *, void *, uint64_t, uint64_t, ...);
    int (*mem_map_ptr)(void *, uint64_t, uint64_t, uint32_t, void *);
    int (*mmio_map)(void *, uint64_t, uint64_t, void *, void *, void *, void *);
    int (*mem_unmap)(void *, uint64_t, uint64_t);
    int (*reg_read)(void *, int, void *);
    int (*reg_write)(void *, int, const void *);

    void *class_tlb_fill, *class_exec_interrupt; /* what a fresh processor's class points to */
    void (*do_interrupt)(void *cpu);
    void (*do_hardware_interrupt)(void *env, int vector, int is_hardware);
    int (*pending_interrupt)(void *cpu, int request);
    void (*raise_exception_err_ra)(void *env, int vector, int error_code, uintptr_t ra);
    bool (*restore_state)(void *cpu, uintptr_t host_pc, bool will_exit);
    void *(*tb_lookup)(void *tcg, uintptr_t host_pc);
    uint32_t (*read_code)(void *env, uint64_t at); /* one byte */
    void *(*probe_access)(void *env, uint64_t at, int size, int access, int mmu, uintptr_t ra);
    void (*tlb_flush)(void *cpu);
    void (*tlb_flush_page)(void *cpu, uint64_t at);
    void (*tlb_flush_by_mode)(void *cpu, uint16_t modes);
    void (*tb_flush)(void *cpu);
    void (*tb_invalidate)(void *uc, uint64_t start, uint64_t end);
    void (*store_to_code)(void *uc, void *pages, uint64_t ram, int size, uintptr_t ra);
    void (*reset_dirty)(void *cpu, uint64_t at, uint64_t size);
    uint64_t (*ram_address)(void *uc, void *host); /* what translated code is filed under */
    bool (*physical_address)(void *env, uint64_t at, int access, int mmu, uint64_t *physical);
    void (*set_a20)(void *cpu, int on);
    void (*update_cr0)(void *env, uint32_t value);
    void (*update_cr3)(void *env, uint64_t value);
    void (*update_cr4)(void *env, uint32_t value);
    void (*check_io[3])(void *env, uint32_t port); /* byte, word, dword */

    /* interposed or replaced in native mode: the originals */
    void (*check_exit_request)(void *tcg);
    void (*gen_call)(void *tcg, void *function, void *ret, int nargs, void **args);
    void (*gen_block)(void *cpu, void *tb, int max_insns);
    void (*loop_exit_noexc)(void *cpu); /* back to the main loop, without an exception */
    void *helper_check_exit_request;
    void *helper_in[3], *helper_out[3];
    void *helper_rcl[3], *helper_rcr[3]; /* byte, word, dword */
    void *helper_cpuid, *helper_rdtsc, *helper_rdtscp, *helper_rdmsr, *helper_wrmsr, *helper_sysenter;
    void *helper_bound, *helper_segments[6]; /* BOUND; those that load segment registers in protected mode */
    void *helper_far_jump, *helper_far_call, *helper_iret, *helper_iret_real;
    void *helper_write_crN, *helper_read_crN, *helper_write_eflags, *helper_read_eflags;
    void *helper_set_dr, *helper_get_dr, *helper_invlpg;
    void (*update_dr7)(void *env, uint32_t value);
#define MEMBER(name, ...) void *name;
    SLOW_ACCESSES(MEMBER) DIRECT_ACCESSES(MEMBER) /* memory_access.h */
#undef MEMBER

    /* emitters */
    void *(*temp_new)(void *tcg, int type, bool local);
    void (*temp_free)(void *tcg, void *temp);
    uintptr_t (*const_i32)(void *tcg, int32_t value);
    uintptr_t (*const_i64)(void *tcg, int64_t value);
    void (*op1)(void *tcg, int opcode, uintptr_t);
    void (*op2)(void *tcg, int opcode, uintptr_t, uintptr_t);
    void (*op3)(void *tcg, int opcode, uintptr_t, uintptr_t, uintptr_t);
    void (*brcondi_i64)(void *tcg, int condition, uintptr_t value, int64_t constant, void *label);
    void *(*new_label)(void *tcg);
    void (*deposit_i64)(void *tcg, uintptr_t result, uintptr_t into, uintptr_t from, unsigned at, unsigned bits);
} Library;

extern Library lib;
bool library_load(const char *path); /* sets a Python error on failure */

#endif
