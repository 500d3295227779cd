"""The last exceptions and interrupts, one line each."""

from __future__ import annotations

from hillemu.emu.i386.errorcodes import explain_error_code
from hillemu.emu.i386.vectors import describe
from hillemu.report.view import Delivery, Scene, is_page_fault

SHOWN = 16


def delivery_lines(scene: Scene) -> list[str]:
    """The last 16 deliveries, oldest first."""
    if not scene.deliveries:
        return ["none"]
    return [_line(scene, delivery) for delivery in scene.deliveries[-SHOWN:]]


def delivery_title(delivery: Delivery) -> str:
    """What came, in words."""
    if delivery.kind == "exception":
        return describe(delivery.vector)
    return f"{'INT' if delivery.kind == 'software' else 'IRQ as vector'} {delivery.vector:#04x}"


def _line(scene: Scene, delivery: Delivery) -> str:
    # Symbols are linear addresses; the base of a code segment that is no longer loaded is taken as zero.
    base = scene.cs.base if delivery.cs == scene.cs.selector else 0
    name = scene.name(base + delivery.eip & 0xFFFFFFFF)
    line = f"insn {delivery.at}: {delivery_title(delivery)} at {delivery.cs:04X}:{delivery.eip:08X} {name}".rstrip()
    if delivery.kind == "exception" and delivery.error_code is not None:
        words = explain_error_code(delivery.vector, delivery.error_code)
        line += f", error code {delivery.error_code:#x}" + (f" ({words})" if words else "")
    if is_page_fault(delivery):
        line += f", CR2=0x{delivery.cr2:08X}"
    return line
