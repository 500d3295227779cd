"""A profile as one HTML file that needs nothing from outside: flame graph, timeline, tables."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, TextIO

from hillemu.inspection.views.html import block_html, text_html
from hillemu.profiling.flame import flame_graph
from hillemu.profiling.tables import by_function, by_line, summary
from hillemu.profiling.timeline import timeline

if TYPE_CHECKING:
    from hillemu.inspection.views.shown import Table, Text
    from hillemu.profiling.run_profile import RunProfile

MOST_ROWS = 500


def write_page(out: TextIO, profile: RunProfile, *, image: str, ending: str) -> None:
    """Write the page for a run of `image` that ended as `ending` tells; raises `OSError`."""
    style = _text_of("hillemu.inspection.views", "page.css") + _text_of("hillemu.profiling", "profile.css")
    unit = "cycles" if profile.has_cycles else "ticks"
    out.write(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta name="viewport" content="width=device-width"/><title>{text_html(image)} - hillemu profile</title>'
        f"<style>\n{style}</style></head>\n<body>\n<h1>{text_html(image)}</h1>\n"
        f'<p class="place">{text_html(ending)}; timing: {text_html(profile.timing)}</p>\n'
    )
    out.write(_blocks(summary(profile).blocks))
    out.write(
        f'<h2>Where the {unit} go</h2>\n<p class="hint">Below each function is what it has called. '
        "A click on one shows it alone, on the top row all again.</p>\n"
        f"{flame_graph(profile.tree(), unit)}\n<h2>Over time</h2>\n{timeline(profile)}"
    )
    out.write(f"<h2>By function</h2>\n{_blocks(by_function(profile, MOST_ROWS).blocks)}")
    out.write(f"<h2>By line</h2>\n{_blocks(by_line(profile, MOST_ROWS).blocks)}")
    # An XML parser, too, must take the script as text; to JavaScript both marks are comments.
    script = _text_of("hillemu.profiling", "profile.js")
    out.write(f"<script>\n//<![CDATA[\n{script}//]]>\n</script>\n</body></html>\n")


def _text_of(package: str, name: str) -> str:
    return (files(package) / name).read_text("utf-8")


def _blocks(blocks: Iterable[Text | Table]) -> str:
    return "".join(f"{block_html(block)}\n" for block in blocks)
