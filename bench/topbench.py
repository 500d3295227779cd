"""TOPBENCH's tests on the timing models, beside the times of the real machines in its database.

    git clone https://github.com/MobyGamer/TOPBENCH
    .venv/bin/python bench/topbench.py TOPBENCH

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
from typing import Any

from published import cycles_of, cycles_table
from published_programs import COLD

from hillemu.boot.assembler import AssemblyError
from hillemu.emu.errors import OptionError

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
BEHIND = "near_return: ret\nfar_return: retf\ninterrupt_return: iret"
_PREFIXES = {"es": 0x26, "cs": 0x2E, "ss": 0x36, "ds": 0x3E}


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
        print(cycles_table(measure(Path(sys.argv[1]))))
    except (OSError, ValueError, KeyError, AssemblyError) as error:
        print(f"topbench: {sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


def measure(sources: Path) -> dict[str, Any]:
    """Records as `published.measure` makes them; the published figures are the best machine's and the median."""
    with (sources / "DATABASE.CSV").open(encoding="latin-1", newline="") as file:
        machines = list(csv.DictReader(file))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hillemu-topbench-") as folder:
        for name, (title, column) in TESTS.items():
            code = assembly_of((sources / name).read_text(encoding="latin-1"))
            for processor, pattern in MACHINES.items():
                cycles = sorted(
                    int(machine[column]) * float(machine["MHz"])
                    for machine in machines
                    if pattern.fullmatch(machine["CPU"]) and int(machine[column])
                )
                record: dict[str, Any] = {"processor": processor, "low": cycles[0], "high": cycles[len(cycles) // 2]}
                record["source"] = f"best and median of {len(cycles)}"
                for model, suffix in (("without memory", "-nomem"), ("with memory", "")):
                    try:
                        record[model] = cycles_of(preparation(), code, processor + suffix, Path(folder), COLD, BEHIND)
                    except OptionError:
                        record[model] = None
                found.setdefault(title, []).append(record)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
