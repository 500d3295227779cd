"""From a code address to a source line, by the image's DWARF line tables.

Only the compilation unit that the address lies in is decoded, and it is remembered: a backtrace through a large kernel
costs a few units, not the whole debugging information.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from hillemu.boot.elf import begins_as_elf


class SourceLines:
    """The line tables of the ELF file whose bytes are `elf`."""

    def __init__(self, elf: bytes) -> None:
        self._elf = elf
        self._opened = False
        self._dwarf: Any = None
        self._unit_starts: list[int] = []
        self._unit_ranges: list[tuple[int, int, int]] = []  # start, end, offset of the unit
        self._rows: dict[int, list[tuple[int, str]]] = {}

    def line(self, address: int) -> str | None:
        """The source line of `address` as ``file.c:42``, or None if the image does not say."""
        try:
            self._open()
            at = bisect_right(self._unit_starts, address) - 1
            if at < 0 or address >= self._unit_ranges[at][1]:
                return None
            return self._line_in_unit(self._unit_ranges[at][2], address)
        except Exception:
            # As with symbols: pyelftools raises whatever a mangled or exotic file provokes, and lines only decorate.
            self._unit_starts, self._unit_ranges = [], []
            return None

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        if not begins_as_elf(self._elf):
            return
        from io import BytesIO

        from elftools.elf.elffile import ELFFile

        file = ELFFile(BytesIO(self._elf))
        if not file.has_dwarf_info():
            return
        self._dwarf = file.get_dwarf_info()
        aranges = self._dwarf.get_aranges()  # .debug_aranges; gcc and gas write it with -g
        if aranges is not None:
            self._unit_ranges = sorted(
                (entry.begin_addr, entry.begin_addr + entry.length, entry.info_offset) for entry in aranges.entries
            )
        else:
            self._unit_ranges = sorted(_unit_ranges(self._dwarf))
        self._unit_starts = [start for start, _, _ in self._unit_ranges]

    def _line_in_unit(self, unit_offset: int, address: int) -> str | None:
        rows = self._rows.get(unit_offset)
        if rows is None:
            unit = self._dwarf.get_CU_at(unit_offset)
            rows = self._rows[unit_offset] = _rows_of(self._dwarf, unit)
        at = bisect_right(rows, address, key=lambda row: row[0]) - 1
        return rows[at][1] or None if at >= 0 else None


def _unit_ranges(dwarf: Any) -> list[tuple[int, int, int]]:
    """The units' address ranges by their top entries, for compilers that write no .debug_aranges."""
    ranges = []
    for unit in dwarf.iter_CUs():
        attributes = unit.get_top_DIE().attributes
        if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
            low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
            # DWARF 4: an address form holds the end, a constant form the length.
            end = high.value if high.form == "DW_FORM_addr" else low + high.value
            ranges.append((low, end, unit.cu_offset))
    return ranges


def _rows_of(dwarf: Any, unit: Any) -> list[tuple[int, str]]:
    """The unit's line table as (address, ``file:line``) in order of address; an end of sequence has an empty text."""
    program = dwarf.line_program_for_CU(unit)
    if program is None:
        return []
    files = [_text(entry.name) for entry in program["file_entry"]]
    first_file = 0 if program["version"] >= 5 else 1  # DWARF 5 counts files from 0
    rows = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if state.end_sequence:
            rows.append((state.address, ""))
        elif 0 <= state.file - first_file < len(files):
            rows.append((state.address, f"{files[state.file - first_file]}:{state.line}"))
    # An end of sequence sorts before the row that starts the next sequence at the same address.
    return sorted(rows, key=lambda row: (row[0], row[1] != ""))


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
