/* What lies where in physical memory: RAM, ROM and devices, as methods of the Python type. */
#include "core.h"

enum { PROT_ALL = 7 };

static PyObject *unicorn_error(const char *what, int error)
{
    return PyErr_Format(PyExc_RuntimeError, "%s: %s", what, lib.strerror(error));
}

/* The engine looks at this memory for as long as it lives, also after a part was unmapped. */
static PyObject *kept_view(Core *core, PyObject *object)
{
    if (!PyMemoryView_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "memory is mapped from a memoryview");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(core->buffers); i++)
        if (PyList_GET_ITEM(core->buffers, i) == object)
            return object;
    return PyList_Append(core->buffers, object) ? NULL : object;
}

PyObject *core_map_memory(Core *core, PyObject *args)
{
    unsigned long long at, offset, size;
    PyObject *object;
    int writable;
    if (!PyArg_ParseTuple(args, "KOKKp", &at, &object, &offset, &size, &writable))
        return NULL;
    PyObject *view = kept_view(core, object);
    if (!view)
        return NULL;
    Py_buffer *buffer = PyMemoryView_GET_BUFFER(view);
    if (buffer->readonly || offset + size > (unsigned long long)buffer->len)
        return PyErr_Format(PyExc_ValueError, "the buffer is read-only or too short");
    if (core->area_count == Py_ARRAY_LENGTH(core->areas))
        return PyErr_Format(PyExc_ValueError, "too many areas");
    char *host = (char *)buffer->buf + offset;
    int error = lib.mem_map_ptr(core->uc, at, size, PROT_ALL, host);
    if (error)
        return unicorn_error("Unicorn cannot map memory", error);
    uint64_t ram = lib.ram_address(core->uc, host);
    core->areas[core->area_count++] = (MemoryArea){at, at + size, host, ram, writable};
    Py_RETURN_NONE;
}

PyObject *core_map_mmio(Core *core, PyObject *args)
{
    unsigned long long at, size;
    if (!PyArg_ParseTuple(args, "KK", &at, &size))
        return NULL;
    MmioRegion *region = calloc(1, sizeof *region);
    if (!region)
        return PyErr_NoMemory();
    *region = (MmioRegion){core, at, core->mmio_regions};
    core->mmio_regions = region;
    int error = lib.mmio_map(core->uc, at, size, (void *)mmio_read, region, (void *)mmio_write, region);
    if (error)
        return unicorn_error("Unicorn cannot map a device", error);
    Py_RETURN_NONE;
}

/* Takes away what was mapped with exactly this base and size. */
PyObject *core_unmap(Core *core, PyObject *args)
{
    unsigned long long at, size;
    if (!PyArg_ParseTuple(args, "KK", &at, &size) || !is_stopped(core))
        return NULL;
    int error = tlb_unmap(core, at, size);
    if (error)
        return unicorn_error("Unicorn cannot unmap memory", error);
    for (size_t i = 0; i < core->area_count; i++)
        if (core->areas[i].base == at)
            core->areas[i--] = core->areas[--core->area_count];
    for (MmioRegion **link = &core->mmio_regions; *link; link = &(*link)->next) {
        if ((*link)->base == at) {
            MmioRegion *gone = *link;
            *link = gone->next;
            free(gone);
            break;
        }
    }
    Py_RETURN_NONE;
}

PyObject *core_host_wrote(Core *core, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "host_wrote takes an address and a number of bytes");
    unsigned long long at = PyLong_AsUnsignedLongLong(args[0]), size = PyLong_AsUnsignedLongLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    tlb_host_wrote(core, at, size);
    return observer_may_change(core) ? Py_NewRef(Py_None) : NULL;
}

PyObject *core_set_a20(Core *core, PyObject *on)
{
    lib.set_a20(core->cpu, PyObject_IsTrue(on));
    core->attention = true;
    rearm(core);
    Py_RETURN_NONE;
}
