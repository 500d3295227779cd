/* The Python type's methods for the TLB lint. */
#include "tlb_lint_internal.h"

/* lint_tlb(): from here on. */
PyObject *core_lint_tlb(Core *core, PyObject *unused)
{
    if (!core->native || core->running)
        return PyErr_Format(PyExc_RuntimeError, "only on the native core, and not while it runs");
    if (core->lint)
        Py_RETURN_NONE;
    TlbLint *lint = calloc(1, sizeof *lint);
    if (lint) {
        lint->pages = calloc(LINT_PAGES, sizeof *lint->pages);
        lint->tables = calloc(FRAMES / 8, 1);
        core->lint = lint;
    }
    if (!lint || !lint_begin_calls(lint) || !lint->pages || !lint->tables) {
        tlb_lint_end(core);
        return PyErr_NoMemory();
    }
    lint->generation = lint->global_generation = 1;
    tlb_lint_control(core, CONTROL_CR3);
    lib.tlb_flush(core->cpu);
    lib.tb_flush(core->cpu); /* blocks with CALL and RET are translated anew */
    Py_RETURN_NONE;
}

/* The known ones, the innermost first. */
static PyObject *callers_of(const Place *place)
{
    Py_ssize_t count = 0;
    while (count < LINT_CALLERS && place->callers[count])
        count++;
    PyObject *callers = PyTuple_New(count);
    for (Py_ssize_t i = 0; callers && i < count; i++) {
        PyObject *pc = PyLong_FromUnsignedLong(place->callers[i]);
        if (!pc)
            Py_CLEAR(callers);
        else
            PyTuple_SET_ITEM(callers, i, pc);
    }
    return callers;
}

/* tlb_findings(): (how many were not kept, [the fields of tlb_lint.py's StaleUse]) */
PyObject *core_tlb_findings(Core *core, PyObject *unused)
{
    TlbLint *lint = core->lint;
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && lint && i < lint->finding_count; i++) {
        const Finding *found = &lint->findings[i];
        const UsedPage *page = &found->page;
        int level = page->level;
        PyObject *item =
            Py_BuildValue("IIINLKKNKKINLNN", found->address, found->access, found->used.pc, callers_of(&found->used),
                          (long long)found->used.instructions, (unsigned long long)found->times,
                          (unsigned long long)page->entries.at[level], PyBool_FromLong(level == 0),
                          (unsigned long long)page->entries.value[level], (unsigned long long)page->changed_to,
                          page->changed.pc, callers_of(&page->changed), (long long)page->changed.instructions,
                          PyBool_FromLong(page->by_host), PyBool_FromLong(found->in_model));
        if (!item || PyList_Append(list, item))
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list ? Py_BuildValue("KN", (unsigned long long)(lint ? lint->dropped : 0), list) : NULL;
}

void tlb_lint_end(Core *core)
{
    if (!core->lint)
        return;
    free(core->lint->pages);
    free(core->lint->tables);
    free(core->lint->calls);
    free(core->lint);
    core->lint = NULL;
}
