"""What a kernel can do wrong with its memory.

::

    KernelFault               somebody in the guest broke a promise to the memory management
    +-- InvalidParameters     an allocator was asked for something that cannot exist
    +-- BadFree               nothing was freed, and nothing was changed
    |   +-- FreeOfZero        the null pointer, or frame 0
    |   +-- Misaligned        not the start of a page, or of a block of that order
    |   +-- Unowned           never handed out: reserved, outside RAM, or inside another block
    |   +-- DoubleFree        handed out once and free already
    |   +-- WrongSize         handed out as a block of another size
    |   +-- StillShared       others hold a reference to this frame
    +-- Corruption            a structure in guest memory contradicts itself

Running out is none of these: it is a value, `OutOfMemory` in `hillemu.kernel.mm.frames`.
"""

from __future__ import annotations

from hillemu.emu.errors import HillemuError


class KernelFault(HillemuError):
    """The hosted kernel was used wrongly, or its structures were damaged; the message has the facts."""


class InvalidParameters(KernelFault):
    """The message is what the kernel prints."""


class BadFree(KernelFault):
    """A free that is refused; nothing has changed."""


class FreeOfZero(BadFree):
    """The null pointer, or frame 0."""


class Misaligned(BadFree):
    """Not where a page, or a block of that order, can start."""


class Unowned(BadFree):
    """This was never handed out."""


class DoubleFree(BadFree):
    """This is free already."""


class WrongSize(BadFree):
    """This was handed out as a block of another size."""


class StillShared(BadFree):
    """Others hold a reference to this frame."""


class Corruption(KernelFault):
    """A structure in guest memory contradicts itself: something else has written there."""
