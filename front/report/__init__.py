"""The crash report: what a dead guest was doing, in one page of text.

`crash_report` takes anything that fulfils `hillemu.report.view.CrashView`.  Every section is a file of this package,
and none of them changes the machine.
"""

from __future__ import annotations

from hillemu.report.backtrace import backtrace_lines
from hillemu.report.deliveries import delivery_lines
from hillemu.report.disassembly import disassembly_lines
from hillemu.report.hints import hints
from hillemu.report.registers import register_lines
from hillemu.report.view import CrashView, Scene
from hillemu.report.walks import walk_sections

__all__ = ["CrashView", "crash_report"]


def crash_report(view: CrashView) -> str:
    """Tell why the machine stopped, and all that helps to find the cause; lines without a final newline."""
    scene = Scene(view)
    reason = str(scene.stop.reason) + (f": {scene.stop.detail}" if scene.stop.detail else "")
    lines = [f"---- guest stopped: {reason}"]
    lines += [f"hint: {hint}" for hint in hints(scene)]
    sections = [
        ("registers", register_lines(scene)),
        ("last exceptions and interrupts, oldest first", delivery_lines(scene)),
        ("backtrace", backtrace_lines(scene)),
        *walk_sections(scene),
        ("code around EIP", disassembly_lines(scene)),
    ]
    for title, body in sections:
        lines += ["", f"-- {title}", *(f"  {line}" for line in body)]
    return "\n".join(lines)
