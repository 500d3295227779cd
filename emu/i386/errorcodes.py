"""The error codes that exceptions push: one format for segments, one for page faults.

>>> SelectorError(0x72).explain()
'IDT entry 14'
>>> SelectorError(0x11).explain()
'selector 0x0010 (GDT entry 2), while delivering an external event'
>>> PageFaultError(0x7).explain()
'a write by user mode violated the page protection'

Source: Intel SDM Vol. 3A, "Error Code"; "Interrupt 14—Page-Fault Exception (#PF)".
"""

from __future__ import annotations

from hillemu.emu.i386.vectors import GP, NP, PF, SS, TS
from hillemu.emu.word import Bit, Bits, Word

_SELECTOR_VECTORS = frozenset({TS, NP, SS, GP})


class SelectorError(Word):
    """What #TS, #NP, #SS and #GP push: the descriptor that was at fault, or 0 for no descriptor at all."""

    index = Bits(15, 3)
    TI = Bit(2)
    IDT = Bit(1)
    EXT = Bit(0)

    def explain(self) -> str:
        """Name the descriptor in words."""
        if self.IDT:
            culprit = f"IDT entry {self.index}"
        elif self.index == 0 and not self.TI:
            culprit = "no particular descriptor"
        else:
            table = "LDT" if self.TI else "GDT"
            culprit = f"selector {self & 0xFFFC:#06x} ({table} entry {self.index})"
        return culprit + (", while delivering an external event" if self.EXT else "")


class PageFaultError(Word):
    """What #PF pushes."""

    fetch = Bit(4)
    """I/D: an instruction fetch; only reported while NX or SMEP is on."""
    reserved_bit = Bit(3)
    """RSVD: a paging entry had a reserved bit set."""
    user = Bit(2)
    """U/S: the access came from user mode."""
    write = Bit(1)
    """W/R: the access was a write."""
    protection = Bit(0)
    """P: the page was present, but its rights forbade the access."""

    def explain(self) -> str:
        """Say in words what was tried and why it failed."""
        access = "an instruction fetch" if self.fetch else "a write" if self.write else "a read"
        mode = "user mode" if self.user else "supervisor mode"
        if self.reserved_bit:
            return f"{access} by {mode} met a paging entry with a reserved bit set"
        if self.protection:
            return f"{access} by {mode} violated the page protection"
        return f"{access} by {mode} met a page that is not present"


def explain_error_code(vector: int, error_code: int) -> str:
    """Put the error code of exception `vector` into words; empty where the code says nothing (#DF, #AC)."""
    if vector == PF:
        return PageFaultError(error_code).explain()
    if vector in _SELECTOR_VECTORS:
        return SelectorError(error_code).explain()
    return ""
