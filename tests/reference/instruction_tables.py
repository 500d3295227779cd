"""The clock tables of emu/timing/data, read with nothing but their description in docs/timing.md.

The figures are what both sides share; finding a row, and what an expression comes to, is done here anew.

>>> tables = Tables("i386")
>>> tables.clocks("REP MOVS", "", n=10)
45
>>> tables.clocks("MUL", "r", size=32, multiplier=9)
10
>>> tables.pairing("NOP", ""), tables.penalty("agi")
('', 0)
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "emu" / "timing" / "data"

_RANGE = re.compile(r"(?<![\w,(])(\d+)-(\d+)(?![\d]*[pnm])(?!\d)")
_TIMES = re.compile(r"(\d)(?=(?:ts|[nmp])\b)")


class Absent(LookupError):
    """The processor does not have the instruction."""


class Tables:
    """One processor's clock table and penalties."""

    def __init__(self, processor: str) -> None:
        self.processor = processor
        self._rows: dict[str, list[dict[str, str]]] = {}
        for row in _rows(f"clocks_{processor}.csv"):
            self._rows.setdefault(row["mnemonic"], []).append(row)
        self._penalties = {row["item"]: int(row["value"]) for row in _rows(f"penalties_{processor}.csv")}
        self._found: dict[tuple[str, str, str, str, int], dict[str, str]] = {}

    def knows(self, mnemonic: str) -> bool:
        """Whether there are rows about it: not about what is newer than the Pentium."""
        return mnemonic in self._rows

    def penalty(self, item: str) -> int:
        """Clocks of a penalty; bus clocks are taken for clocks."""
        return self._penalties[item]

    def clocks(
        self, mnemonic: str, form: str, *, mode: str = "protected", case: str = "", size: int = 32, **values: int
    ) -> int:
        """What the one row about an instruction comes to; `values` are those of its expression's letters.

        Raises `Absent`; `KeyError` where there is no row, or more than one.
        """
        text = self._row(mnemonic, form, mode, case, size)["clocks"]
        if text.isdigit():
            return int(text)
        if text == "absent":
            raise Absent(f"{mnemonic} {form}")
        return evaluate(text, **values)

    def needs(self, mnemonic: str, form: str, mode: str, case: str, size: int) -> str:
        """The expression, as printed."""
        return self._row(mnemonic, form, mode, case, size)["clocks"]

    def pairing(self, mnemonic: str, form: str, mode: str = "protected", case: str = "", size: int = 32) -> str:
        return self._row(mnemonic, form, mode, case, size)["pairing"]

    def _row(self, mnemonic: str, form: str, mode: str, case: str, size: int) -> dict[str, str]:
        key = (mnemonic, form, mode, case, size)
        if key not in self._found:
            if mnemonic not in self._rows:
                raise Absent(f"{mnemonic} {form}: newer than the three processors")
            rows = [row for row in self._rows.get(mnemonic, []) if _is_about(row, form, mode, case, size)]
            if len(rows) != 1:
                raise KeyError(f"{self.processor}: {len(rows)} rows for {key}")
            self._found[key] = rows[0]
        return self._found[key]


def evaluate(text: str, **values: int) -> int:
    """What an expression of the column `clocks` comes to.

    >>> evaluate("8-20"), evaluate("103-3p", p=31), evaluate("94+4n+m", n=2, m=1), evaluate("37+ts", ts=162)
    (14, 10, 103, 199)
    >>> evaluate("18+scan(4,3,3)", source=0x2000), evaluate("10+bits(3,5)", multiplier=-2)
    (28, 15)
    """
    source, multiplier = values.get("source", 1), values.get("multiplier", 0)
    control = values.get("precision_control", 3)

    def bits(least: int, least_of_negative: int) -> int:
        # ceil(log2 m): the smallest k with 2**k >= m.
        k = 0
        while 1 << k < abs(multiplier):
            k += 1
        return max(k, least_of_negative if multiplier < 0 else least)

    def scan(per_byte: int, per_nibble: int, per_bit: int) -> int:
        clocks, rest = 0, source
        for width, each in ((8, per_byte), (4, per_nibble), (1, per_bit)):
            while not rest & (1 << width) - 1:
                rest >>= width
                clocks += each
        return clocks

    def precision(single: int, double: int, extended: int) -> int:
        return {0: single, 2: double, 3: extended}.get(control, single)

    middle = _RANGE.sub(lambda match: str((int(match[1]) + int(match[2])) // 2), text)
    names = {"bits": bits, "scan": scan, "precision": precision, "__builtins__": {}}
    return int(eval(_TIMES.sub(r"\1*", middle), names, dict(values)))


def _is_about(row: dict[str, str], form: str, mode: str, case: str, size: int) -> bool:
    return (
        row["form"] in (form, "any")
        and (row["mode"] == "any" or mode in row["mode"].split("|"))
        and (not row["case"] or case in row["case"].split("|"))
        and (row["size"] == "any" or str(size) in row["size"].split("|"))
    )


@cache
def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
