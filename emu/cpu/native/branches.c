/* The branch target buffer; branches.h tells the rules. */
#include <string.h>

#include "core.h"

enum { STRONGLY_NOT_TAKEN, WEAKLY_NOT_TAKEN, WEAKLY_TAKEN, STRONGLY_TAKEN };
enum { ENTRIES = PREDICTION_SETS * PREDICTION_WAYS, FIRST_CAPACITY = 1024 };

static BranchPrediction *prediction_of(const Core *core) { return core->timing ? core->timing->branches : NULL; }

/* ---- entries ----------------------------------------------------------------------------------------------------- */

/* What translated code may do without a call follows from the state. */
static inline void set_state(BranchSite *site, int state, uint32_t target)
{
    site->state = (uint8_t)state;
    site->target = target;
    site->taken_to = state == STRONGLY_TAKEN ? (int64_t)target : NO_TARGET;
    site->has_entry = state != STRONGLY_NOT_TAKEN;
}

static BranchSite **set_of(BranchPrediction *branches, const BranchSite *site)
{
    return branches->entries[site->last_byte % PREDICTION_SETS];
}

/* The place of `found` in a set; -1: it is not there. */
static int way_of(BranchSite *const *set, const BranchSite *found)
{
    for (int way = 0; way < PREDICTION_WAYS; way++)
        if (set[way] == found)
            return way;
    return -1;
}

static void take_entry(BranchPrediction *branches, BranchSite *site)
{
    BranchSite **set = set_of(branches, site);
    int way = way_of(set, NULL);
    if (way < 0) {
        way = (int)(branches->replacements++ % PREDICTION_WAYS);
        set_state(set[way], STRONGLY_NOT_TAKEN, 0);
    }
    set[way] = site;
}

static void give_up_entry(BranchPrediction *branches, BranchSite *site)
{
    BranchSite **set = set_of(branches, site);
    set[way_of(set, site)] = NULL;
}

static void change_entry(BranchPrediction *branches, BranchSite *site, bool take)
{
    if (take)
        take_entry(branches, site);
    else
        give_up_entry(branches, site);
}

static inline __attribute__((always_inline)) void learn(BranchSite *site, bool taken, uint32_t target)
{
    static const uint8_t next[2][4] = {
        {STRONGLY_NOT_TAKEN, STRONGLY_NOT_TAKEN, WEAKLY_NOT_TAKEN, WEAKLY_TAKEN},
        {STRONGLY_TAKEN, WEAKLY_TAKEN, STRONGLY_TAKEN, STRONGLY_TAKEN},
    };
    uint8_t state = next[taken][site->state];
    if (!site->state != !state)
        change_entry(site->branches, site, taken);
    set_state(site, state, taken ? target : site->target);
}

void branches_interrupted(Core *core)
{
    BranchPrediction *branches = prediction_of(core);
    if (branches)
        branches->flushing = false;
}

void branches_flush(Core *core)
{
    BranchPrediction *branches = prediction_of(core);
    for (int i = 0; branches && i < ENTRIES; i++) {
        BranchSite **entry = &branches->entries[i / PREDICTION_WAYS][i % PREDICTION_WAYS];
        if (*entry)
            set_state(*entry, STRONGLY_NOT_TAKEN, 0);
        *entry = NULL;
    }
    branches_interrupted(core);
}

/* ---- predictions ------------------------------------------------------------------------------------------------- */

/* A piece of a block that a stop cut begins with what came before: then the translator cannot tell the pipe. */
static inline bool was_in_v(const Core *core, bool translated)
{
    return __builtin_expect(core->hold != 0, false) ? timing_ends_in_v(core, current_block(core)) : translated;
}

/* The branch that was just executed; whether it was not predicted rightly.  What the guest does is hard to predict for the
 * host's processor, too, so there are few branches here. */
