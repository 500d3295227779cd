/* Gives frames that held code once, and hold data now, their fast stores back.
 *
 * Memory is reused: what was a program's text, or a kernel's code for its start, becomes a stack or a buffer.  QEMU
 * keeps the stores to a frame on its slow path as long as there is translated code of it, which may be for ever, since
 * only what is overwritten is forgotten.  A loop that stores to such a frame runs at a seventh of its speed.
 *
 * So the slow stores to each frame are counted.  After enough of them all translated code of the frame is forgotten,
 * at a block start, where nobody notices: what is executed again is translated again.  Frames that really hold both,
 * code and data, are left alone longer each time.
 */
#include "core.h"

enum { FIRST_PATIENCE = 512, MOST_DOUBLINGS = 12 };

bool reclaim_install(Core *core)
{
    core->slow_stores = calloc(FRAMES, sizeof *core->slow_stores);
    core->doublings = calloc(FRAMES, sizeof *core->doublings);
    if (!core->slow_stores || !core->doublings)
        PyErr_NoMemory();
    return core->slow_stores && core->doublings;
}

void reclaim_end(Core *core)
{
    free(core->slow_stores);
    free(core->doublings);
}

static const MemoryArea *area_of_ram(const Core *core, uint64_t ram)
{
    for (size_t i = 0; i < core->area_count; i++) {
        const MemoryArea *area = &core->areas[i];
        if (ram >= area->ram && ram - area->ram < area->end - area->base)
            return area;
    }
    return NULL;
}

/* A store to a frame with code went the slow way; `ram` is what translated code is filed under. */
void reclaim_count_store(Core *core, uint64_t ram)
{
    const MemoryArea *area = area_of_ram(core, ram);
    if (!area)
        return;
    uint64_t frame = (area->base + (ram - area->ram)) >> 12;
    if (frame >= FRAMES || ++core->slow_stores[frame] < (uint32_t)FIRST_PATIENCE << core->doublings[frame])
        return;
    core->slow_stores[frame] = 0;
    if (core->doublings[frame] < MOST_DOUBLINGS)
        core->doublings[frame]++;
    core->reclaim_frame = frame;
    core->reclaim_ram = ram & ~(uint64_t)0xfff;
    core->reclaiming = true;
    rearm(core);
}

/* At a block start: no store is under way, and the block that would run is looked up again afterwards. */
void reclaim_frame(Core *core)
{
    core->reclaiming = false;
    lib.tb_invalidate(core->uc, core->reclaim_ram, core->reclaim_ram + 0x1000);
    tlb_frame_has_code(core, core->reclaim_frame, false);
}
