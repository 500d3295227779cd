"""What can go wrong, and whose fault it is.

::

    HillemuError
    +-- UserMistake           the command line, an option, a file: one clear line, exit status 125
    |   +-- ImageError        the image cannot be loaded: names the file and the fault
    |   +-- MediumError       a disk image fails during the run: names the file and the cause
    |   +-- OptionError       an option's value makes no sense: names the option
    +-- GuestFault            the guest did something that stops the machine: exit status 126
    +-- InternalError         our bug, or an unsupported host: please report it
        +-- LayoutMismatch    the Unicorn found is not the one this core was built for
        +-- BusConflict       two devices claim the same addresses
        +-- WiringError       a machine was put together wrongly

A user's mistake never shows a traceback; a guest's crash never looks like ours.
"""

from __future__ import annotations


class HillemuError(Exception):
    """Root of everything that hillemu raises on purpose."""


class UserMistake(HillemuError):
    """The user asked for something impossible; the message says what to do."""


class ImageError(UserMistake):
    """An image, module or other input file cannot be used.

    `path` names the file and `fault` says what is wrong with it; the message is ``path: fault``.
    """

    def __init__(self, path: object, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = str(path)
        self.fault = fault


class MediumError(UserMistake):
    """A disk image that was opened cannot be read or written any more; the message is ``path: fault``.

    Raised by a drive while the guest uses it, this ends the run (`StopReason.DISK_FAILURE`).
    """

    def __init__(self, path: object, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = str(path)
        self.fault = fault


class OptionError(UserMistake):
    """An option's value makes no sense; the message is ``option: fault``."""

    def __init__(self, option: str, fault: str) -> None:
        super().__init__(f"{option}: {fault}")
        self.option = option
        self.fault = fault


class GuestFault(HillemuError):
    """The guest did something that no real machine survives."""


class InternalError(HillemuError):
    """A broken promise inside hillemu, or a host that it cannot run on."""


class LayoutMismatch(InternalError):
    """The Unicorn library found is not the one whose layout the native core knows."""


class BusConflict(InternalError):
    """Two owners claim overlapping addresses; the message names both."""


class WiringError(InternalError):
    """Parts of a machine were put together wrongly."""
