"""What the timing models make of small programs for which figures of real machines are published.

Each program runs in real mode with interrupts off, between two reads of the time-stamp counter, which counts the
model's cycles.  Published times are taken times the machine's clock, so that machines of one processor can be compared;
what differs between them then is their memory.  docs/timing.md explains the differences.

Nothing here depends on the host: the figures are the same everywhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from figures import Goal, table
from processes import BenchError

from hillemu import Machine
from hillemu.boot.assembler import Layout, assemble_text
from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PhysAddr

SECTORS, SECTOR = 16, 512
TIMES = 0x7000
"""Where the guest keeps its three readings of the counter."""
EXACT, MAX_INSNS = 0.01, 2_000_000

FRAME = """
.code16
start:
    cli
    xor ax, ax; mov ss, ax; mov sp, 0x7000
    mov ds, ax; mov es, ax
    mov ax, 0x0200 + {sectors}; mov bx, 0x7E00; mov cx, 2; xor dx, dx
    int 0x13
    cli
    mov ax, 0x2000; mov ds, ax; mov es, ax
    xor bx, bx; xor si, si; mov di, 0x400
    jmp measure
.org 510
.word 0xAA55
measure:
{before}
    rdtsc; mov dword ptr cs:[{times}], eax
{code}
    rdtsc; mov dword ptr cs:[{times} + 4], eax
    rdtsc; mov dword ptr cs:[{times} + 8], eax
    cli; hlt
{behind}
.org {size}
"""

BLOCKS = """
    cld; xor ax, ax; mov di, 0x100; mov cx, 128; rep stosw; stosb
    mov si, 0x100; mov di, 0x202; mov cx, 128; rep movsw; movsb
    sub si, 257; sub di, 257
    mov byte ptr [di + 255], 0xFF
    mov al, 0xFF; mov cx, 257; repne scasb
    sub di, 256; mov cx, 257; repe cmpsb
    sub si, 256; mov cx, 128; rep lodsw
"""


class Published(NamedTuple):
    """Cycles that real machines took, from the best to the worst, and where that is printed."""

    processor: str
    low: float
    high: float
    source: str


class Program(NamedTuple):
    """`turns` is how often the code executes what the figures are about."""

    title: str
    before: str
    code: str
    turns: int
    figures: tuple[Published, ...]


def _of_machines(processor: str, source: str, *machines: tuple[float, float]) -> Published:
    """Machines as (microseconds, MHz)."""
    cycles = sorted(time * clock for time, clock in machines)
    return Published(processor, cycles[0], cycles[-1], f"{source}, {len(cycles)} machines")


_GPBB = "Abrash, chapters 12 and 13"


def _unrolled(title: str, piece: str, cycles: float, *, before: str = "") -> Program:
    """A piece of code of the i486, a hundred times."""
    return Program(title, before, f".rept 100; {piece}; .endr", 100, (Published("i486", cycles, cycles, _GPBB),))


def _loop(title: str, body: str, cycles: float) -> Program:
    turn = "mov cx, 1000; .balign 16; nop; nop; nop; nop; nop; nop; nop; nop; nop"
    return Program(title, turn, f"1: {body}; dec cx; jnz 1b", 1000, (Published("i486", cycles, cycles, _GPBB),))


# (microseconds, MHz) of every i386DX, i486 with 8 KiB and Pentium among the thirty machines that were collected.
_INTEL_386 = (
    *((537, 16), (390, 16), (370, 20), (326, 20), (452, 25), (317, 25)),
    *((193, 33), (204, 33), (196, 33)),
)
_INTEL_486 = (
    *((207, 25.5), (206, 25), (156, 33.8), (143, 33), (115, 67.1), (117, 67.1)),
    *((89, 66), (89, 66), (82, 66), (80, 66), (89, 66), (90, 66)),
)
_PENTIUM = ((52, 90), (62, 75), (54, 75), (45, 133), (32, 133), (36, 166))
_BLOCK_FIGURES = (
    _of_machines("i386", "TOPBENCH", *_INTEL_386),
    _of_machines("i486", "TOPBENCH", *_INTEL_486),
    _of_machines("pentium", "TOPBENCH", *_PENTIUM),
)
_PAIRS = "mov cx, 99; push offset 3f; push ax; 1: push offset 2f; push ax; dec cx; jnz 1b"

PROGRAMS = (
    Program("257 bytes filled, copied, searched, compared, read", "", BLOCKS, 1, _BLOCK_FIGURES),
    _loop("sum of a table by base and index", "add ax, [bx + si]; add si, 2", 8),
    _loop("sum of a table by base", "add ax, [si]; add si, 2", 7),
    _loop("the same, pointer moved just before its use", "add si, 2; add ax, [si]", 9),
    Program("POP and RET", _PAIRS, "2: pop dx; ret; 3:", 100, (Published("i486", 6, 6, _GPBB),)),
    _unrolled("four POP", "pop dx; pop cx; pop ax; pop bp", 4, before="mov sp, 0x6000"),
    _unrolled("MOV r,m and PUSH r", "mov ax, [bx]; push ax", 2),
    _unrolled("PUSH m", "push word ptr [bx]", 4),
    _unrolled("POP m", "pop word ptr [bx]", 6, before="mov sp, 0x6000"),
    _unrolled("SHL r,1", "shl dx, 1", 3),
    _unrolled("SHL r,2", "shl dx, 2", 2),
    _unrolled("pointer written one instruction before its use", "mov bx, 0x100; mov ax, [bx]; inc dx", 5),
    _unrolled("pointer written two instructions before its use", "mov bx, 0x100; inc dx; mov ax, [bx]", 4),
    _unrolled("pointer written three instructions before", "mov bx, 0x100; inc dx; dec bp; mov ax, [bx]", 4),
    _unrolled("byte register written just before an address", "nop; mov dl, cl; mov ax, [bx]", 3),
    _unrolled("byte register written two before an address", "mov dl, cl; nop; mov ax, [bx]", 4),
    _unrolled("byte registers written one and two before", "mov dl, al; mov cl, 3; mov bp, [si]", 5),
    _unrolled("pointer and byte register before its use", "mov bx, 0x100; mov cl, al; mov dx, [bx]", 5),
    _unrolled("pointers loaded just before their use", "mov di, [bp + 8]; mov bl, [di]; add dx, [bx + 0x400]", 8),
    _unrolled("the same, in another order", "mov bl, [di]; mov di, [bp + 8]; add dx, [bx + 0x400]", 5),
)


def measure(*, tell: Callable[[str], None]) -> dict[str, Any]:
    """For every program, records of a processor's published and modelled cycles for a turn; None: not modelled yet."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hillemu-published-") as folder:
        for program in PROGRAMS:
            for figure in program.figures:
                tell(f"{program.title}, {figure.processor}")
                record: dict[str, Any] = figure._asdict()
                for suffix in ("-nomem", ""):
                    try:
                        cycles = cycles_of(program.before, program.code, figure.processor + suffix, Path(folder))
                        record[_column(suffix)] = cycles / program.turns
                    except OptionError:
                        record[_column(suffix)] = None
                found.setdefault(program.title, []).append(record)
    return found


