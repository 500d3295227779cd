"""TOPBENCH's tests on the timing models, beside the times of the real machines in its database.

    git clone https://github.com/MobyGamer/TOPBENCH
    .venv/bin/python bench/topbench.py TOPBENCH

The machines' memory is not known, so the models with memory are given a board without wait states and one with three,
between which most boards of that time lie; the error is that of the nearest in between.

The tests (opcodes, addressing modes, memory blocks, a 3-D game's mix) are DOS programs in Turbo Pascal's assembler, and
not part of hillemu: their instructions are read from the folder, assembled by ours, and run in real mode.  The database
has microseconds; those of a processor are taken times their machines' clocks, so what differs is memory and chance.
"""

from __future__ import annotations

import csv
import re
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from figures import table
from published import cycles_of, error_of
from published_programs import COLD

from hillemu.boot.assembler import AssemblyError
from hillemu.emu.timing.model import timing_model

TESTS = {
    "_MBLOCK.INC": ("memory blocks", "usecMemTest"),
    "_OPCODES.INC": ("opcodes", "usecOpcodes"),
    "_EA.INC": ("addressing modes", "usecMemEA"),
    "_3DGAMES.INC": ("3-D games' mix", "usec3DGames"),
}
MACHINES = {
    "i386": re.compile(r"Intel 80386DX$"),
    "i486": re.compile(r"(Intel )?(i486DX|i486SX|i486DX2|486DX2|80486|i486DX or i487SX|i486DX-33)$"),
    "pentium": re.compile(r"Intel Pentium( \(.*\))?$"),
}
CONSTANTS = {"foow": 0x1234, "foob": 0x12, "disp16": 0x101, "disp8": 1, "bufsize": 257}
WORD, BYTE, BUFFERS, SCRATCH, FAR_DATA = 0x100, 0x102, {"buf1": 0x110, "buf2": 0x114}, 0x200, 0x1234
WAIT_STATES = (0, 3)
BEHIND = "near_return: ret\nfar_return: retf\ninterrupt_return: iret"
_PREFIXES = {"es": 0x26, "cs": 0x2E, "ss": 0x36, "ds": 0x3E}


class Row(NamedTuple):
    """Cycles of one test on the machines of a processor, and on its models."""

    test: str
    processor: str
    machines: int
    best: float
    median: float
    without_memory: int
    no_waits: int
    waits: int


def assembly_of(pascal: str) -> str:
    """The statements between the timer's start and end, in our assembler's language."""
    text = re.sub(r"\(\*.*?\*\)|\{.*?\}", "", pascal.lower(), flags=re.DOTALL)
    begin, end = (re.search(rf"call\s+_pztimer{word}.*", text) for word in ("on", "off"))
    if begin is None or end is None:
        raise ValueError("no call of _PZTimerOn and _PZTimerOff")
    statements = text[begin.end() : end.start()].replace(";", "\n").splitlines()
    # Behind the start is its POPF, before the end PUSHF and CLI.
    lines = [line for statement in statements if (line := statement.strip())]
    while lines and lines[-1] in ("cli", "pushf"):
        lines.pop()
    return "\n".join(map(_statement, lines))


