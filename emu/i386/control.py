"""What decides how an address is translated: the control registers, the kind of access, the rights on the way.

>>> state = ControlState(cr0=0x80000011, cr3=0x101000, cr4=0x20)
>>> state.mode
<PagingMode.PAE: 'PAE paging'>

Source: Intel SDM Vol. 3A, "Paging Modes and Control Bits", "Determination of Access Rights".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.registers import Cr0, Cr4, Efer

PG, WP = Cr0.PG.mask, Cr0.WP.mask
PSE, PAE, PGE, SMEP, SMAP = Cr4.PSE.mask, Cr4.PAE.mask, Cr4.PGE.mask, Cr4.SMEP.mask, Cr4.SMAP.mask
NXE = Efer.NXE.mask


class PagingMode(StrEnum):
    """The paging modes of a 32-bit processor."""

    OFF = "paging is off"
    LEGACY = "32-bit paging"
    PAE = "PAE paging"


class ControlRegisters(Protocol):
    """Whatever knows ``cr0``, ``cr3``, ``cr4`` and ``efer`` by name."""

    def get(self, name: str) -> int: ...


@dataclass(frozen=True, slots=True)
class ControlState:
    """The registers that a translation depends on.

    `physical_bits` is the width of physical addresses (the manual's MAXPHYADDR): entry bits above it are reserved.
    40 is what the emulated processor checks; a processor without PSE-36 has 32.
    """

    cr0: int
    cr3: int
    cr4: int = 0
    efer: int = 0
    physical_bits: int = 40

    @classmethod
    def read(cls, registers: ControlRegisters) -> ControlState:
        """Take the state out of a register file."""
        get = registers.get
        return _state(get("cr0"), get("cr3"), get("cr4"), get("efer"))

    @property
    def mode(self) -> PagingMode:
        if not self.cr0 & PG:
            return PagingMode.OFF
        return PagingMode.PAE if self.cr4 & PAE else PagingMode.LEGACY

    @property
    def root(self) -> PhysAddr:
        """Physical address of the first table."""
        return PhysAddr(self.cr3 & (0xFFFFFFE0 if self.cr4 & PAE else 0xFFFFF000))

    @property
    def no_execute(self) -> bool:
        """Whether entries have a working no-execute bit."""
        return bool(self.cr4 & PAE and self.efer & NXE)


_state = lru_cache(maxsize=16)(ControlState)
"""A debugger asks for the same few by the ten thousand."""


@dataclass(frozen=True, slots=True)
class Access:
    """What is tried: a read unless `write` or `fetch`, by supervisor mode unless `user`.

    `smap_override` is EFLAGS.AC at an explicit supervisor access; an implicit one, as to a
    descriptor table, has none.
    """

    write: bool = False
    user: bool = False
    fetch: bool = False
    smap_override: bool = False

    def __str__(self) -> str:
        verb = "fetch" if self.fetch else "write" if self.write else "read"
        return f"{verb} by {'user' if self.user else 'supervisor'} mode"


READ = Access()
WRITE = Access(write=True)
FETCH = Access(fetch=True)
USER_READ = Access(user=True)
USER_WRITE = Access(write=True, user=True)
USER_FETCH = Access(user=True, fetch=True)
PEEK = Access(smap_override=True)
"""A look from outside: every page that is present may be read."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What all entries on the way grant together, before CR0.WP, SMEP and SMAP have their say."""

    user: bool = True
    writable: bool = True
    executable: bool = True

    def refusal(self, access: Access, control: ControlState) -> str:
        """Say why `access` is refused; empty when it is allowed."""
        if access.user and not self.user:
            return "the page belongs to the supervisor (U/S=0)"
        if access.fetch:
            if not self.executable:
                return "the page is not executable (XD=1)"
            if not access.user and self.user and control.cr4 & SMEP:
                return "SMEP: the supervisor may not execute user pages"
            return ""
        if not access.user and self.user and control.cr4 & SMAP and not access.smap_override:
            return "SMAP: the supervisor may not touch user pages while EFLAGS.AC=0"
        if access.write and not self.writable and (access.user or control.cr0 & WP):
            return "the page is read-only (R/W=0" + (")" if access.user else ", and CR0.WP=1)")
        return ""


ALL_RIGHTS = Rights()
_BY_BITS = tuple(
    Rights(user=bool(number & 2), writable=bool(number & 1), executable=bool(number & 4)) for number in range(8)
)


def rights_of(grants: int) -> Rights:
    """The rights in a word laid out as an entry: R/W in bit 1, U/S in bit 2, and in bit 63 the opposite of XD.

    >>> rights_of(1 << 63 | 0x2)
    Rights(user=False, writable=True, executable=True)
    """
    return _BY_BITS[grants >> 1 & 3 | grants >> 61 & 4]
