"""Finds the two libraries that a processor is made of: Unicorn's, and the native core beside this file."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from hillemu.emu.errors import LayoutMismatch

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core

UNICORN_VERSION = "2.1.4"


def unicorn_library() -> str:
    """Path of libunicorn, found without importing Unicorn's Python binding (which takes 60 ms more)."""
    spec = importlib.util.find_spec("unicorn")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for name in ("libunicorn.so.2", "libunicorn.2.dylib"):
            path = os.path.join(folder, "lib", name)
            if os.path.exists(path):
                return path
    raise LayoutMismatch(f"no libunicorn found: hillemu needs the package unicorn=={UNICORN_VERSION}")


def load_core() -> type[Core]:
    """The native core's class; raises `LayoutMismatch` where it is not built."""
    try:
        from hillemu.emu.cpu._core import Core
    except ImportError as error:
        raise LayoutMismatch(f"the native core is not built ({error}); install hillemu with a C compiler") from None
    return Core
