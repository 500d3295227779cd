"""A user's own parts for the kernel: what a Python file given by ``--kernel-module`` defines.

====================  ====================================================================================
`frame_allocator`     called with a `Zone`, gives the allocator of its frames
                      (`hillemu.kernel.mm.frames`)
`page_replacement`    called with `Pages`, gives the policy that picks pages to evict
                      (`hillemu.kernel.mm.replacement`)
`oom`                 called with the address spaces, picks whose program ends when memory has run out
`on_boot`             called with the `Kernel` when memory management is complete, before programs run
====================  ====================================================================================

All may be classes; none is required, but one must be there.  What goes wrong in this code is its author's mistake, told
in one line that names the line of the file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from hillemu.boot.image import read_file
from hillemu.emu.errors import HillemuError, UserMistake
from hillemu.kernel.mm.parts import must_take
from hillemu.kernel.options import KernelOptions
from hillemu.similar_names import did_you_mean

CALLED_WITH = {
    "frame_allocator": "a Zone",
    "page_replacement": "Pages",
    "oom": "the address spaces",
    "on_boot": "the Kernel",
}
NAMES = tuple(CALLED_WITH)
MODULE_NAME = "kernel_module"
"""By this name snapshots know that objects are part of the machine (`hillemu.emu.snapshot_objects.OURS`)."""


def kernel_options(path: str | None, *, check: bool = False) -> KernelOptions:
    """The kernel's options with the parts that the file at `path` brings; raises `UserMistake`, `ImageError`."""
    options = KernelOptions(check=check)
    if path is None:
        return options
    names: dict[str, Any] = _run(path)
    found = {name: names[name] for name in NAMES if name in names}
    if not found:
        hints = [f"; {name!r}:{hint[1:]}" for name in names if (hint := did_you_mean(name, NAMES))]
        raise UserMistake(f"{path}: defines none of {', '.join(NAMES)}{''.join(hints)}")
    for name, part in found.items():
        must_take(part, f"{path}: {name}", CALLED_WITH[name], (None,))
    return options._replace(**found)


@contextmanager
def blaming(path: str) -> Iterator[None]:
    """Inside, an exception out of the code in the file at `path` is its author's mistake: `UserMistake`.

    A `KeyboardInterrupt`, as of the second Ctrl-C, tells the line that it came in: perhaps a loop without an end.
    """
    try:
        yield
    except HillemuError:
        raise
    except KeyboardInterrupt as error:
        lines = _lines_in(path, error)
        raise KeyboardInterrupt(*(f"in {path}:{line}" for line in lines[-1:])) from None
    except SystemExit as error:
        raise UserMistake(f"{path}: it ended Python ({error})") from None
    except Exception as error:
        lines = _lines_in(path, error)
        if not lines:
            raise
        raise UserMistake(f"{path}:{lines[-1]}: {type(error).__name__}: {error}") from None


def _lines_in(path: str, error: BaseException) -> list[int | None]:
    """The lines of the file at `path` that `error` came through, the innermost last."""
    import traceback

    return [entry.lineno for entry in traceback.extract_tb(error.__traceback__) if entry.filename == path]


def _run(path: str) -> dict[str, Any]:
    module = ModuleType(MODULE_NAME)
    module.__file__ = path
    sys.modules[MODULE_NAME] = module  # dataclasses look up their annotations there
    text = bytes(read_file(path))
    try:
        code = compile(text, path, "exec")
    except SyntaxError as error:
        raise UserMistake(f"{path}:{error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise UserMistake(f"{path}: {error}") from None
    with blaming(path):
        exec(code, vars(module))  # the user's own code, as he asked
    return vars(module)
