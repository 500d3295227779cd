"""Watches on memory: exactly the accesses that touch the bytes, told behind the instruction that made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import Watch, WatchHit
from hillemu.emu.errors import UserMistake

Lab = Callable[..., Any]
DATA = 0x500000


@pytest.fixture
def core() -> str:
    """Only the native core sees memory."""
    return "native"


def hits_of(lab: Any, at: int, length: int, kind: Watch, *, physical: bool = False) -> list[WatchHit]:
    """All hits of a watch while `lab` runs to its end."""
    hits: list[WatchHit] = []
    lab.processor.observers.add_watch(at, length, kind, physical=physical, on_hit=hits.append)
    assert lab.run() is CoreStop.HALT
    return hits


# ---- where and when -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", ["nop; nop", "jmp 1f; 1: nop", "hlt", "cpuid", "pushfd; popfd"])
def test_a_run_stops_behind_the_instruction_that_did_it(lab: Lab, behind: str) -> None:
    machine = lab(f"mov eax, 7; store: add dword ptr [{DATA}], eax; next: {behind}; hlt")
    machine.processor.observers.add_watch(DATA, 4, Watch.WRITE)
    assert machine.run() is CoreStop.WATCHPOINT
    assert (machine.get("eip"), machine.count, machine.word(DATA)) == (machine["next"], 2, 7)
    (hit,) = machine.processor.observers.hits
    assert hit == (1, Watch.WRITE, DATA, DATA, 4, 0, 7, machine["store"], 2)
    assert machine.run() is CoreStop.HALT
    assert machine.processor.observers.hits == []


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", [Watch.READ, Watch.WRITE])
@pytest.mark.parametrize("page_offset", [0x100, 0xFFC])
def test_an_access_is_told_if_and_only_if_it_touches_a_watched_byte(
    lab: Lab, size: int, kind: Watch, page_offset: int
) -> None:
    """Every alignment of an access around four watched bytes, inside a page and across its end."""
    reach = 12
    load, store = {
        1: ("mov al, [{at}]", "mov byte ptr [{at}], 1"),
        2: ("mov ax, [{at}]", "mov word ptr [{at}], 1"),
        4: ("mov eax, [{at}]", "mov dword ptr [{at}], 1"),
        8: ("movq mm0, [{at}]", "movq [{at}], mm0"),
    }[size]
    watched = DATA + page_offset
    places = range(watched - reach, watched + reach)
    code = "; ".join((load if kind is Watch.READ else store).format(at=at) for at in places)
    machine = lab("mov eax, cr4; or eax, 0x200; mov cr4, eax; " + code + "; hlt")
    hits = hits_of(machine, watched, 4, kind)
    assert [hit.address for hit in hits] == [at for at in places if at < watched + 4 and watched < at + size]
    assert {hit.size for hit in hits} == {size}
    assert {hit.kind for hit in hits} == {kind}


ACCESSES = {
    "mov dword ptr [{at}], 1": "w4",
    "mov eax, [{at}]": "r4",
    "inc word ptr [{at}]": "r2 w2",
    "xchg [{at}], eax": "r4 w4",
    "lock xadd [{at}], eax": "r4 w4",
    "lock cmpxchg [{at}], ebx": "r4 w4",
    "cmpxchg8b [{at}]": "r8 w8",
    "bts dword ptr [{at}], 3": "r4 w4",
    "mov esp, {at} + 4; push eax": "w4",
    "mov esp, {at}; pop eax": "r4",
    "mov esp, {at} + 4; call 9f; 9: nop": "w4",
    "mov esp, {at} + 4; pushfd": "w4",
    "mov edi, {at}; stosb": "w1",
    "mov esi, {at}; lodsw": "r2",
    "mov esi, {at}; mov edi, 0x600000; movsd": "r4",
    "mov edi, {at}; mov esi, 0x600000; movsd": "w4",
    "mov edi, {at}; scasb": "r1",
    "mov edi, {at}; mov ecx, 2; rep stosw": "w2 w2",
    "mov edi, {at}; mov edx, 0x50C; insd": "w4",
    "mov esi, {at}; mov edx, 0x508; outsd": "r4",
    "fninit; fld1; fstp dword ptr [{at}]": "w4",
    "fninit; fild qword ptr [{at}]": "r8",
    "fninit; fld1; fstp tbyte ptr [{at}]": "w8 w2",
    "fninit; fld tbyte ptr [{at}]": "r8 r2",
    "sgdt [{at}]": "w2 w4",
    "lgdt [{at} + 0x100]; lidt [{at} + 0x100]; lgdt [{at}]": "r2 r4",
    "movups [{at}], xmm0": "w8 w8",
    "movaps xmm0, [{at}]": "r8 r8",
    "movbe [{at}], eax": "w4",
    "mov ebx, {at}; xor eax, eax; xlatb": "r1",
    "bound ebx, [{at}]": "r4 r4",
}


@pytest.mark.parametrize("code", ACCESSES)
def test_every_kind_of_instruction_tells_its_accesses(lab: Lab, code: str) -> None:
    """What the manual says that each reads and writes, in its order."""
    enable_sse = "mov eax, cr4; or eax, 0x200; mov cr4, eax; xor eax, eax; xor edx, edx; xor ebx, ebx; "
    machine = lab(enable_sse + code.format(at=DATA) + "; cli; hlt")
    hits = hits_of(machine, DATA, 0x20, Watch.ACCESS)
    assert " ".join(f"{'r' if hit.kind is Watch.READ else 'w'}{hit.size}" for hit in hits) == ACCESSES[code]


def test_an_interrupt_tells_the_frame_that_it_pushes(lab: Lab) -> None:
    machine = lab("mov esp, 0x500010; here: int 0x80; hlt; vector_128: hlt")
    hits = hits_of(machine, 0x500000, 0x10, Watch.WRITE)
    assert [(hit.address, hit.size) for hit in hits] == [(0x50000C, 4), (0x500008, 4), (0x500004, 4)]
    assert [hit.after for hit in hits] == [machine.word(hit.address) for hit in hits]
    assert {hit.eip for hit in hits} == {machine["here"]}


def test_a_physical_watch_sees_its_frame_at_every_linear_address(lab: Lab) -> None:
    machine = lab(
        """
        mov edi, 0x10000; mov dword ptr [edi], 0x83; mov dword ptr [edi + 4], 0x83      # 0 and 4 MiB: the same frames
        mov eax, 0x10000; mov cr3, eax; mov eax, cr4; or eax, 0x10; mov cr4, eax
        mov eax, cr0; or eax, 0x80000000; mov cr0, eax
        mov dword ptr [0x30000], 1; mov dword ptr [0x430000], 2; mov dword ptr [0x432FFE], 0x11223344; hlt
        """
    )
    linear: list[WatchHit] = []
    machine.processor.observers.add_watch(0x430000, 4, Watch.WRITE, on_hit=linear.append)
    across: list[WatchHit] = []
    machine.processor.observers.add_watch(0x33000, 1, Watch.WRITE, physical=True, on_hit=across.append)
    hits = hits_of(machine, 0x30000, 4, Watch.WRITE, physical=True)
    assert [(hit.address, hit.physical, hit.after) for hit in hits] == [(0x30000, 0x30000, 1), (0x430000, 0x30000, 2)]
    assert [hit.after for hit in linear] == [2]
    assert [(hit.address, hit.size) for hit in across] == [(0x432FFE, 4)]


# ---- nothing is done twice ------------------------------------------------------------------------------------------


def test_a_port_is_read_once_by_the_instruction_that_stores_what_it_gave(lab: Lab) -> None:
    machine = lab(f"mov edx, 0x500; mov edi, {DATA}; mov ecx, 3; nop; insd; rep insd; nop; hlt")
    machine.probe.replies.extend([0x11, 0x22, 0x33, 0x44])
    hits = hits_of(machine, DATA, 16, Watch.WRITE)
    assert [(hit.before, hit.after) for hit in hits] == [(0, 0x11), (0, 0x22), (0, 0x33), (0, 0x44)]
    assert machine.probe.values == [0x11, 0x22, 0x33, 0x44]


class Fifo:
    """A device whose register gives another number each time, and keeps what is written."""

    def __init__(self) -> None:
        self.reads = 0
        self.written: list[int] = []

    def read(self, offset: int, size: int) -> int:
        self.reads += 1
        return self.reads

    def write(self, offset: int, size: int, value: int) -> None:
        self.written.append(value)


def test_a_device_register_is_read_once_by_the_instruction_that_stores_what_it_gave(lab: Lab) -> None:
    machine = lab(f"mov esi, 0xE0000000; mov edi, {DATA}; movsd; sub esi, 4; movsd; push dword ptr [esi - 4]; nop; hlt")
    fifo = Fifo()
    machine.pc.mmio.attach(0xE0000000, 0x1000, fifo, name="fifo", width=4)
    hits = hits_of(machine, DATA, 8, Watch.WRITE)
    assert [hit.after for hit in hits] == [1, 2]
    assert fifo.reads == 3


def test_device_memory_is_watched_too_and_not_read_to_tell_what_was_there(lab: Lab) -> None:
    machine = lab("mov eax, [0xE0000000]; mov dword ptr [0xE0000000], 9; add dword ptr [0xE0000000], 1; hlt")
    fifo = Fifo()
    machine.pc.mmio.attach(0xE0000000, 0x1000, fifo, name="fifo", width=4)
    hits = hits_of(machine, 0xE0000000, 4, Watch.ACCESS)
    assert [(hit.kind, hit.before, hit.after) for hit in hits] == [
        (Watch.READ, None, 1),
        (Watch.WRITE, None, 9),
        (Watch.READ, None, 2),
        (Watch.WRITE, None, 3),
    ]
    assert (fifo.reads, fifo.written) == (2, [9, 3])


def test_an_instruction_that_faults_is_told_when_it_has_happened(lab: Lab) -> None:
    """It reads watched memory, faults at its write, and does both when the page is there."""
    machine = lab(
        f"""
        mov edi, 0x10000; mov dword ptr [edi], 0x83; mov dword ptr [edi + 4], 0x83; mov dword ptr [edi + 8], 0
        mov eax, 0x10000; mov cr3, eax; mov eax, cr4; or eax, 0x10; mov cr4, eax
        mov eax, cr0; or eax, 0x80000000; mov cr0, eax
        mov esi, {DATA}; mov edi, 0x800000; nop
    copy: movsd
        hlt
    vector_14: mov dword ptr [0x10008], 0x83; add esp, 4; iretd
        """
    )
    hits = hits_of(machine, DATA, 4, Watch.READ)
    assert [hit.eip for hit in hits] == [machine["copy"]]
    assert machine.vectors == [14]


def test_code_that_changes_itself_in_a_watched_page_is_executed_as_changed(lab: Lab) -> None:
    machine = lab("mov byte ptr [patched + 1], 5; nop; patched: mov eax, 1; mov ebx, [patched + 1]; hlt")
    hits = hits_of(machine, machine["patched"], 5, Watch.ACCESS)
    assert [(hit.kind, hit.before, hit.after) for hit in hits] == [(Watch.WRITE, 1, 5), (Watch.READ, 5, 5)]
    assert machine.get("eax") == machine.get("ebx") == 5


# ---- together with breakpoints and debug registers ------------------------------------------------------------------


def test_a_breakpoint_and_a_watch_at_one_instruction_stop_once_each(lab: Lab) -> None:
    machine = lab(f"nop; store: mov dword ptr [{DATA}], 1; next: nop; nop; hlt")
    machine.processor.add_breakpoint(machine["store"])
    machine.processor.add_breakpoint(machine["next"])
    machine.processor.observers.add_watch(DATA, 4, Watch.WRITE)
    stops = [(machine.run(), machine.get("eip")) for _ in range(4)]
    assert stops == [
        (CoreStop.BREAKPOINT, machine["store"]),
        (CoreStop.WATCHPOINT, machine["next"]),
        (CoreStop.HALT, machine["next"] + 3),
        (CoreStop.HALT, machine["next"] + 3),
    ]


DEBUGS_ITSELF = f"""
    mov eax, {DATA}; mov dr0, eax; mov eax, 0xD0001; mov dr7, eax      # writes of four bytes at DATA
    mov ecx, 5
