"""Micro-benchmarks of tests/guest/timing: their files, and the guest that measures them.

A file is a list of cases after a header.  A case is its name, for each processor the cycles with their arithmetic and
why, and the code; a line ``--`` parts what comes before the measurement, what is measured and what comes after::

    mode: flat                          of the whole file, see `Surroundings`; left out: flat
    == MUL r32, multiplier 5            a case
    i386     6 + 3 = 9                  cycles, arithmetic first, "=" and the sum; then the reason
    i486     10 + 3 = 13  App.E: MUL
    pentium  9
        mov ecx, 5
    --
        mul ecx
    == setup                            code that runs once, in ring 0
    == handlers                         code that every case may enter: labels as `laboratory` has them

Lines that begin with ``#`` are comments.  Without ``--`` all code is measured, with one there is nothing after.

The guest runs the cases one after the other.  It writes to the port `STOPWATCH` before and behind what is measured;
the difference in cycles, less that of two such writes with nothing between, is the case's.  Ports have no wait states.
So what is measured stands between two OUTs: on the Pentium both are alone in the U pipe, they write no register, and of
the i386's components each has two.  Before a case the general registers are 0, except that EBX, ESI and EDI point to
pages of zeroes (`POINTERS`), and the arithmetic flags are those of XOR.
"""

from __future__ import annotations

import re
import struct
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from laboratory import CODE, GDT, STUB, TSS, make_lab

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.guest import Segment
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.timing.model import timing_model

FOLDER = Path(__file__).resolve().parents[1] / "guest" / "timing"
PROCESSORS = ("i386", "i486", "pentium")
STOPWATCH = 0xE0
TSS_SIZE, GDT_ENTRIES = 104, 32
POINTERS = {"ebx": 0x200000, "esi": 0x210000, "edi": 0x220000}
POINTERS_16 = {"bx": 0x1000, "si": 0x2000, "di": 0x3000}


class Case(NamedTuple):
    """One micro-benchmark; `clocks` has the processors that it is about."""

    name: str
    line: int
    clocks: dict[str, int]
    before: str
    measured: str
    after: str

    @property
    def piece(self) -> str:
        """All of its code."""
        return "\n".join((self.before, self.measured, self.after))

    @property
    def may_be_repeated(self) -> bool:
        """Whether the code may be in a program twice: it has no label but numbers."""
        return not re.search(r"[a-z_]\w*:(?!\[)", self.piece)


class CaseFile(NamedTuple):
    """A file of cases that share their surroundings."""

    path: Path
    mode: str
    cases: tuple[Case, ...]
    setup: str
    handlers: str


class Surroundings(NamedTuple):
    """How a file's guest is entered: code before the first case, where it lies, and its width."""

    entry: str
    base: int
    bits: int


_USER = """
    push 0x23; push 0x70000; pushfd; push 0x1B; push offset user; iretd
user: mov ax, 0x23; mov ds, ax; mov es, ax
"""
# Segments of virtual-8086 mode: GS, FS, DS, ES, SS, ESP, EFLAGS (VM, IOPL 0 or 3), CS, EIP.
_V86 = """
.code32
    push 0; push 0; push 0x3000; push 0x3000; push 0x7000; push 0xFF00; push {flags:#x}; push 0; push offset v86; iretd
.code16
v86:
"""
SURROUNDINGS = {
    "flat": Surroundings("", CODE, 32),
    "user": Surroundings(_USER, CODE, 32),
    "v86": Surroundings(_V86.format(flags=0x20002), 0x8000, 16),
    "v86 with IOPL 3": Surroundings(_V86.format(flags=0x23002), 0x8000, 16),
    "real": Surroundings(".code16\n", 0x8000, 16),
}


@cache
def read_cases(path: Path) -> CaseFile:
    """The cases of a file.  `ValueError` names the line that is not as the format has it."""
    mode, cases = "flat", list[Case]()
    shared = {"setup": "", "handlers": ""}
    name, first, lines = "", 0, list[tuple[int, str]]()
    for number, line in [*enumerate(path.read_text(encoding="utf-8").splitlines(), 1), (0, "== ")]:
        if line.startswith("== "):
            if name in shared:
                shared[name] = "\n".join(text for _, text in lines)
            elif name:
                cases.append(_case(path, name, first, lines))
            name, first, lines = line[3:].strip(), number, []
        elif line.startswith("mode: "):
            mode = line[6:].strip()
        elif line.strip() and not line.startswith("#"):
            if not name:
                raise ValueError(f"{path.name}:{number}: code before the first case")
            lines.append((number, line))
    return CaseFile(path, mode, tuple(cases), **shared)


