"""A local APIC's pending interrupts and which of them comes next.

The priority class of a vector is its upper four bits; class 15 comes first, and in a class the higher vector::

    IRR   requested, not yet given to the processor       three sets of vectors: bit n of the integer is vector n
    ISR   given to the processor, no EOI yet
    TMR   level-triggered, of those that were accepted
    TPR   task priority: software shuts out this class and lower ones
    PPR   processor priority: the higher class of TPR and of the highest vector in service

A request is delivered when its class is above that of the PPR.

>>> pending = PendingInterrupts()
>>> pending.request(0x31, level=False); pending.request(0x42, level=False)
>>> hex(pending.acknowledge()), pending.deliverable
('0x42', False)
>>> hex(pending.end()), pending.deliverable
('0x42', True)

Source: Intel SDM Vol. 3A, "Interrupt, Task, and Processor Priority" and "Interrupt Acceptance for Fixed Interrupts".
"""

from __future__ import annotations


class PendingInterrupts:
    """IRR, ISR and TMR as 256-bit integers, and TPR."""

    __slots__ = ("irr", "isr", "tmr", "tpr")

    def __init__(self) -> None:
        self.irr = self.isr = self.tmr = self.tpr = 0

    def request(self, vector: int, *, level: bool) -> None:
        """Take `vector` into the IRR; one that is there already merges with it."""
        bit = 1 << vector
        self.irr |= bit
        if level:
            self.tmr |= bit
        else:
            self.tmr &= ~bit

    @property
    def ppr(self) -> int:
        """The processor priority register."""
        # bit_length() - 1 is the highest vector in a set, or -1, whose class is below all.
        in_service = self.isr.bit_length() - 1
        return self.tpr if self.tpr >> 4 >= in_service >> 4 else in_service & 0xF0

    @property
    def deliverable(self) -> bool:
        """Whether `acknowledge` would give a vector."""
        requested = self.irr.bit_length() - 1 >> 4
        return requested > self.tpr >> 4 and requested > self.isr.bit_length() - 1 >> 4

    def acknowledge(self) -> int | None:
        """Move the highest request from the IRR to the ISR and return its vector; `None` if the PPR holds it back."""
        if not self.deliverable:
            return None
        vector = self.irr.bit_length() - 1
        bit = 1 << vector
        self.irr &= ~bit
        self.isr |= bit
        return vector

    def end(self) -> int | None:
        """End the highest vector in service and return it; `None` if there is none."""
        if not self.isr:
            return None
        vector = self.isr.bit_length() - 1
        self.isr &= ~(1 << vector)
        return vector

    def is_level(self, vector: int) -> bool:
        """Whether `vector` was level-triggered when it was last accepted."""
        return bool(self.tmr >> vector & 1)
