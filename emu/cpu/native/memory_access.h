/* The library's functions that access memory at linear addresses, one row each:
 *
 *   (name, the library's function, type of the value, bytes, how the value lies in memory)
 *
 * SLOW are what translated code calls where its quick look into the soft TLB is not enough; it finds them in a table.
 * DIRECT are what helpers call: descriptor loads, interrupt frames, FXSAVE, CMPXCHG8B, task switches, ...
 */
#ifndef HILLEMU_MEMORY_ACCESS_H
#define HILLEMU_MEMORY_ACCESS_H

#define SLOW_LOADS(ROW)                                                                                               \
    ROW(slow_load_1, "helper_ret_ldub_mmu", uint64_t, 1, as_it_is)                                                    \
    ROW(slow_load_2, "helper_le_lduw_mmu", uint64_t, 2, as_it_is)                                                     \
    ROW(slow_load_4, "helper_le_ldul_mmu", uint64_t, 4, as_it_is)                                                     \
    ROW(slow_load_8, "helper_le_ldq_mmu", uint64_t, 8, as_it_is)                                                      \
    ROW(slow_load_2_swapped, "helper_be_lduw_mmu", uint64_t, 2, swapped_16)                                           \
    ROW(slow_load_4_swapped, "helper_be_ldul_mmu", uint64_t, 4, swapped_32)                                           \
    ROW(slow_load_8_swapped, "helper_be_ldq_mmu", uint64_t, 8, swapped_64)

#define SLOW_STORES(ROW)                                                                                              \
    ROW(slow_store_1, "helper_ret_stb_mmu", uint8_t, 1, as_it_is)                                                     \
    ROW(slow_store_2, "helper_le_stw_mmu", uint16_t, 2, as_it_is)                                                     \
    ROW(slow_store_4, "helper_le_stl_mmu", uint32_t, 4, as_it_is)                                                     \
    ROW(slow_store_8, "helper_le_stq_mmu", uint64_t, 8, as_it_is)                                                     \
    ROW(slow_store_2_swapped, "helper_be_stw_mmu", uint16_t, 2, swapped_16)                                           \
    ROW(slow_store_4_swapped, "helper_be_stl_mmu", uint32_t, 4, swapped_32)                                           \
    ROW(slow_store_8_swapped, "helper_be_stq_mmu", uint64_t, 8, swapped_64)

#define DIRECT_LOADS(ROW)                                                                                             \
    ROW(direct_load_1, "cpu_ldub_mmuidx_ra", uint32_t, 1, as_it_is)                                                   \
    ROW(direct_load_2, "cpu_lduw_mmuidx_ra", uint32_t, 2, as_it_is)                                                   \
    ROW(direct_load_4, "cpu_ldl_mmuidx_ra", uint32_t, 4, as_it_is)                                                    \
    ROW(direct_load_8, "cpu_ldq_mmuidx_ra", uint64_t, 8, as_it_is)                                                    \
    ROW(direct_load_1_signed, "cpu_ldsb_mmuidx_ra", int32_t, 1, unsigned_8)                                           \
    ROW(direct_load_2_signed, "cpu_ldsw_mmuidx_ra", int32_t, 2, unsigned_16)

#define DIRECT_STORES(ROW)                                                                                            \
    ROW(direct_store_1, "cpu_stb_mmuidx_ra", uint32_t, 1, unsigned_8)                                                 \
    ROW(direct_store_2, "cpu_stw_mmuidx_ra", uint32_t, 2, unsigned_16)                                                \
    ROW(direct_store_4, "cpu_stl_mmuidx_ra", uint32_t, 4, as_it_is)                                                   \
    ROW(direct_store_8, "cpu_stq_mmuidx_ra", uint64_t, 8, as_it_is)

#define SLOW_ACCESSES(ROW) SLOW_LOADS(ROW) SLOW_STORES(ROW)
#define DIRECT_ACCESSES(ROW) DIRECT_LOADS(ROW) DIRECT_STORES(ROW)

#endif
