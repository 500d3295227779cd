#ifndef HILLEMU_MEMORY_MODEL_TYPE_H
#define HILLEMU_MEMORY_MODEL_TYPE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "memory_model.h"

bool memory_model_type_add(PyObject *module); /* false: a Python error is set */

/* memory_model_views.c */
bool memory_geometry_read(PyObject *dict, MemoryGeometry *geometry); /* false: a Python error is set */
PyObject *memory_counters_dict(const MemoryModel *model);
PyObject *memory_tlb_list(const MemoryModel *model, bool with_recent);
PyObject *memory_lines_list(const MemoryModel *model);

#endif
