/* What devices let the guest have without Python being called: the next items of a data port, and memory-mapped words
 * that only the device changes.
 */
#include "core.h"

/* ---- data ports -------------------------------------------------------------------------------------------------- */

static PortWindow *window_at(Core *core, uint32_t port)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(core->windows); i++)
        if (core->windows[i].size && core->windows[i].port == port)
            return &core->windows[i];
    return NULL;
}

/* Where the next item is, if the access is of the kind that the window is open for; NULL: ask the device. */
void *window_next_item(Core *core, uint32_t port, int size, bool output)
{
    PortWindow *window = window_at(core, port);
    if (!window || window->size != size || window->output != output || window->end - window->at < (size_t)size)
        return NULL;
    window->at += size;
    return (char *)window->view.buf + window->at - size;
}

bool window_open(Core *core, uint32_t port, int size, bool output, PyObject *buffer, size_t start, size_t end)
{
    window_close(core, port);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(core->windows); i++) {
        PortWindow *window = &core->windows[i];
        if (window->size)
            continue;
        if (PyObject_GetBuffer(buffer, &window->view, PyBUF_WRITABLE))
            return false;
        if (start > end || end > (size_t)window->view.len) {
            PyBuffer_Release(&window->view);
            PyErr_SetString(PyExc_ValueError, "the window does not lie in the buffer");
            return false;
        }
        window->port = port;
        window->size = size;
        window->output = output;
        window->at = start;
        window->end = end;
        return true;
    }
    PyErr_SetString(PyExc_ValueError, "too many windows");
    return false;
}

Py_ssize_t window_close(Core *core, uint32_t port)
{
    PortWindow *window = window_at(core, port);
    if (!window)
        return -1;
    window->size = 0;
    PyBuffer_Release(&window->view);
    return (Py_ssize_t)window->at;
}

/* ---- still words: registers that read the same until their device says otherwise --------------------------------- */

bool still_word_set(Core *core, size_t number, uint64_t at, uint32_t value)
{
    if (number >= Py_ARRAY_LENGTH(core->still_words))
        return false;
    core->still_words[number] = (StillWord){at, value};
    return true;
}

bool still_word_read(const Core *core, uint64_t at, uint32_t *value)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(core->still_words); i++) {
        if (core->still_words[i].at == at) {
            *value = core->still_words[i].value;
            return true;
        }
    }
    return false;
}
