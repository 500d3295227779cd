#ifndef HILLEMU_MEMORY_MODEL_TYPE_H
#define HILLEMU_MEMORY_MODEL_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

bool memory_model_type_add(PyObject *module); /* false: a Python error is set */

#endif
