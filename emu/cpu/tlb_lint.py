"""Translations that a guest used although it had changed the page tables: a missing INVLPG.

`native/tlb_lint.h` tells what counts as one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PhysAddr, VirtAddr

if TYPE_CHECKING:
    from hillemu.emu.cpu._core import Core


class Access(StrEnum):
    """How a translation was used."""

    READ = "read"
    WRITE = "write"
    FETCH = "fetch"


_ACCESSES = (Access.READ, Access.WRITE, Access.FETCH)


class StaleUse(NamedTuple):
    """An access through a translation that was no longer that of the page tables.

    Findings with the same two instructions, each in a function that was called at the same place, are one; the first
    is told.  Addresses of instructions are linear; `*_at` count the instructions before that one.
    """

    address: VirtAddr
    access: Access
    used_by: VirtAddr
    used_callers: tuple[VirtAddr, ...]
    """The CALLs that had not returned, the innermost first, as far as they are known; at most four."""
    used_at: int
    times: int
    entry: PhysAddr
    """Where the entry that changed is."""
    is_directory: bool
    """It is a page-directory entry."""
    old: int
    """What it was when the translation was used before."""
    new: int
    changed_by: VirtAddr
    """The instruction; or, if it was the host or a device, the one that ran then."""
    changed_callers: tuple[VirtAddr, ...]
    """As of the use; empty if it was the host or a device."""
    changed_at: int
    by_host: bool
    in_model: bool
    """The TLB that `--timing` models had the page still: on that processor the old translation was used."""


class TlbLint:
    """Looks for stale uses in `core`, from here on.  Raises `OptionError` on the portable core."""

    HAS_STATE = False

    def __init__(self, core: Core, *, is_native: bool) -> None:
        if not is_native:
            raise OptionError(
                "--lint", "tlb needs the native core; this is the portable one (HILLEMU_CORE, or the host)"
            )
        self._core = core
        core.lint_tlb()

    @property
    def findings(self) -> list[StaleUse]:
        """In the order of their first use; at most 256 are kept."""
        _, found = self._core.tlb_findings()
        kinds = [_ACCESSES[fields[1]] for fields in found]
        return [StaleUse._make(fields)._replace(access=kind) for fields, kind in zip(found, kinds, strict=True)]

    @property
    def dropped(self) -> int:
        """How many uses were not kept."""
        return self._core.tlb_findings()[0]
