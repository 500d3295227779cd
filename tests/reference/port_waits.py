"""What a port access waits for on a board with an ISA bus, from the bus's rules in plain Python.

An ISA cycle has two BCLK and the ready timer's wait states: 4 of an 8-bit device, 1 of a 16-bit one, which is the data
register of an ATA channel.  The manuals' figures have two bus clocks of it.  BCLK is the fastest that the bus clock
can be divided to by a whole number without exceeding 8 1/3 MHz: 33 by 4, 66 by 8.  The Pentium's PCI, at 33 MHz, lets
five clocks go by until its ISA bridge takes the access; but PCI's own ports, 0CF8h-0CFFh and from 1000h, need no ISA
cycle, and no wait is known of them.
"""

from __future__ import annotations

BUS_CLOCKS_A_BCLK = {"i386": 4, "i486": 4, "pentium": 8}
BUS_CLOCKS_OF_PCI = {"i386": 0, "i486": 0, "pentium": 5 * 2}
ATA_DATA = (0x1F0, 0x170)


def port_wait(processor: str, port: int, bits: int) -> int:
    """Clocks beyond the table's figure for an access of 8, 16 or 32 bits."""
    if 0xCF8 <= port <= 0xCFF or port >= 0x1000:
        return 0
    device_bits, wait_states = (16, 1) if port in ATA_DATA else (8, 4)
    isa_cycles = -(-bits // device_bits)
    bclks = isa_cycles * (2 + wait_states)
    return BUS_CLOCKS_OF_PCI[processor] + bclks * BUS_CLOCKS_A_BCLK[processor] - 2
