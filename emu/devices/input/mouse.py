"""A PS/2 mouse: two axes and three buttons in packets of three bytes; with a knock, a wheel and two more buttons.

::

    packet   1: y overflow | x overflow | y sign | x sign | 1 | middle | right | left   2: x   3: y, up is positive
             with ID 3, 4: wheel, -8 to 7, towards the user is positive
             with ID 4, 4: 0 | 0 | fifth button | fourth button | wheel
    status   1: 0 | remote | enabled | 2:1 scaling | 0 | left | middle | right   2: resolution   3: samples per second

    E6/E7 scaling 1:1 / 2:1   E8 resolution   E9 status   EA stream mode   EB read data   EC/EE leave/enter wrap mode
    F0 remote mode   F2 identify   F3 sample rate   F4/F5 enable/disable   F6 defaults   FE resend   FF reset

A driver knocks by setting sample rates: after 200, 100, 80 the mouse identifies itself as 3 (IntelliMouse) and has a
wheel, after 200, 200, 80 as 4 and has five buttons, too.  Only a reset makes it a standard mouse again, ID 0.

Source: IBM PS/2 Hardware Interface Technical Reference, "Auxiliary Device (Mouse)"; Adam Chapweske, "The PS/2 Mouse
Interface", "The Microsoft Intellimouse".
Not modelled: the sample rate is kept but every movement is sent at once.
"""

from __future__ import annotations

from hillemu.emu.devices.input.ps2_device import ACK, RESEND, SELF_TEST_PASSED, Ps2Device

LEFT, RIGHT, MIDDLE, FOURTH, FIFTH = 0x01, 0x02, 0x04, 0x08, 0x10
STANDARD_MOUSE, WHEEL_MOUSE, FIVE_BUTTON_MOUSE = 0x00, 0x03, 0x04
KNOCKS = {(200, 100, 80): WHEEL_MOUSE, (200, 200, 80): FIVE_BUTTON_MOUSE}
BUFFERED_PACKETS = 5
"""Movements that come while so many packets wait are added up, and sent with the next one."""
RATES = (10, 20, 40, 60, 80, 100, 200)

SCALING_1, SCALING_2, RESOLUTION, STATUS, STREAM_MODE, READ_DATA = 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xEB
LEAVE_WRAP, ENTER_WRAP, REMOTE_MODE, IDENTIFY, SAMPLE_RATE = 0xEC, 0xEE, 0xF0, 0xF2, 0xF3
ENABLE, DISABLE, DEFAULTS, RESEND_LAST, RESET = 0xF4, 0xF5, 0xF6, 0xFE, 0xFF