static inline __attribute__((always_inline)) bool is_mispredicted(BranchSite *site, bool taken, uint32_t target, bool in_v)
{
    BranchPrediction *branches = site->branches;
    int64_t number = block_instructions(site->core), between = number - 1 - branches->flushed_at;
    bool meets_flush = branches->flushing & ((between == 0) | ((between == 1) & in_v));
    bool predicted = (site->state >= WEAKLY_TAKEN) & !meets_flush;
    bool wrong = (predicted != taken) | (taken & (site->target != target));
    learn(site, taken, target);
    branches->flushing = wrong;
    branches->flushed_at = number;
    return wrong;
}

static inline __attribute__((always_inline)) void on_condition(BranchSite *site, bool taken, uint32_t target, bool in_v)
{
    in_v = was_in_v(site->core, in_v);
    bool wrong = is_mispredicted(site, taken, target, in_v);
    const BranchPenalties *penalties = &site->branches->penalties;
    site->branches->counters.conditional_missed += wrong;
    if (wrong)
        charge(site->core, (in_v ? penalties->conditional_in_v : penalties->conditional_in_u));
}

static inline __attribute__((always_inline)) void without_condition(BranchSite *site, uint32_t target, bool in_v)
{
    bool wrong = is_mispredicted(site, true, target, was_in_v(site->core, in_v));
    site->branches->counters.unconditional_missed += wrong;
    if (wrong)
        charge(site->core, site->branches->penalties.unconditional);
}

static uint32_t linear_target(const BranchSite *site, uint32_t cs_base)
{
    return FIELD(uint32_t, site->core->env, ENV_EIP) + cs_base;
}

static void taken_in_u(BranchSite *site, uint32_t target) { on_condition(site, true, target, false); }
static void taken_in_v(BranchSite *site, uint32_t target) { on_condition(site, true, target, true); }
static void not_taken_in_u(BranchSite *site, uint32_t unused) { on_condition(site, false, 0, false); }
static void not_taken_in_v(BranchSite *site, uint32_t unused) { on_condition(site, false, 0, true); }
static void jumped_in_u(BranchSite *site, uint32_t target) { without_condition(site, target, false); }
static void jumped_in_v(BranchSite *site, uint32_t target) { without_condition(site, target, true); }
static void jumped_to_eip(BranchSite *site, uint32_t cs_base)
{
    without_condition(site, linear_target(site, cs_base), false); /* none of these pairs */
}

BranchCall branch_call(BranchEvent event, bool in_v)
{
    static const BranchCall calls[][2] = {
        [BRANCH_TAKEN] = {taken_in_u, taken_in_v},
        [BRANCH_NOT_TAKEN] = {not_taken_in_u, not_taken_in_v},
        [BRANCH_JUMPED] = {jumped_in_u, jumped_in_v},
        [BRANCH_JUMPED_TO_EIP] = {jumped_to_eip, jumped_to_eip},
    };
    return calls[event][in_v];
}

/* ---- sites ------------------------------------------------------------------------------------------------------- */

static BranchSite **place_of(BranchSite **sites, size_t capacity, uint32_t last_byte)
{
    size_t place = last_byte * 2654435761u % capacity;
    while (sites[place] && sites[place]->last_byte != last_byte)
        place = (place + 1) % capacity;
    return &sites[place];
}

static bool make_room(BranchPrediction *branches)
{
    if (2 * branches->site_count < branches->site_capacity)
        return true;
    size_t capacity = branches->site_capacity ? 2 * branches->site_capacity : FIRST_CAPACITY;
    BranchSite **sites = calloc(capacity, sizeof *sites);
    if (!sites)
        return false;
    for (size_t i = 0; i < branches->site_capacity; i++)
        if (branches->sites[i])
            *place_of(sites, capacity, branches->sites[i]->last_byte) = branches->sites[i];
    free(branches->sites);
    branches->sites = sites;
    branches->site_capacity = capacity;
    return true;
}