def _statement(line: str) -> str:
    line = re.sub(r"@(\w+)", r"at_\1", line)
    line = re.sub(r"\$([0-9a-f]+)", r"0x\1", line)
    line = re.sub(r"\b([0-9][0-9a-f]*)h\b", r"0x\1", line)
    line = re.sub(r"\b([01]{8})b\b", r"0b\1", line)
    line = re.sub(r"^seg(es|cs|ss|ds)\s+", lambda found: f".byte {_PREFIXES[found[1]]}; ", line)
    line = re.sub(r"^db ", ".byte ", line)
    line = re.sub(r"call\s+donothingnear", "call near_return", line)
    line = re.sub(r"call\s+donothingfar", ".byte 0x9A; .word far_return, 0", line)
    line = re.sub(r"call\s+donothinginterrupt", ".byte 0x9A; .word interrupt_return, 0", line)
    line = re.sub(r"byte \[w\]", f"byte ptr [{WORD}]", line)
    for name, at, size in (("w", WORD, "word ptr"), ("b", BYTE, "byte ptr")):
        line = re.sub(rf"\b(es|cs|ss|ds):\[{name}\]", rf"{size} \1:[{at}]", line)
        line = re.sub(rf"(?<=[ ,\t])\[?{name}\]?(?=\s*,|$)", f"{size} [{at}]", line)
    for name, at in BUFFERS.items():
        line = re.sub(rf"\[?\b{name}\b\]?", f"[{at}]", line)
    line = re.sub(r",\s*scratchspace", f", [{SCRATCH}]", line)
    for name, value in CONSTANTS.items():
        line = re.sub(rf"\b{name}\b", str(value), line)
    line = re.sub(r"^(lea .*),\s*word ptr \[", r"\1, [", line)
    return re.sub(r"^xlat$", "xlatb", line)


def preparation() -> str:
    """The variables that the tests expect: two buffers beside each other, and a pointer to them."""
    pointers = {BUFFERS["buf1"]: SCRATCH, BUFFERS["buf2"]: SCRATCH + 258, FAR_DATA: 0x500}
    stores = [f"mov word ptr [{at}], {to}; mov word ptr [{at + 2}], 0x2000" for at, to in pointers.items()]
    return "\n".join([*stores, "mov bp, 0x3000"])


def main() -> int:
    """Print the table; the exit status is 1 if the folder is not TOPBENCH."""
    if len(sys.argv) != 2:
        print("topbench: give the folder of TOPBENCH's sources", file=sys.stderr)
        return 1
    try:
        print(report(measure(Path(sys.argv[1]))))
    except (OSError, ValueError, KeyError, AssemblyError) as error:
        print(f"topbench: {sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


def measure(sources: Path) -> list[Row]:
    with (sources / "DATABASE.CSV").open(encoding="latin-1", newline="") as file:
        machines = list(csv.DictReader(file))
    found = []
    with tempfile.TemporaryDirectory(prefix="hillemu-topbench-") as folder:
        for name, (title, column) in TESTS.items():
            code = assembly_of((sources / name).read_text(encoding="latin-1"))
            for processor, pattern in MACHINES.items():
                of_processor = [machine for machine in machines if pattern.fullmatch(machine["CPU"])]
                real = sorted(
                    int(machine[column]) * float(machine["MHz"]) for machine in of_processor if int(machine[column])
                )
                models = [f"{processor}-nomem", *(timing_model(processor, wait_states=some) for some in WAIT_STATES)]
                cycles = [cycles_of(preparation(), code, model, Path(folder), COLD, BEHIND) for model in models]
                found.append(Row(title, processor, len(real), real[0], median(real), *cycles))
    return found


def report(rows: list[Row]) -> str:
    heads = ["cycles", "", "machines", "best", "median", "without memory, error", "with memory, error"]
    lines, errors = [], []
    for row in rows:
        bare = error_of(row.without_memory, row.best, row.median)
        # Of boards between the two, the nearest to the machines.
        nearest = min(max(row.best, row.no_waits), row.waits)
        error = error_of(nearest, row.best, row.median)
        errors.append((abs(bare), abs(error)))
        lines.append(
            [
                *(row.test, row.processor, str(row.machines), f"{row.best:.0f}", f"{row.median:.0f}"),
                f"{row.without_memory} {100 * bare:+5.0f} %",
                f"{row.no_waits}-{row.waits} {100 * error:+5.0f} %",
            ]
        )
    means = [100 * sum(some) / len(errors) for some in zip(*errors, strict=True)]
    return f"{table(heads, lines)}\n\nmean error without memory {means[0]:.0f} %, with memory {means[1]:.0f} %"


if __name__ == "__main__":
    raise SystemExit(main())