def cycles_of(before: str, code: str, timing: str, folder: Path, behind: str = "") -> int:
    """The cycles of `code`, in real mode behind `before`; `behind` is what it may call."""
    source = FRAME.format(
        before=before, code=code, behind=behind, sectors=SECTORS - 1, size=SECTORS * SECTOR, times=TIMES
    )
    image = folder / "published.img"
    image.write_bytes(assemble_text(source, layout=Layout(flat=True, base=0x7C00)).data)
    machine = Machine(mem="4M", timing=timing)
    machine.load(str(image), format="floppy")
    machine.run(max_insns=MAX_INSNS)
    times = machine.memory.read(PhysAddr(TIMES), 12)
    start, end, again = (int.from_bytes(times[at : at + 4], "little") for at in (0, 4, 8))
    if not start < end < again:
        raise BenchError("a published program did not end as it should")
    return (end - start) - (again - end)


def error_of(cycles: float, low: float, high: float) -> float:
    """How far the model's cycles are from the nearest published figure, as a part of it; 0 within them.

    >>> error_of(7, 8, 10), error_of(9, 8, 10), error_of(12, 8, 10)
    (-0.125, 0.0, 0.2)
    """
    return round(cycles / min(max(cycles, low), high) - 1, 3)


def report(measured: dict[str, Any]) -> tuple[str, list[Goal]]:
    heads = ["cycles", "", "published", *(f"{_column(suffix)}, error" for suffix in ("-nomem", "")), "source"]
    rows, errors = [], dict[str, list[float]]()
    for title, records in measured.items():
        for record in records:
            low, high = record["low"], record["high"]
            cells = []
            for column in map(_column, ("-nomem", "")):
                if record[column] is None:
                    cells.append("open")
                    continue
                error = error_of(record[column], low, high)
                errors.setdefault(column, []).append(abs(error))
                cells.append(f"{record[column]:.1f} {100 * error:+5.0f} %")
            published = f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"
            rows.append([title, record["processor"], published, *cells, record["source"]])
    lines = [table(heads, rows), ""]
    for column, found in errors.items():
        exact = sum(error < EXACT for error in found)
        mean, worst = 100 * sum(found) / len(found), 100 * max(found)
        lines.append(f"{column}: {exact} of {len(found)} within 1 %, mean error {mean:.0f} %, largest {worst:.0f} %")
    return "\n".join(lines), []


def _column(suffix: str) -> str:
    return "without memory" if suffix else "with memory"
