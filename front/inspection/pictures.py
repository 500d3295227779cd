"""An address space as a table: for a terminal, and for a notebook."""

from __future__ import annotations

from html import escape

from hillemu.emu.i386.control import PAE, PGE, PSE, SMAP, SMEP, WP, ControlState, PagingMode
from hillemu.emu.i386.spaces import Region, Tables, regions_of, size_text

MOST_ROWS = 256
"""A garbage space may have a million runs; `regions()` has them all."""

_STYLE = "font-family:ui-monospace,monospace;font-size:90%;border-collapse:collapse"
_CELL = "padding:1px 8px;text-align:left"
_COLOURS = {(False, False): "#e8eef6", (False, True): "#d3e3f5", (True, False): "#e6f4e6", (True, True): "#fbe9d0"}
"""Background by (user, writable)."""


def as_text(tables: Tables) -> str:
    """A headline and a line for each run."""
    regions = regions_of(tables)
    lines = [headline(tables.control), *(str(region) for region in regions[:MOST_ROWS])]
    if not len(regions):
        lines.append("nothing is mapped")
    if len(regions) > MOST_ROWS:
        lines.append(_more(len(regions)))
    return "\n".join(lines)


def as_html(tables: Tables) -> str:
    """The same as one table that needs nothing from outside."""
    regions = regions_of(tables)
    head = "".join(
        f'<th style="{_CELL}">{name}</th>' for name in ("virtual", "physical", "size", "pages", "rights", "flags")
    )
    rows = "".join(_row(region) for region in regions[:MOST_ROWS])
    if len(regions) > MOST_ROWS:
        rows += f'<tr><td colspan="6" style="{_CELL}">{escape(_more(len(regions)))}</td></tr>'
    if not len(regions):
        rows = f'<tr><td colspan="6" style="{_CELL}">nothing is mapped</td></tr>'
    return (
        f'<table style="{_STYLE}"><caption style="text-align:left">{escape(headline(tables.control))}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def headline(control: ControlState) -> str:
    """The paging mode and the control bits that change what rights mean."""
    if control.mode is PagingMode.OFF:
        return str(control.mode)
    bits = [
        name
        for name, on in (
            ("WP", control.cr0 & WP),
            ("PSE", control.cr4 & PSE and not control.cr4 & PAE),
            ("PGE", control.cr4 & PGE),
            ("NXE", control.no_execute),
            ("SMEP", control.cr4 & SMEP),
            ("SMAP", control.cr4 & SMAP),
        )
        if on
    ]
    return f"{control.mode}, CR3 0x{control.cr3:08X}, {' '.join(bits) or 'no protection bits'}"


def _more(count: int) -> str:
    return f"... and {count - MOST_ROWS:,} more of {count:,} runs"


def cells(region: Region) -> tuple[str, ...]:
    """A run's virtual and physical addresses, size, pages and rights, for the columns of a table."""
    return (
        f"0x{region.start:08X}-0x{region.end - 1:08X}",
        f"0x{region.phys:09X}",
        size_text(region.size_bytes),
        f"{region.pages} x {size_text(region.page_size_bytes)}",
        region.letters,
    )


def _row(region: Region) -> str:
    flags = ", ".join(name if count == region.pages else f"{name} {count}" for name, count in region.flags.items())
    colour = _COLOURS[region.rights.user, region.rights.writable]
    columns = "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in (*cells(region), flags))
    return f'<tr style="background:{colour}">{columns}</tr>'
