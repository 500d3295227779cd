"""hillemu: an i386 PC in Python for people who write, teach and test memory management.

>>> from hillemu import Machine

`Machine` is the way in; what it raises is in `hillemu.emu.errors`, why a run ended in `hillemu.emu.stop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hillemu.emu.errors import GuestFault, HillemuError, ImageError, OptionError, UserMistake
    from hillemu.emu.stop import Stop, StopReason
    from hillemu.machine import Machine

__all__ = [
    "GuestFault",
    "HillemuError",
    "ImageError",
    "Machine",
    "OptionError",
    "Stop",
    "StopReason",
    "UserMistake",
]

_HOMES = {"Machine": "hillemu.machine", "Stop": "hillemu.emu.stop", "StopReason": "hillemu.emu.stop"}


def __getattr__(name: str) -> Any:
    """Import on first use: ``hillemu --help`` must not load a processor."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "hillemu.emu.errors")), name)
