/* The memory model as Python sees it: its geometry on the way in, its counters and contents on the way out. */
#include "memory_model_type.h"

static const char *const geometry_names[] = {
#define GEOMETRY_FIELD(name) #name,
    MEMORY_GEOMETRY_FIELDS(GEOMETRY_FIELD)
#undef GEOMETRY_FIELD
};

bool memory_geometry_read(PyObject *dict, MemoryGeometry *geometry)
{
    uint32_t *fields = (uint32_t *)geometry;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(geometry_names); i++) {
        PyObject *item = PyDict_GetItemString(dict, geometry_names[i]);
        unsigned long long number = item ? PyLong_AsUnsignedLongLong(item) : 0;
        if (!item)
            PyErr_Format(PyExc_KeyError, "the geometry has no %s", geometry_names[i]);
        else if (!PyErr_Occurred() && number > UINT32_MAX)
            PyErr_Format(PyExc_ValueError, "%s is too large", geometry_names[i]);
        if (PyErr_Occurred())
            return false;
        fields[i] = (uint32_t)number;
    }
    return true;
}

/* ---- contents ---------------------------------------------------------------------------------------------------- */

PyObject *memory_counters_dict(const MemoryModel *model)
{
    PyObject *dict = PyDict_New();
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
#define COUNTER(name) {#name, model->counters.name},
        MEMORY_COUNTERS(COUNTER)
#undef COUNTER
    };
    for (size_t i = 0; dict && i < Py_ARRAY_LENGTH(counters); i++) {
        PyObject *value = PyLong_FromUnsignedLongLong(counters[i].value);
        if (!value || PyDict_SetItemString(dict, counters[i].name, value))
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

static bool append(PyObject *list, PyObject *item)
{
    bool good = item && !PyList_Append(list, item);
    Py_XDECREF(item);
    return good;
}

/* The valid entries: (TLB, set, way, page, frame, rights), and their sets' replacement bits if wanted. */
PyObject *memory_tlb_list(const MemoryModel *model, bool with_recent)
{
    const struct {
        const char *name;
        const ModelTlb *tlb;
    } tlbs[] = {{"data", &model->data_tlb}, {"code", &model->code_tlb}, {"large", &model->large_tlb}};
    PyObject *list = PyList_New(0);
    for (int t = 0; list && t < 3; t++) {
        for (uint32_t i = 0; list && i < TLB_ENTRIES_MAX; i++) {
            const ModelTlbEntry *entry = &tlbs[t].tlb->entries[i];
            uint32_t ways = tlbs[t].tlb->ways;
            if (entry->rights &&
                !append(list, Py_BuildValue(with_recent ? "sIIIIII" : "sIIIII", tlbs[t].name, i / ways, i % ways,
                                            entry->page, entry->frame, entry->rights, tlbs[t].tlb->recent[i / ways])))
                Py_CLEAR(list);
        }
    }
    return list;
}

/* The valid lines: (cache, set, way, physical address, "S", "E" or "M"). */
PyObject *memory_lines_list(const MemoryModel *model)
{
    const struct {
        const char *name;
        const ModelCache *cache;
    } caches[] = {{"data", &model->data_cache}, {"code", &model->code_cache}};
    PyObject *list = PyList_New(0);
    for (int c = 0; list && c < 2; c++) {
        const ModelCache *cache = caches[c].cache;
        for (uint32_t i = 0; list && i < cache->lines; i++) {
            if (cache->states[i] != LINE_INVALID &&
                !append(list, Py_BuildValue("sIIIs#", caches[c].name, i / cache->ways, i % cache->ways,
                                            cache->tags[i] << model->line_shift, &"ISEM"[cache->states[i]],
                                            (Py_ssize_t)1)))
                Py_CLEAR(list);
        }
    }
    return list;
}
