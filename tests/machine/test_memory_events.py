"""What reaches the memory model in a run: the right accesses, answered as the reference answers them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guest_builder
import pytest
from memory_format import FETCH, READ, WRITE
from memory_models import IS_LONG
from memory_runs import ComparedRun, accesses

from hillemu import Machine
from hillemu.boot.assembler import assemble_file
from hillemu.boot.images import SOURCES
from hillemu.emu.cpu.core import CoreStop

MODELS = ("i386", "i486", "pentium")

# ---- against the reference ------------------------------------------------------------------------------------------

LOOPS = ("sieve", "fib", "word_copy", "list_chase")
"""Of bench/guests.  With the demo they are five guests."""
EVENTS = 900_000 if IS_LONG else 6_000
"""Of each loop on each processor: together over ten million."""


def compare_run(machine: Machine, wanted: int) -> ComparedRun:
    assert machine.modelled_memory is not None
    run = ComparedRun(machine.cpu.processor, machine.modelled_memory, len(machine.memory.ram))
    for _ in range(10_000):
        machine.run(max_insns=50_000 if IS_LONG else 2_000)
        run.check()
        if run.accesses >= wanted:
            return run
    raise AssertionError(f"only {run.accesses} accesses")


@pytest.mark.parametrize("model", MODELS)
def test_the_demos_events_are_answered_as_by_the_reference(model: str) -> None:
    machine = Machine(mem="8M", timing=model)
    machine.load_demo()
    compare_run(machine, min(EVENTS, 50_000))  # it ends


@pytest.mark.parametrize("model", MODELS if IS_LONG else ["i486"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_loops_events_are_answered_as_by_the_reference(model: str, loop: str, root: Path, tmp_path: Path) -> None:
    image = assemble_file(root / "bench" / "guests" / f"{loop}.s", include_paths=[SOURCES], defines={"REPEATS": 1000})
    (tmp_path / "loop.elf").write_bytes(image.data)
    machine = Machine(mem="32M", timing=model)
    machine.load(str(tmp_path / "loop.elf"))
    compare_run(machine, EVENTS)


@pytest.mark.skipif(not IS_LONG, reason="takes minutes: HILLEMU_LONG=1")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("guest", ["paging", "paging_large", "ring3", "vm86", "task_switch", "self_modifying", "fpu"])
def test_a_guests_events_are_answered_as_by_the_reference(
    model: str, guest: str, tmp_path: Path, need_tool: Callable[..., None]
) -> None:
    need_tool("gcc")
    machine = Machine(mem="32M", timing=model)
    machine.load(str(guest_builder.build(guest, tmp_path)))
    compare_run(machine, 30_000)


# ---- the stream itself ----------------------------------------------------------------------------------------------

TO_RING_3 = "push 0x23; push 0x80000; pushfd; push 0x1B; push offset user; iretd; user:"
PROGRAMS = {
    "loads and stores": "mov eax, [0x5000]; mov [0x5004], ax; mov [0x5006], al; add [0x5008], eax; cmp [0x5000], eax",
    "the stack": "push eax; push dword ptr [0x5000]; pop ebx; pop dword ptr [0x5004]; pushad; popad;"
    "enter 8, 2; leave; pushfd; popfd",
    "calls": "call 1f; jmp 2f; 1: ret; 2: mov eax, offset 3f; call eax;"
    "mov dword ptr [0x5000], offset 3f; call [0x5000]; jmp 4f; 3: ret 0; 4: nop",
    "strings": "mov esi, 0x5001; mov edi, 0x6003; mov ecx, 5; rep movsd; mov ecx, 3; rep stosw; lodsb; scasd;"
    "cmpsb; mov ecx, 9; xor eax, eax; mov edi, 0x7000; repne scasb",
    "strings of ports": "mov esi, 0x5000; mov edx, 0x80; mov ecx, 3; rep outsb; outsd",
    "bits": "bt dword ptr [0x5000], 5; mov eax, 77; bts [0x5000], eax; btr dword ptr [0x5010], 3; btc [0x5000], eax",
    "read, modify, write": "inc byte ptr [0x5000]; not dword ptr [0x5004]; shl word ptr [0x5002], 3;"
    "xadd [0x5004], ecx; cmpxchg [0x5008], edx; xchg [0x500c], al;"
    "lock add dword ptr [0x5000], 1; sete [0x5010]; shld [0x5000], ebx, 3",
    "misaligned": "mov eax, [0x5ffe]; mov [0x500f], eax; push word ptr 7; pop ax; add dword ptr [0x5fff], 3",
    "x87": "fninit; fld1; fstp qword ptr [0x5000]; fld qword ptr [0x5000]; fstp tbyte ptr [0x5010];"
    "fild dword ptr [0x5020]; fist word ptr [0x5030]; fnstcw [0x5040]; fnstenv [0x5050];"
    "fldenv [0x5050]; fbstp [0x5090]",
    "segments": "mov ax, 0x10; mov ds, ax; push ds; pop es; lds eax, [0x5000]; lar eax, ecx; sgdt [0x5100];"
    "lgdt [0x5100]; sidt [0x5110]",
    "tables": "mov ebx, 0x5000; xlatb; mov dword ptr [0x5004], 90; bound eax, [0x5000]; mov ax, 0x28; str cx",
    "an interrupt": "int 0x80; jmp 1f; vector_128: mov eax, [0x5000]; iretd; 1: nop",
    "ring 3 and back": TO_RING_3 + "mov ax, 0x23; mov ds, ax; mov eax, [0x5000]; push eax; int 0x80;"
    "vector_128: mov [0x5004], eax",
    "a port in ring 3": TO_RING_3 + "in al, 0x80; vector_13: mov eax, [esp]",
    "a fault": "xor ecx, ecx; div ecx; nop; jmp 1f; vector_0: add dword ptr [esp], 2; iretd; 1: nop",
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kind_of_access_is_answered_as_by_the_reference(
    name: str, model: str, lab_of: Callable[..., Any]
) -> None:
    lab = lab_of("native", PROGRAMS[name] + "; hlt", timing=model)
    run = ComparedRun(lab.processor, lab.pc.cycles.memory, 16 << 20)
    assert lab.run() is CoreStop.HALT
    run.check()


class PublicHooks:
    """Unicorn's own memory hooks on a portable core: (kind, size, physical address) of each access."""

    READ_TYPE, HOOKS = 16, 1 << 10 | 1 << 11  # UC_MEM_READ; UC_HOOK_MEM_READ and _WRITE

    def __init__(self, lab: Any) -> None:
        import unicorn

        path = Path(unicorn.__file__).parent / "lib" / "libunicorn.so.2"
        self.seen: list[tuple[int, int, int]] = []
        callback = ctypes.CFUNCTYPE(
            None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
        )
        self._kept = callback(self._note)
        core = lab.processor._core
        engine = ctypes.c_void_p.from_address(id(core) + object.__basicsize__)  # the first field behind the head
        handle = ctypes.c_void_p()
        add = ctypes.CDLL(str(path)).uc_hook_add
        every = (ctypes.c_uint64(1), ctypes.c_uint64(0))
        assert add(engine, ctypes.byref(handle), self.HOOKS, self._kept, None, *every) == 0

    def _note(self, engine: int, kind: int, at: int, size: int, value: int, data: int) -> None:
        self.seen.append((READ if kind == self.READ_TYPE else WRITE, size, at))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_accesses_are_those_that_unicorns_public_hooks_see(name: str, lab_of: Callable[..., Any]) -> None:
    source = PROGRAMS[name] + "; hlt"
    portable = lab_of("portable", source)
    hooks = PublicHooks(portable)
    native = lab_of("native", source, timing="i486")
    memory = native.pc.cycles.memory
    memory.record(True)
    assert portable.run() is native.run() is CoreStop.HALT
    records, _ = memory.recorded()
    assert [event for event in accesses(records) if event[0] != FETCH] == hooks.seen


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("at", "is_cached"), [(0x5000, True), (0xB8000, False), (0xFEE00030, False)])
def test_memory_of_devices_is_in_no_cache(at: int, is_cached: bool, model: str, lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", f"mov eax, [{at:#x}]; mov eax, [{at:#x}]; mov eax, [{at:#x}]; hlt", timing=model)
    assert lab.run() is CoreStop.HALT
    assert any(line.at <= at < line.at + 32 for line in lab.pc.cycles.memory.lines()) is (is_cached and model != "i386")


@pytest.mark.parametrize("model", MODELS)
def test_a_restored_snapshot_goes_on_with_the_same_misses(model: str) -> None:
    machine = Machine(mem="8M", timing=model)
    machine.load_demo()
    machine.run(max_insns=9_000)
    snapshot = machine.snapshot()
    ends = []
    for _ in range(2):
        machine.run()
        ends.append((machine.cycles, machine.tlb.as_dict(), machine.cache.as_dict(), machine.tlb.entries))
        machine.restore(snapshot)
    assert ends[0] == ends[1]
