/* The registers of the x87 and of SSE, as bytes: for who looks from outside.
 *
 * Names are the manual's: st0-st7 (10 bytes, from the top of the stack), fcw, fsw, ftw (the full tag word), fop, fcs, fip,
 * fds, fdp, xmm0-xmm7 (16 bytes), mxcsr.
 */
#include <string.h>

#include "core.h"

enum { UC_ST0 = 114, UC_XMM0 = 122, LONGEST = 16 };

static const struct {
    const char *name;
    int id, size;
} controls[] = {
    {"fcw", 246, 2}, {"fsw", 31, 2}, {"ftw", 247, 2}, {"fop", 258, 2},   {"fcs", 255, 2},
    {"fip", 254, 8}, {"fds", 257, 2}, {"fdp", 256, 8}, {"mxcsr", 249, 4},
};

static bool find(const char *name, int *id, int *size)
{
    bool is_st = !strncmp(name, "st", 2), is_xmm = !strncmp(name, "xmm", 3);
    const char *digit = name + (is_st ? 2 : 3);
    if ((is_st || is_xmm) && digit[0] >= '0' && digit[0] <= '7' && !digit[1]) {
        *id = (is_st ? UC_ST0 : UC_XMM0) + digit[0] - '0';
        *size = is_st ? 10 : 16;
        return true;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(controls); i++) {
        if (!strcmp(name, controls[i].name)) {
            *id = controls[i].id;
            *size = controls[i].size;
            return true;
        }
    }
    PyErr_Format(PyExc_KeyError, "%s is no register of the FPU", name);
    return false;
}

PyObject *core_fpu_get(Core *core, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    int id, size;
    if (!text || !find(text, &id, &size))
        return NULL;
    char value[LONGEST] = {0};
    lib.reg_read(core->uc, id, value);
    return PyBytes_FromStringAndSize(value, size);
}

PyObject *core_fpu_set(Core *core, PyObject *args)
{
    const char *name;
    Py_buffer data;
    int id, size;
    if (!PyArg_ParseTuple(args, "sy*", &name, &data))
        return NULL;
    bool found = find(name, &id, &size);
    if (found && data.len != size)
        PyErr_Format(PyExc_ValueError, "%s has %d bytes, not %zd", name, size, data.len);
    else if (found)
        lib.reg_write(core->uc, id, data.buf);
    PyBuffer_Release(&data);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}
