/* Finds translations that are used although the page tables have changed: a missing INVLPG.  (Native mode only.)
 *
 * A processor may keep every translation that it has used since the last flush, however many there are; so does this:
 *
 *   use       QEMU fills its soft TLB: the entries of the page's tables are noted, and their frames watched
 *   change    a store, a device or the host changes such an entry, so that it leads elsewhere or allows less
 *   flush     INVLPG, CR3 (not global pages), a change of CR0.PG, CR4.PSE, PAE or PGE, a page fault there: it is forgotten
 *   finding   the page is accessed after the change and before a flush, in a way that the new entries do not allow alike
 *
 * QEMU's soft TLB lets go of a page whose entry changes, so that the next access is seen; it finds the new entries.  So
 * from a finding on a run may go another way than it would without this: hardware may go either.
 *
 * Bits that the processor sets itself, A and D, are no change; nor are more rights, which cost a processor a page fault
 * at most.  Not seen: code that goes on in the page that it unmaps, until something leads there again; A and D that the
 * guest clears without a flush; changes of PAE's page-directory pointers, which are read with CR3 only.
 *
 * Who changed an entry and who used it is told with its callers: tlb_lint_calls.c.
 *
 * Source: Intel SDM Vol. 3A, "Caching Translation Information", "Invalidation of TLBs and Paging-Structure Caches".
 */
#ifndef HILLEMU_TLB_LINT_H
#define HILLEMU_TLB_LINT_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "memory_model.h"

typedef struct Core Core;
typedef struct TlbLint TlbLint;

void tlb_lint_translate(Core *core, const void *tb); /* its last instruction may be a CALL or RET */
bool tlb_lint_is_table(const TlbLint *lint, uint64_t frame);
/* The soft TLB is about to be filled for an access; a finding is told. */
void tlb_lint_before_fill(Core *core, uint32_t linear, int access, int mmu, uintptr_t ra);
void tlb_lint_filled(Core *core, uint32_t linear);
void tlb_lint_stored(Core *core, uint32_t linear, int size, int mmu, uintptr_t ra); /* through the slow path */
void tlb_lint_host_wrote(Core *core, uint64_t physical, uint64_t size);
void tlb_lint_control(Core *core, ControlEvent event); /* behind a change of CR0, CR3 or CR4 */
void tlb_lint_page_fault(Core *core); /* at CR2 */
void tlb_lint_invlpg(Core *core, uint32_t linear);
void tlb_lint_forget(Core *core); /* all translations */
void tlb_lint_end(Core *core);

/* Methods of the Python type. */
PyObject *core_lint_tlb(Core *core, PyObject *unused);
PyObject *core_tlb_findings(Core *core, PyObject *unused);
#define LINT_METHODS METHOD(lint_tlb, METH_NOARGS), METHOD(tlb_findings, METH_NOARGS)

#endif
