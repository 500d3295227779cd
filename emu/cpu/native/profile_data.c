/* Keeps a profile's sums, and hands them to Python; profile.h tells what they are. */
#include <string.h>

#include "core.h"

enum { NODES_MAX = 1 << 20, FIRST_SLICE_TICKS = 1 << 10, PAGE_BITS = 12, NO_FRAME = UINT32_MAX };

static void *no_memory(Core *core)
{
    PyErr_NoMemory();
    keep_error(core);
    return NULL;
}

/* ---- instructions ------------------------------------------------------------------------------------------------ */

static size_t place_of(const Profile *profile, uint32_t pc, uint32_t frame)
{
    size_t mask = profile->place_count - 1;
    size_t place = (pc * 0x9e3779b1u ^ frame * 0x85ebca6bu) & mask;
    for (; profile->places[place]; place = (place + 1) & mask) {
        const Site *site = profile->sites[profile->places[place] - 1];
        if (site->pc == pc && site->frame == frame)
            break;
    }
    return place;
}

static bool make_room(Profile *profile)
{
    if (profile->site_count < profile->site_capacity)
        return true;
    size_t capacity = profile->site_capacity ? 2 * profile->site_capacity : 1024;
    Site **sites = realloc(profile->sites, capacity * sizeof *sites);
    if (!sites)
        return false;
    profile->sites = sites;
    uint32_t *places = calloc(2 * capacity, sizeof *places);
    if (!places)
        return false;
    free(profile->places);
    profile->places = places;
    profile->place_count = 2 * capacity;
    profile->site_capacity = capacity;
    for (size_t i = 0; i < profile->site_count; i++)
        places[place_of(profile, sites[i]->pc, sites[i]->frame)] = (uint32_t)i + 1;
    return true;
}

Site *profile_site(Core *core, uint32_t pc)
{
    Profile *profile = core->profile;
    uint64_t physical;
    bool is_mapped = lib.physical_address(core->env, pc, ACCESS_FETCH, processor_mmu_index(core), &physical);
    uint32_t frame = is_mapped ? (uint32_t)(physical >> PAGE_BITS) : NO_FRAME;
    if (!make_room(profile))
        return no_memory(core);
    size_t place = place_of(profile, pc, frame);
    if (profile->places[place])
        return profile->sites[profile->places[place] - 1];
    Site *site = calloc(1, sizeof *site);
    if (!site)
        return no_memory(core);
    site->core = core;
    site->pc = pc;
    site->frame = frame;
    site->number = (uint32_t)profile->site_count;
    profile->sites[profile->site_count++] = site;
    profile->places[place] = (uint32_t)profile->site_count;
    return site;
}

/* ---- the tree of calls ------------------------------------------------------------------------------------------- */

