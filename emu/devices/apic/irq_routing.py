"""How the interrupt lines of a PC reach both of its interrupt controllers.

==========  ==========  ============
ISA IRQ     8259A pair  I/O APIC pin
==========  ==========  ============
0           0           2
1, 3 to 15  the same    the same
==========  ==========  ============

Both controllers always see every line; software silences one of them.  They differ in what they make of an edge: the
8259A withdraws a request whose line falls before it is acknowledged, the I/O APIC has sent its message at the edge.

Source: Intel MultiProcessor Specification 1.4, "Interrupt Modes"; ACPI specification, "Interrupt Source Override
Structure" (QEMU's MADT overrides IRQ 0 to pin 2).
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.wires import Line

TIMER_IRQ, TIMER_PIN = 0, 2


def isa_line(irq: int, pic_line: Callable[[int], Line], ioapic_line: Callable[[int], Line]) -> Line:
    """A wire for ISA `irq` that leads to its 8259A input and to its I/O APIC pin.

    >>> pic, ioapic = Line(), Line()
    >>> isa_line(4, lambda irq: pic, lambda pin: ioapic).set(True); pic.level, ioapic.level
    (True, True)
    """
    to_pic = pic_line(irq).set
    to_ioapic = ioapic_line(TIMER_PIN if irq == TIMER_IRQ else irq).set

    def changed(level: bool) -> None:
        to_pic(level)
        to_ioapic(level)

    return Line(changed)