class Mouse(Ps2Device):
    """The mouse; it reports nothing until the guest enables it."""

    def __init__(self) -> None:
        super().__init__()
        self._buttons = 0
        self._last_rates: tuple[int, int, int] = (0, 0, 0)
        self.reset()

    def reset(self) -> None:
        """Power-on, without the bytes that report it."""
        self.replies.clear()
        self._awaiting = 0
        self._wrapping = False
        self._identity = STANDARD_MOUSE
        self._set_defaults()

    def move(self, dx: int, dy: int, buttons: int = 0, *, wheel: int = 0) -> None:
        """Move by `dx` to the right and `dy` up, in counts, with `buttons` (`LEFT` | `RIGHT` | ...) down.

        `wheel` is in notches, positive towards the user.  What the guest has not asked for is not sent: without a
        knock the wheel and the fourth and fifth button do nothing.
        """
        self._dx += dx
        self._dy += dy
        self._wheel += wheel
        self._buttons = buttons
        if self._enabled and not self._remote and not self._wrapping:
            packet_bytes = 3 if self._identity == STANDARD_MOUSE else 4
            if len(self.events) < BUFFERED_PACKETS * packet_bytes:
                self.events.extend(self._packet(scale=self._doubled))
            self.on_ready()

    def receive(self, byte: int) -> None:
        awaiting, self._awaiting = self._awaiting, 0
        if self._wrapping and byte not in (RESET, LEAVE_WRAP):
            self.answer(byte)
        elif awaiting:
            self._parameter(awaiting, byte)
        else:
            # Any command interrupts the stream.
            self.events.clear()
            self._command(byte)

    def _command(self, command: int) -> None:
        if command == RESET:
            self.reset()
            self.answer(ACK, SELF_TEST_PASSED, STANDARD_MOUSE)
        elif command == RESEND_LAST:
            self.answer(self._last_sent)
        elif command == IDENTIFY:
            self.answer(ACK, self._identity)
        elif command == STATUS:
            self.answer(ACK, self._status(), self._resolution, self._rate)
        elif command == READ_DATA:
            self.answer(ACK, *self._packet(scale=False))
        elif command in (RESOLUTION, SAMPLE_RATE):
            self._awaiting = command
            self.answer(ACK)
        elif self._changes_mode(command):
            self.answer(ACK)
        else:
            self.answer(RESEND)

    def _changes_mode(self, command: int) -> bool:
        if command in (ENABLE, DISABLE):
            self._enabled = command == ENABLE
        elif command in (SCALING_1, SCALING_2):
            self._doubled = command == SCALING_2
        elif command in (STREAM_MODE, REMOTE_MODE):
            self._remote = command == REMOTE_MODE
        elif command in (ENTER_WRAP, LEAVE_WRAP):
            self._wrapping = command == ENTER_WRAP
        elif command == DEFAULTS:
            self._set_defaults()
        else:
            return False
        self._dx = self._dy = self._wheel = 0
        return True

    def _parameter(self, command: int, value: int) -> None:
        if command == RESOLUTION and value <= 3:
            self._resolution = value
            self.answer(ACK)
        elif command == SAMPLE_RATE and value in RATES:
            self._rate = value
            self._last_rates = (self._last_rates[1], self._last_rates[2], value)
            self._identity = KNOCKS.get(self._last_rates, self._identity)
            self.answer(ACK)
        else:
            self.answer(RESEND)

    def _set_defaults(self) -> None:
        self._enabled = self._remote = self._doubled = False
        self._resolution, self._rate = 2, 100
        self._last_rates = (0, 0, 0)
        self._dx = self._dy = self._wheel = 0
        self.events.clear()

    def _status(self) -> int:
        left, right, middle = self._buttons & LEFT, self._buttons >> 1 & 1, self._buttons >> 2 & 1
        return self._remote << 6 | self._enabled << 5 | self._doubled << 4 | left << 2 | middle << 1 | right

    def _packet(self, *, scale: bool) -> tuple[int, ...]:
        """The movement since the last packet; what does not fit into nine bits is cut off and marked as overflow."""
        x, y = (_doubled(self._dx), _doubled(self._dy)) if scale else (self._dx, self._dy)
        self._dx = self._dy = 0
        first = (
            0x08 | self._buttons & (LEFT | RIGHT | MIDDLE) | (x < 0) << 4 | (y < 0) << 5 | (not -256 <= x <= 255) << 6
        )
        first |= (not -256 <= y <= 255) << 7
        packet = first, max(-256, min(x, 255)) & 0xFF, max(-256, min(y, 255)) & 0xFF
        return packet if self._identity == STANDARD_MOUSE else (*packet, self._wheel_byte())

    def _wheel_byte(self) -> int:
        """What does not fit into four bits waits for the next packet: a wheel has no overflow to mark."""
        notches = max(-8, min(self._wheel, 7))
        self._wheel -= notches
        if self._identity == WHEEL_MOUSE:
            return notches & 0xFF
        return (self._buttons & (FOURTH | FIFTH)) << 1 | notches & 0x0F


def _doubled(counts: int) -> int:
    """2:1 scaling, which is finer for small movements.  Source: "Set Scaling 2:1", table."""
    size = abs(counts)
    scaled = (0, 1, 1, 3, 6, 9)[size] if size <= 5 else 2 * size
    return scaled if counts > 0 else -scaled
