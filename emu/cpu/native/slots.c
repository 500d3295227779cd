/* Redirects calls inside libunicorn: they go through its PLT and GOT, or through tables in its data, and this writes
 * the slots there. */
#define _GNU_SOURCE
#include "core.h"

#define INSTEAD "; HILLEMU_CORE=portable does without"

#if defined(__linux__) && defined(__x86_64__)

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

static bool make_writable(void *slot)
{
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t page = (uintptr_t)slot & ~(page_size - 1);
    return mprotect((void *)page, page_size, PROT_READ | PROT_WRITE) == 0;
}

static int patch_table(const struct link_map *map, const ElfW(Sym) * symbols, const ElfW(Rela) * table, size_t bytes,
                       Replacement *replacements, size_t count)
{
    for (size_t i = 0; i < bytes / sizeof(*table); i++) {
        unsigned kind = ELF64_R_TYPE(table[i].r_info);
        bool in_data = kind == R_X86_64_64;
        if (kind != R_X86_64_JUMP_SLOT && kind != R_X86_64_GLOB_DAT && !in_data)
            continue;
        uintptr_t value = map->l_addr + symbols[ELF64_R_SYM(table[i].r_info)].st_value;
        for (size_t k = 0; k < count; k++) {
            if (value != (uintptr_t)replacements[k].original || in_data != replacements[k].in_data)
                continue;
            void **slot = (void **)(map->l_addr + table[i].r_offset);
            if (!make_writable(slot))
                return -1;
            *slot = replacements[k].replacement;
            replacements[k].slots++;
        }
    }
    return 0;
}

bool slots_redirect(Replacement *replacements, size_t count)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (!dladdr1((void *)lib.open, &info, (void **)&map, RTLD_DL_LINKMAP) || !map) {
        PyErr_SetString(PyExc_ImportError, "the dynamic linker does not know libunicorn" INSTEAD);
        return false;
    }
    const ElfW(Sym) *symbols = NULL;
    const ElfW(Rela) *rela = NULL, *plt = NULL;
    size_t rela_bytes = 0, plt_bytes = 0;
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB: symbols = (const void *)entry->d_un.d_ptr; break;
        case DT_RELA: rela = (const void *)entry->d_un.d_ptr; break;
        case DT_RELASZ: rela_bytes = entry->d_un.d_val; break;
        case DT_JMPREL: plt = (const void *)entry->d_un.d_ptr; break;
        case DT_PLTRELSZ: plt_bytes = entry->d_un.d_val; break;
        }
    }
    if (!symbols || patch_table(map, symbols, plt, plt_bytes, replacements, count) < 0 ||
        patch_table(map, symbols, rela, rela_bytes, replacements, count) < 0) {
        PyErr_SetString(PyExc_ImportError, "libunicorn's relocations cannot be changed" INSTEAD);
        return false;
    }
    for (size_t k = 0; k < count; k++) {
        if (replacements[k].slots == 0) {
            PyErr_SetString(PyExc_ImportError, "libunicorn calls its own functions directly" INSTEAD);
            return false;
        }
    }
    return true;
}

#else

bool slots_redirect(Replacement *replacements, size_t count)
{
    (void)replacements;
    (void)count;
    PyErr_SetString(PyExc_ImportError, "calls inside libunicorn can be redirected only on Linux on x86-64" INSTEAD);
    return false;
}

#endif
