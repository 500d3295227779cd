"""Where the sections go: what the caller or a ``.layout`` directive asks for.

::

    .layout base=0x100000
    .layout base=0x100000, virtual=0xC0000000, high=.text .rodata .data .bss
    .layout flat, base=0x7C00

Sections lie in memory in this order: ``.multiboot*``, ``.boot*`` and ``.init*``, code, constants, data, room; within
each kind as they first appear in the source.  With `virtual`, the sections in `high` (all, when it is absent) are
linked at ``virtual + load address``, as a kernel in the higher half is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hillemu.boot.assembler.expression import ExpressionError
from hillemu.boot.assembler.source import split_arguments

PAGE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Layout:
    """How an image is put together."""

    flat: bool = False
    """A plain binary, such as a boot sector, instead of an ELF executable."""
    base: int = 0x100000
    """Physical address of the first section."""
    virtual: int = 0
    """What the high sections' virtual addresses lie above their physical ones."""
    high: tuple[str, ...] = ()
    """Names of the sections that `virtual` is for, with their sub-sections; empty means all."""
    entry: str = "_start"
    """The symbol where an ELF image begins to run."""

    def virtual_offset(self, section: str) -> int:
        """Virtual minus physical address of `section`."""
        if not self.high or any(section == name or section.startswith(f"{name}.") for name in self.high):
            return self.virtual
        return 0


def parse_layout(text: str, constant: Callable[[str], int], before: Layout) -> Layout:
    """Read the arguments of a ``.layout`` directive on top of `before`; raises `ExpressionError`."""
    layout = before
    for part in split_arguments(text):
        key, equals, value = (word.strip() for word in part.partition("="))
        if key == "flat" and not equals:
            layout = replace(layout, flat=True)
        elif key == "base" and equals:
            layout = replace(layout, base=constant(value))
        elif key == "virtual" and equals:
            layout = replace(layout, virtual=constant(value))
        elif key == "high" and equals:
            layout = replace(layout, high=tuple(value.split()))
        elif key == "entry" and equals:
            layout = replace(layout, entry=value)
        else:
            raise ExpressionError("the layout has `flat`, `base=`, `virtual=`, `high=` and `entry=`")
    if layout.virtual % PAGE_SIZE or not 0 <= layout.virtual < 1 << 32:
        raise ExpressionError(f"virtual={layout.virtual:#x} is not a page of a 32-bit address space")
    if not 0 <= layout.base < 1 << 32 or (layout.base % PAGE_SIZE and not layout.flat):
        raise ExpressionError(f"base={layout.base:#x} is not a page of a 32-bit address space")
    return layout
