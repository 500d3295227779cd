"""Commands to the keyboard and the mouse, as the BIOS gives them: through the 8042, with its interrupts off.

The controller and its devices answer at once, so a command and its replies fit into one hand-over.

Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
"""

from __future__ import annotations

from hillemu.emu.guest import Guest

DATA, STATUS = 0x60, 0x64
OUTPUT_FULL, FROM_MOUSE = 0x01, 0x20
ACK, RESEND = 0xFA, 0xFE

_READ_MODE, _WRITE_MODE, _TO_MOUSE = 0x20, 0x60, 0xD4
_INTERRUPTS, _KEYBOARD_OFF, _MOUSE_OFF = 0x03, 0x10, 0x20


def output_full(guest: Guest) -> bool:
    """Whether a byte waits to be read."""
    return bool(guest.read_port(STATUS) & OUTPUT_FULL)


def command_keyboard(guest: Guest, *data: int) -> list[int]:
    """Send `data` to the keyboard; returns its replies, which begin with one `ACK` for each byte that it knows."""
    return _command(guest, None, data, _MOUSE_OFF)


def command_mouse(guest: Guest, *data: int) -> list[int]:
    """Send `data` to the mouse, likewise."""
    return _command(guest, _TO_MOUSE, data, _KEYBOARD_OFF)


def set_mode_bits(guest: Guest, *, clear: int = 0, set_: int = 0) -> None:
    """Change bits of the command byte."""
    guest.write_port(STATUS, _READ_MODE)
    mode = guest.read_port(DATA)
    guest.write_port(STATUS, _WRITE_MODE)
    guest.write_port(DATA, mode & ~clear | set_)


def _command(guest: Guest, prefix: int | None, data: tuple[int, ...], other_off: int) -> list[int]:
    """The other device is silent meanwhile, so that its bytes are not taken for replies."""
    _take_all(guest)
    guest.write_port(STATUS, _READ_MODE)
    mode = guest.read_port(DATA)
    guest.write_port(STATUS, _WRITE_MODE)
    guest.write_port(DATA, mode & ~_INTERRUPTS | other_off)
    replies = []
    for byte in data:
        if prefix is not None:
            guest.write_port(STATUS, prefix)
        guest.write_port(DATA, byte)
        replies += _take_all(guest)
    guest.write_port(STATUS, _WRITE_MODE)
    guest.write_port(DATA, mode)
    return replies


_MOST = 32
"""More bytes than any device answers with: a controller that never runs dry must not hang us."""


def _take_all(guest: Guest) -> list[int]:
    taken: list[int] = []
    while output_full(guest) and len(taken) < _MOST:
        taken.append(guest.read_port(DATA))
    return taken
