/* Follows calls, returns, interrupts and changes of stack; profile.h tells the rules. */
#include <string.h>

#include "core.h"

/* RET n takes arguments away behind the call's stack pointer; a jump by RET is near the last call's. */
enum { ARGUMENT_BYTES = 1024, NEAR_BYTES = 2048, CHAINS_MAX = 1024 };

Call profile_place(const Core *core)
{
    return (Call){.eip = linear_eip(core),
                  .esp = FIELD(uint32_t, core->env, ENV_REGS + 8 * REG_ESP),
                  .cr3 = FIELD(uint32_t, core->env, ENV_CR + 8 * 3)};
}

static Chain *current(Profile *profile) { return &profile->chains[profile->chain]; }

/* A place for one chain more, which is the current one from here on.  The oldest goes when there are very many. */
static Chain *begin_chain(Profile *profile)
{
    if (profile->chain_count < CHAINS_MAX) {
        if (profile->chain_count == profile->chain_capacity) {
            size_t capacity = profile->chain_capacity ? 2 * profile->chain_capacity : 16;
            Chain *grown = realloc(profile->chains, capacity * sizeof *grown);
            if (!grown)
                return NULL;
            profile->chains = grown;
            profile->chain_capacity = capacity;
        }
        profile->chain = profile->chain_count++;
        *current(profile) = (Chain){0};
    } else {
        profile->chain = profile->oldest_chain++ % CHAINS_MAX;
        current(profile)->count = 0;
    }
    return current(profile);
}

bool profile_first_chain(Profile *profile)
{
    for (size_t i = 0; i < profile->chain_count; i++)
        free(profile->chains[i].calls);
    profile->chain_count = profile->oldest_chain = 0;
    return begin_chain(profile) != NULL;
}

static void push(Core *core, Call call, uint32_t node)
{
    Chain *chain = current(core->profile);
    if (chain->count == chain->capacity) {
        size_t capacity = chain->capacity ? 2 * chain->capacity : 16;
        Call *grown = realloc(chain->calls, capacity * sizeof *grown);
        if (!grown) {
            PyErr_NoMemory();
            keep_error(core);
            return;
        }
        chain->calls = grown;
        chain->capacity = capacity;
    }
    call.node = chain->node;
    chain->calls[chain->count++] = call;
    chain->node = node;
}

/* A call that goes back to a node of its own chain, from the same place, is recursion. */
static uint32_t called_node(Profile *profile, uint32_t caller, uint32_t entry)
{
    uint32_t from = current(profile)->node;
    for (uint32_t node = from; node; node = profile->nodes[node].parent) {
        Node *found = &profile->nodes[node];
        if (found->kind == NODE_CALL && found->caller == caller && found->entry == entry) {
            found->calls++;
            return node;
        }
    }
    return profile_child(profile, from, NODE_CALL, 0, caller, entry);
}

/* ---- returns ----------------------------------------------------------------------------------------------------- */

static bool is_return_of(const Call *call, const Call *there, bool from_interrupt, bool same_space)
{
    if (call->by_interrupt != from_interrupt || (same_space && call->cr3 != there->cr3))
        return false;
    if (from_interrupt)
        return call->esp == there->esp;
    return call->eip == there->eip && there->esp - call->esp < ARGUMENT_BYTES;
}

static bool return_in(Profile *profile, size_t number, const Call *there, bool from_interrupt, bool same_space)
{
    Chain *chain = &profile->chains[number];
    for (size_t i = chain->count; i-- > 0;) {
        if (!is_return_of(&chain->calls[i], there, from_interrupt, same_space))
            continue;
        chain->node = chain->calls[i].node;
        chain->count = i;
        profile->chain = number;
        return true;
    }
    return false;
}

/* Page tables may be changed between a call and its return, so an equal place in another space will do. */
static bool find_return(Profile *profile, const Call *there, bool from_interrupt)
{
    size_t here = profile->chain;
    for (int same_space = 1; same_space >= 0; same_space--) {
        if (return_in(profile, here, there, from_interrupt, same_space))
            return true;
        for (size_t i = 0; i < profile->chain_count; i++)
            if (i != here && return_in(profile, i, there, from_interrupt, same_space))
                return true;
    }
    return false;
}

/* A RET that no call belongs to: a jump, a way out of several calls at once (longjmp), or the start of a thread. */
static bool stays_in_chain(Profile *profile, uint32_t esp)
{
    Chain *chain = current(profile);
    for (size_t i = chain->count; i-- > 0;) {
        if (chain->calls[i].esp - esp >= NEAR_BYTES)
            continue;
        if (i + 1 < chain->count)
            chain->node = chain->calls[i + 1].node;
        chain->count = i + 1;
        return true;
    }
    return !chain->count && profile->esp - esp + NEAR_BYTES < 2 * NEAR_BYTES;
}

static void begin_thread(Core *core, const Site *to)
{
    Chain *chain = begin_chain(core->profile);
    if (!chain) {
        PyErr_NoMemory();
        keep_error(core);
        return;
    }
    chain->node = profile_child(core->profile, 0, NODE_STACK, 0, NO_SITE, to->number);
}

/* ---- what happens ------------------------------------------------------------------------------------------------ */

void profile_passed(Core *core, const Site *from, const Site *to)
{
    Profile *profile = core->profile;
    Call there = profile_place(core);
    there.eip = to->pc;
    if (from->kind == SITE_CALL) {
        Call call = {.eip = from->pc + from->length, .esp = profile->esp, .cr3 = there.cr3, .caller = from->number};
        push(core, call, called_node(profile, from->number, to->number));
        return;
    }
    bool from_interrupt = from->kind == SITE_INTERRUPT_RETURN;
    if (!find_return(profile, &there, from_interrupt) && (from_interrupt || !stays_in_chain(profile, there.esp)))
        begin_thread(core, to);
}

void profile_entered(Core *core, const Call *from, NodeKind kind, uint32_t vector, const Site *handler)
{
    Profile *profile = core->profile;
    bool is_devices = kind == NODE_INTERRUPT;
    uint32_t parent = is_devices ? 0 : current(profile)->node, caller = is_devices ? NO_SITE : from->caller;
    Call call = *from;
    call.by_interrupt = true;
    push(core, call, profile_child(profile, parent, kind, vector, caller, handler->number));
}
