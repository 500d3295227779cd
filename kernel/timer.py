"""The kernel's clock: two 8259A interrupt controllers, remapped behind the exceptions, and the 8254's channel 0.

Source: Intel 8259A data sheet, "Initialization command words" and "Operation command words"; Intel 8254 data sheet,
"Mode 2: rate generator".
"""

from __future__ import annotations

from hillemu.emu.guest import Guest
from hillemu.kernel.trap_frame import FIRST_IRQ

TICK_HZ = 100
TICK_NS = 1_000_000_000 // TICK_HZ
PIT_INPUT_HZ = 1_193_182
_DIVISOR = (PIT_INPUT_HZ + TICK_HZ // 2) // TICK_HZ

MASTER, MASTER_DATA, SLAVE, SLAVE_DATA = 0x20, 0x21, 0xA0, 0xA1
EOI, READ_ISR = 0x20, 0x0B
TIMER, CASCADE, MASTER_SPURIOUS, SLAVE_SPURIOUS = 0, 2, 7, 15
_PIT_CHANNEL_0, _PIT_CONTROL, _RATE_GENERATOR = 0x40, 0x43, 0x34


def set_up_interrupts(guest: Guest) -> None:
    """Vectors `FIRST_IRQ` to `FIRST_IRQ` + 15, all masked."""
    for port, value in (
        (MASTER, 0x11),  # ICW1: cascade, edge triggered, ICW4 follows
        (SLAVE, 0x11),
        (MASTER_DATA, FIRST_IRQ),
        (SLAVE_DATA, FIRST_IRQ + 8),
        (MASTER_DATA, 1 << CASCADE),
        (SLAVE_DATA, CASCADE),
        (MASTER_DATA, 0x01),  # ICW4: 8086 mode
        (SLAVE_DATA, 0x01),
        (MASTER_DATA, 0xFF),
        (SLAVE_DATA, 0xFF),
    ):
        guest.write_port(port, value)


def start_timer(guest: Guest) -> None:
    """Interrupt `TICK_HZ` times a second."""
    guest.write_port(_PIT_CONTROL, _RATE_GENERATOR)
    guest.write_port(_PIT_CHANNEL_0, _DIVISOR & 0xFF)
    guest.write_port(_PIT_CHANNEL_0, _DIVISOR >> 8)
    guest.write_port(MASTER_DATA, 0xFF & ~(1 << TIMER))


def end_of_interrupt(guest: Guest, irq: int) -> bool:
    """Tell the controllers that `irq` was handled; `False` if it was spurious, which has no end."""
    if irq in (MASTER_SPURIOUS, SLAVE_SPURIOUS):
        chip = SLAVE if irq == SLAVE_SPURIOUS else MASTER
        guest.write_port(chip, READ_ISR)
        if not guest.read_port(chip) & 0x80:
            if chip == SLAVE:
                guest.write_port(MASTER, EOI)  # the master has seen a real request on its cascade
            return False
    if irq >= 8:
        guest.write_port(SLAVE, EOI)
    guest.write_port(MASTER, EOI)
    return True
