"""Makes frames free: asks the policy for victims, and evicts them.

An anonymous page goes to swap, in all spaces that share it at once: their entries then have its place there.  A cached
page of a file loses its mappings and is dropped, written back first if it was changed.

Not evicted: what is held by more than page tables, shared anonymous memory (it has no place but memory), and anonymous
pages without a swap area, or with a full one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr, VirtAddr
from hillemu.kernel.errors import InvalidParameters
from hillemu.kernel.mm.counters import Counters, Event
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.frame_table import Owner
from hillemu.kernel.mm.page_cache import PageCache
from hillemu.kernel.mm.page_tables import DIRTY
from hillemu.kernel.mm.parts import POLICY, must_have
from hillemu.kernel.mm.pmm import Pmm
from hillemu.kernel.mm.replacement import PolicyFactory
from hillemu.kernel.mm.reverse_map import ReverseMap
from hillemu.kernel.mm.swap import Swap
from hillemu.kernel.mm.task_memory import RESIDENT, SWAPPED
from hillemu.kernel.mm.words import Words

_PIECE = 512


class PagesView:
    """`hillemu.kernel.mm.replacement.Pages`."""

    def __init__(
        self,
        direct: DirectMap,
        pmm: Pmm,
        reverse: ReverseMap,
        swap: Swap | None,
        place_for: Callable[[int], VirtAddr],
    ) -> None:
        self._direct, self._pmm, self._swap, self._place_for = direct, pmm, swap, place_for
        self.end = reverse.end
        self.is_program_page = reverse.is_program_page
        self.was_accessed = reverse.was_accessed
        self.is_dirty = reverse.is_dirty

    def program_pages(self, first: int = 0) -> Iterator[Frame]:
        """Looks at the frame table a piece at a time: most of it may be nobody's."""
        table = self._pmm.table
        wanted = {int(Owner.PAGE_CACHE)}
        if self._swap is not None and not self._swap.is_full:
            wanted.add(int(Owner.ANONYMOUS))
        for start, end in ((first, self.end), (0, min(first, self.end))):
            for base in range(start, end, _PIECE):
                count = min(_PIECE, end - base)
                raw = self._direct.memory.read(PhysAddr(table.at + 8 * base), 8 * count)
                owners = raw[3::8]
                if wanted.isdisjoint(owners):
                    continue
                for number, owner in enumerate(owners):
                    if owner in wanted and self.is_program_page(base + number):
                        yield Frame(base + number)

    def words(self, count: int) -> Words:
        at = self._place_for(4 * count)
        if not at:
            raise InvalidParameters(f"reclaim: no memory for {count} words of the replacement policy")
        self._direct.write(at, bytes(4 * count))
        return self._direct.u32_array(at, count)


class Reclaim:
    """Evicts pages; `swap` may be missing."""

    def __init__(
        self,
        direct: DirectMap,
        pmm: Pmm,
        counters: Counters,
        cache: PageCache,
        swap: Swap | None,
        reverse: ReverseMap,
        policy: PolicyFactory,
        place_for: Callable[[int], VirtAddr],
        flush_tlb: Callable[[], None],
    ) -> None:
        self._memory, self._pmm, self._counters = direct.memory, pmm, counters
        self._cache, self._swap, self._reverse, self._flush_tlb = cache, swap, reverse, flush_tlb
        self.policy = policy(PagesView(direct, pmm, reverse, swap, place_for))
        must_have(self.policy, "page_replacement", POLICY, {"added": (1,)})
        added = getattr(self.policy, "added", None)
        self.added: Callable[[Frame], None] | None = added
        """Tell the policy of a page that got a frame; None if it does not want to know."""

    def shrink(self, wanted: int, *, direct_map_only: bool = False) -> int:
        """Evict pages until `wanted` frames are free that were not; how many were made free, perhaps 0.

        With `direct_map_only` frames beyond the direct map do not count, and stay.
        """
        freed = 0
        border = self._pmm.zones[0].end
        refused: set[Frame] = set()
        named_again = 0
        while freed < wanted:
            frame = self.policy.victim()
            if frame is None:
                break
            if not isinstance(frame, int):
                raise InvalidParameters(
                    f"page_replacement: {type(self.policy).__name__}.victim() returned {frame!r}: "
                    "it returns a frame's number or None"
                )
            if frame in refused:
                # A clock must come by twice before it names a page that was used; longer, it has nothing else to name.
                named_again += 1
                if named_again > 2 * len(refused) + 1:
                    break
                continue
            self._counters.count(Event.PGSCAN_DIRECT)
            if (direct_map_only and frame >= border) or not self.evict(frame):
                refused.add(frame)
            else:
                freed += 1
        if freed or refused:
            self._flush_tlb()  # A bits were cleared, and entries taken
        self._counters.count(Event.PGSTEAL_DIRECT, freed)
        return freed

    def evict(self, frame: Frame) -> bool:
        """Make one frame free; False if its page cannot go."""
        reverse = self._reverse
        if not reverse.is_program_page(frame):
            return False
        places = reverse.places(frame)
        if len(places) != reverse.mappings_of(frame):
            return False  # somebody holds it who is no page table
        if reverse.is_cached(frame):
            if not self._cache.can_drop(frame):
                return False
            for place in places:
                words = place.space.tables.words
                if words[place.slot] & DIRTY:
                    self._cache.mark_changed(frame)
                words[place.slot] = 0
                place.space.record[RESIDENT] -= 1
                self._pmm.release(frame)
            self._cache.drop(frame)
            return True
        if self._swap is None or self._swap.is_full:
            return False
        slot = self._swap.put(self._memory.read(PhysAddr(frame << PAGE_SHIFT), PAGE_SIZE), len(places))
        for place in places:
            place.space.tables.words[place.slot] = slot << PAGE_SHIFT
            place.space.record[RESIDENT] -= 1
            place.space.record[SWAPPED] += 1
            self._pmm.release(frame)
        self._counters.count(Event.PSWPOUT)
        return True
