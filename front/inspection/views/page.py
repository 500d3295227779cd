"""The results as one HTML file that needs nothing from outside: no network, no other file.

It has both address spaces as pictures to zoom (`strips`), the runs of pages and of frames as tables, whose rows zoom
the pictures, what lint found, and every view that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple, TextIO

from hillemu.emu.i386.address import PAGE_SIZE
from hillemu.emu.i386.spaces import Regions, size_text
from hillemu.inspection.frame_uses import FrameRun, Use, frame_uses, what_counts
from hillemu.inspection.pictures import headline
from hillemu.inspection.views.html import block_html, head_html, legend_html, row_html, text_html
from hillemu.inspection.views.shown import Shown
from hillemu.inspection.views.strips import MOST_BARS, Bar, folded, strip

if TYPE_CHECKING:
    from hillemu.emu.i386.control import ControlState
    from hillemu.emu.i386.spaces import Region
    from hillemu.inspection.lint.findings import Finding
    from hillemu.inspection.views.scene import Scene

VIRTUAL, PHYSICAL = "virtual-memory", "physical-memory"
FOUR_GIB = 1 << 32
MOST_ROWS = 2000
_USES = {
    Use.TABLES: "use-tables",
    Use.IMAGE: "use-image",
    Use.MODULES: "use-modules",
    Use.RESERVED: "use-reserved",
    Use.USER: "use-user",
    Use.KERNEL: "use-kernel",
    Use.FREE: "use-free",
}
_RIGHTS = {
    "ro": "kernel: read",
    "rx": "kernel: read, execute",
    "rw": "kernel: read, write",
    "rwx": "kernel: all three",
    "u-ro": "user: read",
    "u-rx": "user: read, execute",
    "u-rw": "user: read, write",
    "u-rwx": "user: all three",
}


class PageParts(NamedTuple):
    """What every page shows, as it was at the moment that was looked at."""

    control: ControlState
    regions: Regions
    frames: Sequence[FrameRun]
    findings: Sequence[Finding]
    ram_end: int
    """The end of RAM, where the picture of physical memory ends."""
    names: Sequence[str]
    """For each region that is listed, the symbol at its start."""


def collect(scene: Scene) -> PageParts:
    """Look at everything that `write_page` will show."""
    regions = scene.space.regions()
    ram_end = max((ram.end for ram in scene.machine.memory.ram_ranges), default=PAGE_SIZE)
    return PageParts(
        scene.space.control,
        regions,
        frame_uses(scene.machine, scene.space),
        scene.space.lint(),
        ram_end,
        [scene.named(region.start) for region in regions[:MOST_ROWS]],
    )


def write_page(out: TextIO, parts: PageParts, results: Iterable[tuple[str, Shown]], *, image: str, place: str) -> None:
    """Write the page for `image`, looked at where `place` tells, with the `results` of views behind the pictures."""
    text = (files("hillemu.inspection.views") / "page.css").read_text("utf-8")
    script = (files("hillemu.inspection.views") / "page.js").read_text("utf-8")
    out.write(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta name="viewport" content="width=device-width"/><title>{text_html(image)} - hillemu</title>'
        f"<style>\n{text}</style></head>\n<body>\n<h1>{text_html(image)}</h1>\n"
        f'<p class="place">{text_html(place)}; {text_html(headline(parts.control))}</p>\n'
    )
    for section in (_virtual(parts), _physical(parts), _lint(parts), *(_result(*result) for result in results)):
        out.write(section)
    # An XML parser, too, must take the script as text; to JavaScript both marks are comments.
    out.write(f"<script>\n//<![CDATA[\n{script}//]]>\n</script>\n</body></html>\n")


def _virtual(parts: PageParts) -> str:
    bars = [
        Bar(region.start, region.end, _rights_class(region), str(region), region.phys)
        for region in _largest(parts.regions)
    ]
    rows = "".join(
        row_html(
            (
                f"0x{region.start:08X}-0x{region.end - 1:08X}",
                f"0x{region.phys:09X}",
                size_text(region.size_bytes),
                region.letters,
                " ".join(region.flags),
                name,
            ),
            f'class="goes" data-strip="{VIRTUAL}" data-a="{region.start}" data-b="{region.end}" data-p="{region.phys}"',
        )
        for region, name in zip(parts.regions[:MOST_ROWS], parts.names, strict=True)
    )
    more = len(parts.regions) - MOST_ROWS
    note = f'<p class="hint">... and {more:,} more runs</p>' if more > 0 else ""
    return (
        "<h2>Virtual memory</h2>\n"
        '<p class="hint">Wheel: zoom. Drag: move. Double click: the whole space. '
        "A click on a run or a row goes there.</p>\n"
        f"{folded(VIRTUAL, bars)}{strip(VIRTUAL, FOUR_GIB, bars)}{legend_html(_RIGHTS.items())}\n"
        f'<div class="scrolls"><table>{head_html(("virtual", "physical", "size", "rights", "flags", "symbol"))}'
        f"<tbody>{rows}</tbody></table></div>{note}\n"
    )


def _largest(regions: Regions) -> Iterable[Region]:
    """As many as are drawn; a space of garbage has a million, and making them all takes seconds."""
    if len(regions) <= MOST_BARS:
        return regions
    sizes = regions.columns.size_bytes
    kept = sorted(range(len(regions)), key=lambda index: -sizes[index])[:MOST_BARS]
    return [regions[index] for index in sorted(kept)]


def _physical(parts: PageParts) -> str:
    inside = [run for run in parts.frames if run.base < parts.ram_end]
    bars = [Bar(run.base, min(run.end, parts.ram_end), _USES[run.use], str(run), run.base) for run in inside]
    rows = "".join(
        row_html(
            (
                f"0x{run.base:09X}-0x{run.end - 1:09X}",
                size_text(run.size_bytes),
                str(run.use),
                run.owner,
                "" if run.mapped_at is None else f"0x{run.mapped_at:08X}",
            ),
            f'class="goes" data-strip="{PHYSICAL}" data-a="{run.base}" data-b="{run.end}" data-p="{run.base}"'
            if run.base < parts.ram_end
            else "",
        )
        for run in parts.frames[:MOST_ROWS]
    )
    return (
        "<h2>Physical memory</h2>\n"
        f'<p class="hint">{text_html(what_counts(parts.control))}.</p>\n'
        f"{folded(PHYSICAL, bars)}{strip(PHYSICAL, parts.ram_end, bars)}"
        f"{legend_html((name, str(use)) for use, name in _USES.items())}\n"
        f'<div class="scrolls"><table>{head_html(("physical", "size", "use", "what", "mapped at"))}'
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def _lint(parts: PageParts) -> str:
    rows = "".join(
        f'<tr class="{one.severity}"><td>{one.severity}</td><td>{text_html(one.rule)}</td>'
        f"<td>0x{one.start:08X}-0x{one.end - 1:08X}</td><td>{text_html(one.what)}<br/>"
        f'<span class="faint">{text_html(one.why)}; {text_html(one.advice)}</span></td></tr>'
        for one in parts.findings
    )
    if not rows:
        return '<h2>Lint</h2>\n<p class="good">no findings</p>\n'
    return f"<h2>Lint</h2>\n<table>{head_html(('severity', 'rule', 'virtual', 'what'))}<tbody>{rows}</tbody></table>\n"


def _result(title: str, shown: Shown) -> str:
    return f"<h2><code>{text_html(title)}</code></h2>\n{''.join(map(block_html, shown.blocks))}\n"


def _rights_class(region: Region) -> str:
    rights = region.rights
    letters = "r" + "w" * rights.writable + "x" * rights.executable
    return ("u-" if rights.user else "") + (letters if len(letters) > 1 else "ro")
