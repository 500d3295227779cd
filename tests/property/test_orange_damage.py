"""Whatever a debugger writes into orange's structures, the kernel goes on, or says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orange_memory import VARIABLES, make_mm

from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.kernel.errors import KernelFault
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.document import count_lines, frame_lines, mapping_lines
from hillemu.kernel.profiles.orange.memory_manager import MM, MemoryManager
from hillemu.kernel.profiles.orange.pf_list import Protection
from hillemu.kernel.profiles.orange.process_memory import Area, ProcessMemory

FRAMES = 1760
"""On a machine with 8 MB."""
ENTRIES = st.integers(0x501000 >> 2, (0x501000 + 24 * FRAMES + 16 >> 2) - 1)
OF_FREE_FRAMES = st.builds(
    lambda frame, word: (0x501000 >> 2) + 6 * frame + word, st.integers(1030, 1200), st.integers(0, 5)
)
TABLES = st.one_of(
    st.integers(0x100000 >> 2, 0x101000 >> 2), st.builds(lambda n: 0x101000 + n >> 2, st.integers(0, 0x140800))
)
COUNTS = st.integers((VARIABLES >> 2) + 4, (VARIABLES + MM.size_bytes >> 2) - 1)
PLACES = st.one_of(ENTRIES, OF_FREE_FRAMES, TABLES, COUNTS)
VALUES = st.one_of(st.sampled_from([0, 1, 2, 3, 7, 0xFFFFFFFF, 0x80000000, 0x530003]), st.integers(0, 0xFFFFFFFF))


TABLES_OF_PROCESS = st.one_of(
    st.sampled_from([0x512000 + 4 * 0x100 >> 2, 0x513000 >> 2, 0x513008 >> 2]),
    st.integers(0x512000 >> 2, 0x515000 >> 2),
)
"""Where the directory and the table of the process below lie: behind the five pages before it."""
Damage = list[tuple[int, int]]


def use(mm: MemoryManager, linear: int, damage: Damage) -> None:
    """All that can be asked of it, with more `damage` while a process is there."""
    mm.vm_alloc(linear + 0x100000, 0x1000)
    space = ProcessMemory.create(mm, 1, [Area(VirtAddr(0x40000000), 3, True)], lambda memory: None)
    if space is not None:
        spoil(mm, damage)
        check(mm, space.mappings())
        space.copy_out(0x40000FF0, b"over two pages" * 2)
        space.copy_in(0x40000000, 0x3000)
        child = space.fork(2)
        if child is not None:
            child.destroy()
        space.destroy()
    mm.vm_alloc(0x50000000, 0x3000, Protection.READ_ONLY)
    mm.vm_protect(linear, 0x2000, Protection.READ_ONLY)
    mm.vm_free(linear, 0x5000)
    mm.vm_free(0x50000000, 0x3000)


def spoil(mm: MemoryManager, damage: Damage) -> None:
    for place, value in damage:
        mm.memory.set_u32(PhysAddr(4 * place), value)


def told(action: Callable[[], object]) -> str | None:
    """What the kernel panics with, if it does; anything else that is raised is a defect."""
    try:
        action()
    except KernelFault as fault:
        return str(fault)
    return None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    damage=st.lists(st.tuples(PLACES, VALUES), max_size=6),
    later=st.lists(st.tuples(st.one_of(PLACES, TABLES_OF_PROCESS), VALUES), max_size=3),
    linear=st.sampled_from([0xB00000, 0x60000000]),
)
def test_damage_is_survived_or_told(damage: Damage, later: Damage, linear: int) -> None:
    mm = make_mm(8)
    mm.vm_alloc(linear, 0x5000)
    spoil(mm, damage)
    for action in (
        lambda: use(mm, linear, later),
        lambda: check(mm),
        lambda: [*frame_lines(mm), *mapping_lines(mm), *count_lines(mm)],
    ):
        said = told(action)
        assert said is None or "0x" in said, "where it is, for people"
