#include <Python.h>

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "hillemu.emu.cpu._core", .m_size = -1};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModule_Create(&module);
}