uint32_t profile_child(Profile *profile, uint32_t parent, NodeKind kind, uint32_t vector, uint32_t caller,
                       uint32_t entry)
{
    for (uint32_t number = profile->nodes[parent].first_child; number; number = profile->nodes[number].sibling) {
        Node *node = &profile->nodes[number];
        if (node->caller == caller && node->entry == entry && node->kind == kind && node->vector == vector) {
            node->calls++;
            return number;
        }
    }
    if (profile->node_count == profile->node_capacity) {
        size_t capacity = 2 * profile->node_capacity;
        Node *grown = capacity <= NODES_MAX ? realloc(profile->nodes, capacity * sizeof *grown) : NULL;
        if (!grown) {
            profile->lost_nodes++;
            return parent;
        }
        profile->nodes = grown;
        profile->node_capacity = capacity;
    }
    uint32_t number = (uint32_t)profile->node_count++;
    profile->nodes[number] = (Node){.parent = parent,
                                    .sibling = profile->nodes[parent].first_child,
                                    .caller = caller,
                                    .entry = entry,
                                    .kind = (uint8_t)kind,
                                    .vector = (uint8_t)vector,
                                    .calls = 1};
    profile->nodes[parent].first_child = number;
    return number;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

static inline void add(Costs *sum, const Costs *more)
{
#define COST(name) sum->name += more->name;
    PROFILE_COSTS(COST)
#undef COST
}

/* The slice of time that has `until`; slices become twice as long when there are too many. */
static void find_slice(Profile *profile, int64_t until)
{
    while (until > profile->slice_end) {
        if (profile->slice + 1 == TIME_SLICES) {
            for (size_t i = 0; i < TIME_SLICES / 2; i++) {
                profile->slices[i] = profile->slices[2 * i];
                add(&profile->slices[i], &profile->slices[2 * i + 1]);
            }
            memset(&profile->slices[TIME_SLICES / 2], 0, sizeof profile->slices / 2);
            profile->slice /= 2;
            profile->slice_ticks *= 2;
        } else {
            profile->slice++;
        }
        profile->slice_end = profile->began + (int64_t)(profile->slice + 1) * profile->slice_ticks;
    }
}

void profile_charge(Profile *profile, const Costs *costs, int64_t until)
{
    if (until > profile->slice_end)
        find_slice(profile, until);
    add(&profile->last->costs, costs);
    add(&profile->nodes[profile->chains[profile->chain].node].costs, costs);
    add(&profile->slices[profile->slice], costs);
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

Profile *profile_new(Core *core)
{
    Profile *profile = calloc(1, sizeof *profile);
    if (!profile)
        return NULL;
    core->profile = profile;
    profile->node_capacity = 256;
    profile->nodes = calloc(profile->node_capacity, sizeof *profile->nodes);
    if (!profile->nodes || !profile_first_chain(profile)) {
        profile_end(core);
        return NULL;
    }
    profile->node_count = 1; /* the root */
    profile->nodes[0].caller = profile->nodes[0].entry = NO_SITE;
    profile->delivery = (Site){.core = core, .pc = NO_SITE, .frame = NO_FRAME, .number = NO_SITE};
    profile->began = block_ticks(core);
    profile->slice_ticks = FIRST_SLICE_TICKS;
    profile_resume(core);
    return profile;
}

void profile_end(Core *core)
{
    Profile *profile = core->profile;
    if (!profile)
        return;
    core->profile = NULL;
    for (size_t i = 0; i < profile->site_count; i++)
        free(profile->sites[i]);
    for (size_t i = 0; i < profile->chain_count; i++)
        free(profile->chains[i].calls);
    free(profile->chains);
    free(profile->sites);
    free(profile->places);
    free(profile->nodes);
    free(profile);
}

static bool may_ask(Core *core, bool has)
{
    if (core->running)
        PyErr_SetString(PyExc_RuntimeError, "not while the processor runs: stop it first");
    else if (!core->native)
        PyErr_SetString(PyExc_RuntimeError, "the portable core takes no profile");
    else if ((core->profile != NULL) != has)
        PyErr_SetString(PyExc_RuntimeError, has ? "no profile is being taken" : "a profile is being taken already");
    return !PyErr_Occurred();
}

PyObject *core_start_profile(Core *core, PyObject *unused)
{
    if (!may_ask(core, false))
        return NULL;
    if (!profile_new(core))
        return PyErr_NoMemory();
    lib.tb_flush(core->cpu); /* blocks translated before do not tell */
    Py_RETURN_NONE;
}

PyObject *core_stop_profile(Core *core, PyObject *unused)
{
    if (!may_ask(core, true))
        return NULL;
    lib.tb_flush(core->cpu); /* these point to instructions that are going to be forgotten */
    profile_end(core);
    Py_RETURN_NONE;
}

/* ---- for Python -------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t pc, frame;
    Costs costs;
} SiteRow;

typedef struct {
    uint32_t parent, caller, entry;
    uint16_t kind, vector;
    int64_t calls;
    Costs costs;
} NodeRow;

static PyObject *site_rows(const Profile *profile)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(profile->site_count * sizeof(SiteRow)));
    SiteRow *rows = bytes ? (SiteRow *)PyBytes_AS_STRING(bytes) : NULL;
    for (size_t i = 0; rows && i < profile->site_count; i++)
        rows[i] = (SiteRow){profile->sites[i]->pc, profile->sites[i]->frame, profile->sites[i]->costs};
    return bytes;
}

static PyObject *node_rows(const Profile *profile)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(profile->node_count * sizeof(NodeRow)));
    NodeRow *rows = bytes ? (NodeRow *)PyBytes_AS_STRING(bytes) : NULL;
    for (size_t i = 0; rows && i < profile->node_count; i++) {
        const Node *node = &profile->nodes[i];
        rows[i] = (NodeRow){node->parent, node->caller, node->entry, node->kind, node->vector, node->calls, node->costs};
    }
    return bytes;
}

/* profile(): rows of sites, of nodes, of slices, those of deliveries; ticks of a slice, where the first began, and how
 * many calls the tree had no room for. */
PyObject *core_profile(Core *core, PyObject *unused)
{
    if (!may_ask(core, true))
        return NULL;
    const Profile *profile = core->profile;
    return Py_BuildValue("NNy#y#LLK", site_rows(profile), node_rows(profile), (const char *)profile->slices,
                         (Py_ssize_t)((profile->slice + 1) * sizeof *profile->slices),
                         (const char *)&profile->delivery.costs, (Py_ssize_t)sizeof profile->delivery.costs,
                         (long long)profile->slice_ticks, (long long)profile->began,
                         (unsigned long long)profile->lost_nodes);
}
