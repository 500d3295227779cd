/* The Python type's methods for observers; emu/cpu/core.py documents them. */
#include "core.h"

/* set_observer(callback, kinds): `callback(kind, tuple)` is called for accesses, arrivals, and these EventKinds. */
PyObject *core_set_observer(Core *core, PyObject *args)
{
    PyObject *callback;
    int kinds;
    if (!PyArg_ParseTuple(args, "Oi", &callback, &kinds))
        return NULL;
    Py_XSETREF(core->seen.on_event, Py_NewRef(callback));
    core->seen.wanted = kinds;
    Py_RETURN_NONE;
}

/* add_watch(id, start, end, kinds, physical, stops) */
PyObject *core_add_watch(Core *core, PyObject *args)
{
    unsigned id;
    unsigned long long start, end;
    int kinds, physical, stops;
    if (!PyArg_ParseTuple(args, "IKKipp", &id, &start, &end, &kinds, &physical, &stops))
        return NULL;
    if (!core->native)
        return PyErr_Format(PyExc_RuntimeError, "the portable core cannot watch memory");
    Watch watch = {start, end, id, (uint8_t)kinds, physical, stops};
    if (!watch_add(core, watch))
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

PyObject *core_remove_watch(Core *core, PyObject *id)
{
    unsigned long number = PyLong_AsUnsignedLong(id);
    if (PyErr_Occurred())
        return NULL;
    if (!watch_remove(core, (uint32_t)number))
        return PyErr_Format(PyExc_KeyError, "no watch %lu", number);
    Py_RETURN_NONE;
}

/* page_faults(): how many there were, and the last of them as (address, error code, cs, eip, cr3, instructions). */
PyObject *core_page_faults(Core *core, PyObject *unused)
{
    const Observers *seen = &core->seen;
    uint64_t kept = seen->page_fault_count - seen->oldest_page_fault;
    PyObject *list = PyList_New((Py_ssize_t)kept);
    for (uint64_t i = 0; list && i < kept; i++) {
        const PageFault *fault = &seen->page_faults[(seen->oldest_page_fault + i) % PAGE_FAULTS_KEPT];
        PyObject *item = page_fault_tuple(fault);
        if (!item)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list ? Py_BuildValue("KN", (unsigned long long)seen->page_fault_count, list) : NULL;
}