again: mov [{DATA}], ecx
    pushfd; or dword ptr [esp], 0x100; popfd
    nop
    loop again
    hlt
vector_1: inc ebp; mov ebx, dr6; add esi, ebx; xor ebx, ebx; mov dr6, ebx; and dword ptr [esp + 8], ~0x100; iretd
"""


def test_a_guest_that_debugs_itself_does_so_under_a_debugger(lab: Lab) -> None:
    """Data breakpoints and single steps of its own, while the host has breakpoints and watches at the same places."""
    plain = lab(DEBUGS_ITSELF)
    assert plain.run() is CoreStop.HALT
    assert plain.get("ebp") == 10
    debugged = lab(DEBUGS_ITSELF)
    for name in ("again", "vector_1"):
        debugged.processor.add_breakpoint(debugged[name])
    debugged.processor.observers.add_watch(DATA, 4, Watch.WRITE)
    stops = []
    while (stop := debugged.run()) is not CoreStop.HALT:
        stops.append(stop)
    assert stops.count(CoreStop.WATCHPOINT) == 5
    assert stops.count(CoreStop.BREAKPOINT) == 15
    assert debugged.outcome() == plain.outcome()
    stepped = lab(DEBUGS_ITSELF)
    stepped.step_to_end()
    assert stepped.outcome() == plain.outcome()


# ---- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "length"), [(0, 0), (-1, 4), (0xFFFFFFFF, 2), (1 << 32, 1)])
def test_bytes_that_do_not_exist_cannot_be_watched(lab: Lab, at: int, length: int) -> None:
    with pytest.raises(UserMistake, match="addresses have 32 bits"):
        lab("hlt").processor.observers.add_watch(at, length, Watch.WRITE)


def test_the_last_byte_can_be_watched(lab: Lab) -> None:
    machine = lab("mov byte ptr [0xFFFFFFFF], 1; mov eax, [0xFFFFFFFC]; hlt")
    assert [hit.address for hit in hits_of(machine, 0xFFFFFFFF, 1, Watch.ACCESS)] == [0xFFFFFFFF, 0xFFFFFFFC]


def test_a_watch_that_was_removed_tells_nothing(lab: Lab) -> None:
    machine = lab(f"mov dword ptr [{DATA}], 1; hlt")
    number = machine.processor.observers.add_watch(DATA, 4, Watch.WRITE)
    machine.processor.observers.remove_watch(number)
    assert machine.run() is CoreStop.HALT
    with pytest.raises(KeyError):
        machine.processor.observers.remove_watch(number)


def test_the_portable_core_says_that_it_cannot(lab_of: Lab) -> None:
    observers = lab_of("portable", "hlt").processor.observers
    with pytest.raises(UserMistake, match="the portable core cannot watch memory"):
        observers.add_watch(DATA, 4, Watch.WRITE)
    with pytest.raises(UserMistake, match="the portable core cannot see loads of CR3"):
        observers.on_cr3(print)