def _case(path: Path, name: str, line: int, lines: list[tuple[int, str]]) -> Case:
    clocks: dict[str, int] = {}
    parts: list[list[str]] = [[]]
    for number, text in lines:
        if (words := text.split())[0] in PROCESSORS:
            clocks[words[0]] = clocks_of(f"{path.name}:{number}", text.removeprefix(words[0]))
        elif text.strip() == "--":
            parts.append([])
        else:
            parts[-1].append(text)
    if not clocks or len(parts) > 3:
        raise ValueError(f"{path.name}:{line}: {name} has {len(parts)} parts, and clocks of {sorted(clocks)}")
    code = ["\n".join(part) for part in parts]
    before, measured, after = [*code, ""] if len(code) == 2 else ["", *code, ""] if len(code) == 1 else code
    return Case(name, line, clocks, before, measured, after)


def clocks_of(place: str, text: str) -> int:
    """The number at the beginning: ``7 + 2 * 3 = 13``, then two blanks and words, or ``5`` alone."""
    arithmetic, _, answer = text.strip().partition("  ")[0].partition("=")
    if not set(arithmetic) <= set("0123456789+-*() "):
        raise ValueError(f"{place}: {arithmetic!r} is no arithmetic; two blanks part it from words")
    value = int(eval(arithmetic, {"__builtins__": {}}))  # digits and operators only
    if answer and int(answer) != value:
        raise ValueError(f"{place}: {arithmetic.strip()} is {value}, not {answer.strip()}")
    return value


class Stopwatch:
    """A device that notes when it is written to."""

    def __init__(self, ticks: Any) -> None:
        self.at: list[int] = []
        self._ticks = ticks

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.at.append(self._ticks())


@cache
def measured(path: Path, timing: str) -> dict[str, int]:
    """The cycles that each case of a file takes with a timing model, by name."""
    file = read_cases(path)
    lab = guest_of(file, timing)
    at = lab.stopwatch.at
    if lab.run() is not CoreStop.HALT or len(at) != 2 * len(file.cases) + 2:
        done = len(at) // 2 - 1
        name = file.cases[done].name if done < len(file.cases) else "the end"
        raise AssertionError(f"{path.name}: stopped in {name}; vectors {lab.vectors}, EIP {lab.get('eip'):#x}")
    both_writes = at[1] - at[0]
    return {case.name: at[2 * n + 3] - at[2 * n + 2] - both_writes for n, case in enumerate(file.cases)}


def guest_of(file: CaseFile, timing: str) -> Any:
    """A laboratory whose guest measures the cases of a file; its `stopwatch` has the times."""
    around = SURROUNDINGS[file.mode]
    fresh = fresh_registers(around.bits)
    stamp = f"out {STOPWATCH:#x}, al"
    lines = [file.setup, around.entry, stamp, stamp]
    for case in file.cases:
        lines += [fresh, case.before, stamp, case.measured, stamp, case.after]
    lines += ["hlt", file.handlers]
    lab = make_lab("\n".join(lines), base=around.base, timing=timing_model(timing, io_wait_states=0))
    lab.stopwatch = Stopwatch(lab.processor.ticks)
    lab.pc.ports.attach(STOPWATCH, 1, lab.stopwatch, name="stopwatch", width=1)
    write = lab.memory.write
    write(PhysAddr(TSS + TSS_SIZE), bytes(8192) + b"\xff")  # every port is allowed
    lab.memory.set_u32(PhysAddr(TSS + 100), TSS_SIZE << 16)
    lab.processor.set_segment("gdtr", Segment(0, GDT, GDT_ENTRIES * 8 - 1, 0))
    if file.mode == "real":
        _enter_real_mode(lab)
    return lab


def fresh_registers(bits: int) -> str:
    """Code that makes the registers what every case begins with."""
    pointers, stack = (POINTERS, "esp, 0x78000") if bits == 32 else (POINTERS_16, "sp, 0xFF00")
    lines = [f"mov {stack}", *(f"xor {name}, {name}" for name in ("eax", "ecx", "edx", "ebp", "ebx", "esi", "edi"))]
    return "\n".join([*lines, *(f"mov {name}, {at:#x}" for name, at in pointers.items()), "xor eax, eax"])


def _enter_real_mode(lab: Any) -> None:
    handlers = (lab.symbols.get(f"vector_{vector}", STUB) for vector in range(256))
    lab.memory.write(PhysAddr(0), struct.pack("<256I", *handlers))
    lab.processor.set("cr0", 0x10)
    lab.processor.set_segment("idtr", Segment(0, 0, 0x3FF, 0))
    for name, selector in (("cs", 0), ("ss", 0x7000), ("ds", 0x3000), ("es", 0x3000), ("fs", 0), ("gs", 0)):
        segment = Segment(selector, selector << 4, 0xFFFF, 0x9B00 if name == "cs" else 0x9300)
        lab.processor.set_segment(name, segment)