BranchSite *branches_site(Core *core, uint32_t last_byte)
{
    BranchPrediction *branches = prediction_of(core);
    BranchSite **place = make_room(branches) ? place_of(branches->sites, branches->site_capacity, last_byte) : NULL;
    if (place && *place)
        return *place;
    BranchSite *site = place ? calloc(1, sizeof *site) : NULL;
    if (!site) {
        PyErr_NoMemory();
        keep_error(core);
        return NULL;
    }
    *site = (BranchSite){.core = core, .branches = branches, .last_byte = last_byte, .taken_to = NO_TARGET};
    branches->site_count++;
    return *place = site;
}

BranchPrediction *branches_new(const BranchPenalties *penalties)
{
    BranchPrediction *branches = calloc(1, sizeof *branches);
    if (branches)
        branches->penalties = *penalties;
    return branches;
}

void branches_end(BranchPrediction *branches)
{
    if (!branches)
        return;
    for (size_t i = 0; i < branches->site_capacity; i++)
        free(branches->sites[i]);
    free(branches->sites);
    free(branches);
}

/* ---- a snapshot -------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t last_byte, target, state;
} SavedEntry;

typedef struct {
    SavedEntry entries[ENTRIES];
    BranchCounters counters;
    uint64_t replacements;
    int64_t flushing, flushed_at;
} SavedBranches;

static BranchCounters counters_of(const BranchPrediction *branches)
{
    BranchCounters counters = branches->counters;
    for (size_t i = 0; i < branches->site_capacity; i++)
        if (branches->sites[i]) {
            counters.unconditional += branches->sites[i]->executed[0];
            counters.conditional += branches->sites[i]->executed[1];
        }
    return counters;
}

size_t branches_state_size(const Core *core) { return prediction_of(core) ? sizeof(SavedBranches) : 0; }

void branches_state_save(const Core *core, uint8_t *state)
{
    const BranchPrediction *branches = prediction_of(core);
    if (!branches)
        return;
    SavedBranches saved = {.counters = counters_of(branches),
                           .replacements = branches->replacements,
                           .flushing = branches->flushing,
                           .flushed_at = branches->flushed_at};
    for (int i = 0; i < ENTRIES; i++) {
        const BranchSite *site = branches->entries[i / PREDICTION_WAYS][i % PREDICTION_WAYS];
        if (site)
            saved.entries[i] = (SavedEntry){site->last_byte, site->target, site->state};
    }
    memcpy(state, &saved, sizeof saved);
}

void branches_state_load(Core *core, const uint8_t *state)
{
    BranchPrediction *branches = prediction_of(core);
    if (!branches)
        return;
    SavedBranches saved;
    memcpy(&saved, state, sizeof saved);
    branches_flush(core);
    for (size_t i = 0; i < branches->site_capacity; i++)
        if (branches->sites[i])
            branches->sites[i]->executed[0] = branches->sites[i]->executed[1] = 0;
    for (int i = 0; i < ENTRIES; i++) {
        BranchSite *site = saved.entries[i].state ? branches_site(core, saved.entries[i].last_byte) : NULL;
        if (site)
            set_state(site, (int)saved.entries[i].state, saved.entries[i].target);
        branches->entries[i / PREDICTION_WAYS][i % PREDICTION_WAYS] = site;
    }
    branches->counters = saved.counters;
    branches->replacements = saved.replacements;
    branches->flushing = saved.flushing;
    branches->flushed_at = saved.flushed_at;
}

/* branches(): (on a condition, of these mispredicted, without a condition, of these mispredicted); None: no prediction */
PyObject *core_branches(Core *core, PyObject *unused)
{
    const BranchPrediction *branches = prediction_of(core);
    if (!branches)
        Py_RETURN_NONE;
    BranchCounters counters = counters_of(branches);
    return Py_BuildValue("LLLL", (long long)counters.conditional, (long long)counters.conditional_missed,
                         (long long)counters.unconditional, (long long)counters.unconditional_missed);
}
