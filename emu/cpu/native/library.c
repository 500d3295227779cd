/* Finds the functions of libunicorn that the core uses: the public API and QEMU's own, which the wheel exports. */
#include <dlfcn.h>

#include "core.h"

Library lib;

typedef struct {
    void *slot;
    const char *name;
} Import;

#define PUBLIC(field, name) {&lib.field, "uc_" name}
#define TARGET(field, name) {&lib.field, name "_x86_64"}
#define ACCESS(field, name, ...) TARGET(field, name),

static const Import imports[] = {
    PUBLIC(version, "version"),
    PUBLIC(open, "open"),
    PUBLIC(close, "close"),
    PUBLIC(strerror, "strerror"),
    PUBLIC(ctl, "ctl"),
    PUBLIC(emu_start, "emu_start"),
    PUBLIC(hook_add, "hook_add"),
    PUBLIC(mem_map_ptr, "mem_map_ptr"),
    PUBLIC(mmio_map, "mmio_map"),
    PUBLIC(mem_unmap, "mem_unmap"),
    PUBLIC(reg_read, "reg_read"),
    PUBLIC(reg_write, "reg_write"),
    TARGET(class_tlb_fill, "x86_cpu_tlb_fill"),
    TARGET(class_exec_interrupt, "x86_cpu_exec_interrupt"),
    TARGET(do_interrupt, "x86_cpu_do_interrupt"),
    TARGET(do_hardware_interrupt, "do_interrupt_x86_hardirq"),
    TARGET(pending_interrupt, "x86_cpu_pending_interrupt"),
    TARGET(raise_exception_err_ra, "raise_exception_err_ra"),
    TARGET(restore_state, "cpu_restore_state"),
    TARGET(loop_exit_noexc, "cpu_loop_exit_noexc"),
    TARGET(tb_lookup, "tcg_tb_lookup"),
    TARGET(read_code, "cpu_ldub_code"),
    TARGET(probe_access, "probe_access"),
    TARGET(tlb_flush, "tlb_flush"),
    TARGET(tlb_flush_page, "tlb_flush_page"),
    TARGET(tlb_flush_by_mode, "tlb_flush_by_mmuidx"),
    TARGET(tb_flush, "tb_flush"),
    TARGET(tb_invalidate, "tb_invalidate_phys_range"),
    TARGET(reset_dirty, "tlb_reset_dirty_by_vaddr"),
    TARGET(store_to_code, "tb_invalidate_phys_page_fast"),
    TARGET(ram_address, "qemu_ram_addr_from_host"),
    TARGET(physical_address, "tlb_vaddr_to_paddr"),
    TARGET(set_a20, "x86_cpu_set_a20"),
    TARGET(update_cr0, "cpu_x86_update_cr0"),
    TARGET(update_cr3, "cpu_x86_update_cr3"),
    TARGET(update_cr4, "cpu_x86_update_cr4"),
    TARGET(check_io[0], "helper_check_iob"),
    TARGET(check_io[1], "helper_check_iow"),
    TARGET(check_io[2], "helper_check_iol"),
    TARGET(check_exit_request, "check_exit_request"),
    TARGET(gen_call, "tcg_gen_callN"),
    TARGET(gen_block, "gen_intermediate_code"),
    TARGET(helper_check_exit_request, "helper_check_exit_request"),
    TARGET(helper_in[0], "helper_inb"),
    TARGET(helper_in[1], "helper_inw"),
    TARGET(helper_in[2], "helper_inl"),
    TARGET(helper_out[0], "helper_outb"),
    TARGET(helper_out[1], "helper_outw"),
    TARGET(helper_out[2], "helper_outl"),
    TARGET(helper_rcl[0], "helper_rclb"),
    TARGET(helper_rcl[1], "helper_rclw"),
    TARGET(helper_rcl[2], "helper_rcll"),
    TARGET(helper_rcr[0], "helper_rcrb"),
    TARGET(helper_rcr[1], "helper_rcrw"),
    TARGET(helper_rcr[2], "helper_rcrl"),
    TARGET(helper_cpuid, "helper_cpuid"),
    TARGET(helper_rdtsc, "helper_rdtsc"),
    TARGET(helper_rdtscp, "helper_rdtscp"),
    TARGET(helper_rdmsr, "helper_rdmsr"),
    TARGET(helper_wrmsr, "helper_wrmsr"),
    TARGET(helper_sysenter, "helper_sysenter"),
    TARGET(helper_bound, "helper_boundl"),
    TARGET(helper_segments[0], "helper_load_seg"),
    TARGET(helper_segments[1], "helper_ljmp_protected"),
    TARGET(helper_segments[2], "helper_lcall_protected"),
    TARGET(helper_segments[3], "helper_lret_protected"),
    TARGET(helper_segments[4], "helper_iret_protected"),
    TARGET(helper_segments[5], "helper_sysexit"),
    TARGET(helper_far_jump, "helper_ljmp_protected"),
    TARGET(helper_far_call, "helper_lcall_protected"),
    TARGET(helper_iret, "helper_iret_protected"),
    TARGET(helper_iret_real, "helper_iret_real"),
    TARGET(helper_write_crN, "helper_write_crN"),
    TARGET(helper_read_crN, "helper_read_crN"),
    TARGET(helper_write_eflags, "helper_write_eflags"),
    TARGET(helper_read_eflags, "helper_read_eflags"),
    TARGET(helper_set_dr, "helper_set_dr"),
    TARGET(helper_get_dr, "helper_get_dr"),
    TARGET(helper_invlpg, "helper_invlpg"),
    TARGET(update_dr7, "cpu_x86_update_dr7"),
    SLOW_ACCESSES(ACCESS) DIRECT_ACCESSES(ACCESS)
    TARGET(temp_new, "tcg_temp_new_internal"),
    TARGET(temp_free, "tcg_temp_free_internal"),
    TARGET(const_i32, "tcg_const_i32"),
    TARGET(const_i64, "tcg_const_i64"),
    TARGET(op1, "tcg_gen_op1"),
    TARGET(op2, "tcg_gen_op2"),
    TARGET(op3, "tcg_gen_op3"),
    TARGET(brcondi_i64, "tcg_gen_brcondi_i64"),
    TARGET(new_label, "gen_new_label"),
    TARGET(deposit_i64, "tcg_gen_deposit_i64"),
};

bool library_load(const char *path)
{
    static bool loaded;
    if (loaded)
        return true;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        PyErr_Format(PyExc_ImportError, "cannot load %s: %s", path, dlerror());
        return false;
    }
    lib.version = (unsigned (*)(unsigned *, unsigned *))dlsym(handle, "uc_version");
    unsigned found = lib.version ? lib.version(NULL, NULL) : 0;
    if (found >> 8 != LAYOUT_UNICORN_VERSION) {
        PyErr_Format(PyExc_ImportError,
                     "%s is Unicorn %u.%u.%u, and hillemu needs exactly 2.1.4: pip install unicorn==2.1.4", path,
                     found >> 24, found >> 16 & 255, found >> 8 & 255);
        return false;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(imports); i++) {
        void *function = dlsym(handle, imports[i].name);
        if (!function) {
            PyErr_Format(PyExc_ImportError,
                         "%s is no complete Unicorn 2.1.4: it has no function %s; pip install unicorn==2.1.4", path,
                         imports[i].name);
            return false;
        }
        *(void **)imports[i].slot = function;
    }
    loaded = true;
    return true;
}
