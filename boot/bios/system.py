"""INT 15h: whatever has no interrupt of its own.

::

    24 A20 gate        83 event wait      88 memory above 1 MiB       C1 extended data area   E801 memory, two sizes
    4F key intercept   85 SysReq          89 to protected mode        C2 mouse                E820 memory map
    53 APM (apm.py)    86 wait            90, 91 device busy, done    C0 configuration        E881 as E801, 32 bits
                       87 block move

Memory is in `system_memory`, the mouse in `pointing`.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15h"; Ralf Brown's Interrupt List, INT 15h.
Not modelled: cassette (00h-03h), joystick (84h), EISA (D8h), ejecting media (52h): refused with AH=86h.
"""

from __future__ import annotations

from hillemu.boot.bios import bda
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.clock_chip import start_wait, stop_wait
from hillemu.boot.bios.pointing import pointing_device
from hillemu.boot.bios.rom import AT, SEGMENT
from hillemu.boot.bios.system_memory import block_move, extended_memory, large_memory
from hillemu.emu.guest import Guest

UNSUPPORTED = 0x86
CLOCK_IN_USE = 0x83

PORT_92, A20 = 0x92, 0x02
_BY_KEYBOARD_CONTROLLER, _BY_PORT_92 = 0x01, 0x02

_SLACK_US = 10_000
_SLAVE_MASK, _CLOCK_IRQ_BIT = 0xA1, 0x01
_SPEED_STEP, _LONG_MODE = 0xE9, 0xEC
"""Asked by systems that would use them where they are; a PC like this one just has none."""
_MASTER, _SLAVE = 0x20, 0xA0
_ICW1_EDGE_CASCADE, _ICW3_MASTER, _ICW3_SLAVE, _ICW4_8086 = 0x11, 0x04, 0x02, 0x01
_BIOS_CODE = 0x38
_BIOS_CODE_DESCRIPTOR = 0x00009B0F0000FFFF
"""64 KiB of 16-bit code at 0xF0000."""


class SystemServices:
    """The service of INT 15h; remembers until when function 86h waits."""

    def __init__(self) -> None:
        self._wait_until_ns = 0

    def __call__(self, call: BiosCall) -> None:
        function = call.ah
        if function == 0x4F:
            call.carry = True  # the scancode is to be used as it is
        elif function == 0x86:
            self._wait(call)
        elif function == 0xE8:
            large_memory(call)
        elif function == 0xC2:
            pointing_device(call)
        elif function in _FUNCTIONS:
            _FUNCTIONS[function](call)
        elif function in (_SPEED_STEP, _LONG_MODE):
            _fail(call, UNSUPPORTED)
        else:
            call.refuse(UNSUPPORTED)

    def _wait(self, call: BiosCall) -> None:
        """Until CX:DX microseconds have passed.  The clock chip's interrupt is only there to end HLT."""
        now_ns = call.guest.now_ns
        if not call.resumed:
            microseconds = call.cx << 16 | call.dx
            if not start_wait(call, min(microseconds + _SLACK_US, 0xFFFFFFFF), 0, bda.WAIT_ACTIVE):
                _fail(call, CLOCK_IN_USE)
                return
            self._wait_until_ns = now_ns + microseconds * 1000
        if now_ns >= self._wait_until_ns:
            stop_wait(call)
            call.carry = False
        elif call.guest.read_port(_SLAVE_MASK) & _CLOCK_IRQ_BIT:
            call.again()  # no interrupt would end HLT
        else:
            call.wait()


def set_a20(guest: Guest, enabled: bool) -> None:
    """Open or close the A20 gate by port 92h."""
    port = guest.read_port(PORT_92) & ~1  # bit 0 would reset the processor
    guest.write_port(PORT_92, port | A20 if enabled else port & ~A20)


def _succeed(call: BiosCall) -> None:
    call.ah = 0
    call.carry = False


def _fail(call: BiosCall, status: int) -> None:
    call.ah = status
    call.carry = True


def _a20_gate(call: BiosCall) -> None:
    function = call.al
    if function in (0, 1):
        set_a20(call.guest, bool(function))
    elif function == 2:
        call.al = bool(call.guest.read_port(PORT_92) & A20)
    elif function == 3:
        call.bx = _BY_KEYBOARD_CONTROLLER | _BY_PORT_92
    else:
        call.refuse(UNSUPPORTED)
        return
    _succeed(call)


def _event_wait(call: BiosCall) -> None:
    if call.al == 1:
        stop_wait(call)
        _succeed(call)
    elif call.al:
        call.refuse(UNSUPPORTED)
    elif start_wait(call, call.cx << 16 | call.dx, call.es, call.bx):
        _succeed(call)
    else:
        _fail(call, CLOCK_IN_USE)


def _to_protected_mode(call: BiosCall) -> None:
    """ES:SI has the descriptors: 08 GDT, 10 IDT, 18 DS, 20 ES, 28 SS, 30 CS, 38 for us.  BH, BL: where IRQs go."""
    if call.in_virtual_8086:
        call.refuse(UNSUPPORTED, what="in virtual-8086 mode")
        return
    guest = call.guest
    set_a20(guest, True)
    call.write("es", call.si + _BIOS_CODE, _BIOS_CODE_DESCRIPTOR.to_bytes(8, "little"))
    for port, vector, icw3 in ((_MASTER, call.bh, _ICW3_MASTER), (_SLAVE, call.bl, _ICW3_SLAVE)):
        guest.write_port(port, _ICW1_EDGE_CASCADE)
        for value in (vector, icw3, _ICW4_8086, 0xFF):  # all requests masked
            guest.write_port(port + 1, value)
    call.go_on_at(AT["enter_protected"])


def _configuration(call: BiosCall) -> None:
    call.es, call.bx = SEGMENT, AT["configuration"]
    _succeed(call)


def _extended_data_area(call: BiosCall) -> None:
    call.es = call.load(bda.EBDA_SEGMENT, 2)
    call.carry = False


_FUNCTIONS = {
    0x24: _a20_gate,
    0x83: _event_wait,
    0x85: _succeed,
    0x87: block_move,
    0x88: extended_memory,
    0x89: _to_protected_mode,
    0x90: _succeed,
    0x91: _succeed,
    0xC0: _configuration,
    0xC1: _extended_data_area,
}
