"""Services that a page is too much for: INT 17h (no printer), 18h and 19h (nothing to boot).

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 17h", "Interrupt 19h".
"""

from __future__ import annotations

from hillemu.boot.bios.call import BiosCall

PRINTER_TIME_OUT = 0x01
NOTHING_TO_BOOT = "no bootable device: nothing was loaded, or the guest gave up with INT 18h"


def printer(call: BiosCall) -> None:
    """INT 17h: there is no parallel port, so every printer is out of time."""
    if call.ah <= 2:
        call.ah = PRINTER_TIME_OUT
        call.tell(f"the guest uses printer {call.dx} (INT 17h), which is not there")
    else:
        call.refuse()


def nothing_to_boot(call: BiosCall) -> None:
    """INT 18h: tell the user; the stub halts."""
    call.tell(NOTHING_TO_BOOT)


def bootstrap(call: BiosCall) -> None:
    """INT 19h of a machine without drives: the stub goes on to INT 18h."""
