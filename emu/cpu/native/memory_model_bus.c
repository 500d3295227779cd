/* The bus and the write buffers of the memory model.
 *
 * The bus carries one cycle (or burst) at a time.  A write waits in a buffer until its cycle has ended, and the
 * processor waits only if all buffers are in use.  A read that leaves the processor waits for the writes before it; an
 * i486's may pass those that have not begun if all of them hit the cache.  Then they count as misses, so that no second
 * read passes.
 *
 * Source: Embedded Intel486 HRM, "Write Buffers"; P5 DevMan 1997, s2.6 (reads never pass posted writes).
 * Decision: the i386's bus unit holds one write; the cycle that follows waits for it.
 */
#include "memory_model_internal.h"

/* Lets the writes that have not begun wait for a read of so many clocks; the clock when the read begins.  The bus is
 * never idle in front of a write that waits, so the read takes the first one's place. */
static bool pass_writes(MemoryModel *model, int64_t now, int64_t clocks, int64_t *start)
{
    uint64_t end = model->counters.bus_writes, number = end;
    *start = INT64_MAX;
    if (model->missed_until > now)
        return false;
    while (end - number < model->geometry.write_buffers) {
        int64_t *ends = &model->writes_end[--number % WRITE_BUFFERS_MAX], starts = *ends - model->write_clocks;
        if (starts <= now)
            break; /* as all before it */
        *start = starts;
        *ends += clocks;
    }
    if (*start == INT64_MAX)
        return false;
    model->missed_until = model->writes_end[(end - 1) % WRITE_BUFFERS_MAX];
    model->bus_free += clocks;
    return true;
}

/* The bus is in use: the clock when a read begins. */
int64_t bus_read_behind_writes(MemoryModel *model, int64_t now, int64_t clocks)
{
    int64_t start;
    if (model->geometry.reads_pass_writes && pass_writes(model, now, clocks, &start)) {
        model->outcome |= OUTCOME_READ_AHEAD;
        model->counters.reads_ahead++;
        return start;
    }
    start = model->bus_free;
    model->bus_free += clocks;
    return start;
}

int64_t bus_write_rest(MemoryModel *model, uint32_t size, bool hit, int64_t now)
{
    for (uint32_t sent = model->geometry.bus_bytes; sent < size; sent += model->geometry.bus_bytes)
        now = bus_write(model, now, hit);
    return now;
}

int64_t bus_locked(MemoryModel *model, int64_t now, int64_t clocks)
{
    model->bus_free = (now > model->bus_free ? now : model->bus_free) + clocks;
    return model->bus_free;
}
