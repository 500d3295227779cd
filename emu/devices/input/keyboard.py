"""A PS/2 keyboard of 102 keys: scan code sets 1 and 2, auto-repeat, lights.

::

    ED lights   EE echo   F0 scan code set   F2 identify   F3 typematic rate   F4 start scanning   F5 defaults, stop
    F6 defaults   F7-FA set 3 key types (acknowledged)   FE resend   FF reset

    ED parameter   2 Caps Lock | 1 Num Lock | 0 Scroll Lock
    F3 parameter   6-5 delay / 250 ms - 1 | 4-3 b | 2-0 a       period = (8 + a) * 2**b / 240 seconds

Keys are pressed and released one by one, or typed as a list of events: the typist is as quick as `TYPING_NS` allows
but waits while the guest has not fetched what was typed before, so that slow guests lose nothing.

Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".
Not modelled: scan code set 3 (asking for it is answered with Resend and reported), the false shifts around
the navigation keys, the half second that a reset takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hillemu.emu.clock import Clock, Event
from hillemu.emu.devices.input import scancodes
from hillemu.emu.devices.input.ps2_device import ACK, RESEND, SELF_TEST_PASSED, Ps2Device
from hillemu.emu.errors import OptionError
from hillemu.emu.reports import Report, unheard

FIFO_SIZE = 16
IDENTITY = (0xAB, 0x83)
TYPING_NS = 10_000_000
"""Time between two typed events."""
DEFAULT_TYPEMATIC = 0x2B
"""500 ms until a held key repeats, then 10.9 times a second."""

_OVERRUN = {1: 0xFF, 2: 0x00}
_SHIFTS = frozenset({"lshift", "rshift"})
_CONTROLS = frozenset({"lctrl", "rctrl"})
_ALTS = frozenset({"lalt", "ralt"})

SET_LIGHTS, ECHO, SCANCODE_SET, IDENTIFY, TYPEMATIC = 0xED, 0xEE, 0xF0, 0xF2, 0xF3
ENABLE, DISABLE, DEFAULTS, RESEND_LAST, RESET = 0xF4, 0xF5, 0xF6, 0xFE, 0xFF


class Keyboard(Ps2Device):
    """The keyboard; key names are those of `scancodes.KEYS`.

    `report(message)` hears of what the guest wants that is not modelled.
    """

    def __init__(self, *, clock: Clock, report: Report = unheard) -> None:
        super().__init__()
        self._clock = clock
        self._report = report
        self._down: set[str] = set()
        self._script: deque[tuple[str, bool]] = deque()
        self._typist: Event | None = None
        self._repeat: Event | None = None
        self._held = ""
        self.scancode_set = 2
        self.reset()

    @property
    def lights(self) -> tuple[bool, bool, bool]:
        """(Caps Lock, Num Lock, Scroll Lock)."""
        return bool(self._lights & 4), bool(self._lights & 2), bool(self._lights & 1)

    @property
    def is_typing(self) -> bool:
        """Whether events given to `type` still wait for the guest."""
        return bool(self._script)

    def reset(self) -> None:
        """Power-on, without the byte that reports it.  What waits in `type` stays: the typist is not part of it."""
        self.replies.clear()
        self._lights = 0
        self.scanning = True
        self._set_defaults()
        self._awaiting = 0

    # -- the typist's side --------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Press `key` and hold it; it repeats until released, or until another key goes down.

        Raises `OptionError` for a name that is no key.
        """
        self._check(key)
        self._down.add(key)
        if not self.scanning:
            return
        self._stop_repeat()
        self._send(self._codes(key)[0])
        if key != "pause":
            self._held = key
            self._schedule_repeat(((self._typematic >> 5) + 1) * 250_000_000)

    def release(self, key: str) -> None:
        """Let go of `key`; `OptionError` for a name that is no key."""
        self._check(key)
        code = self._codes(key)[1]
        self._down.discard(key)
        if key == self._held:
            self._stop_repeat()
        if self.scanning:
            self._send(code)

    def type(self, events: Iterable[tuple[str, bool]]) -> None:
        """Press (`True`) and release (`False`) keys, after all that was given before, no faster than the guest reads.

        `keys.keys_from_text` makes such events of text.
        """
        for key, pressed in events:
            self._check(key)
            self._script.append((key, pressed))
        self._schedule_typist()

    def _check(self, key: str) -> None:
        if key not in scancodes.KEYS:
            raise OptionError("key", f"there is no key {key!r}")

    # -- the controller's side ----------------------------------------------------------------------------------

    def take_event(self) -> int:
        byte = super().take_event()
        self._drained()
        return byte

    def receive(self, byte: int) -> None:
        awaiting, self._awaiting = self._awaiting, 0
        if awaiting and byte < SET_LIGHTS:
            self._parameter(awaiting, byte)
        else:
            self._command(byte)

    def _command(self, command: int) -> None:
        if command in (SET_LIGHTS, SCANCODE_SET, TYPEMATIC):
            self._awaiting = command
            self.answer(ACK)
        elif command == ECHO:
            self.answer(ECHO)
        elif command == IDENTIFY:
            self.answer(ACK, *IDENTITY)
        elif command in (ENABLE, DISABLE, DEFAULTS):
            if command == ENABLE:
                self._clear()
            else:
                self._set_defaults()
            self.scanning = command == ENABLE or (command == DEFAULTS and self.scanning)
            self.answer(ACK)
            self._schedule_typist()
        elif 0xF7 <= command <= 0xFA:
            self.answer(ACK)
        elif command == RESEND_LAST:
            self.answer(self._last_sent)
        elif command == RESET:
            self.reset()
            self.answer(ACK, SELF_TEST_PASSED)
            self._schedule_typist()
        else:
            self.answer(RESEND)

    def _parameter(self, command: int, value: int) -> None:
        if command == SET_LIGHTS and value <= 7:
            self._lights = value
            self.answer(ACK)
        elif command == TYPEMATIC and value <= 0x7F:
            self._typematic = value
            self.answer(ACK)
        elif command == SCANCODE_SET and value == 0:
            self.answer(ACK, self.scancode_set)
        elif command == SCANCODE_SET and value in (1, 2):
            self.scancode_set = value
            self._clear()
            self.answer(ACK)
        else:
            if command == SCANCODE_SET and value == 3:
                self._report("keyboard: scan code set 3 is not modelled")
            self.answer(RESEND)

    def _set_defaults(self) -> None:
        self.scancode_set = 2
        self._typematic = DEFAULT_TYPEMATIC
        self._clear()

    def _clear(self) -> None:
        self.events.clear()
        self._stop_repeat()

    # -- scan codes ---------------------------------------------------------------------------------------------

    def _codes(self, key: str) -> tuple[bytes, bytes]:
        """What pressing and releasing `key` sends, with the shift keys as they are now."""
        number, down = self.scancode_set, self._down
        if key == "pause":
            return (scancodes.BREAK if down & _CONTROLS else scancodes.PAUSE)[number], b""
        if key == "printscreen":
            if down & _ALTS:
                return scancodes.SYSTEM_REQUEST[number]
            shifted = down & (_SHIFTS | _CONTROLS)
            return (scancodes.PRINT_SCREEN_SHIFTED if shifted else scancodes.PRINT_SCREEN)[number]
        return scancodes.make_code(key, number), scancodes.break_code(key, number)

    def _send(self, code: bytes) -> None:
        """Queue a whole code; what does not fit is lost, and an overrun code takes the seventeenth place."""
        if len(self.events) + len(code) <= FIFO_SIZE:
            self.events.extend(code)
        elif len(self.events) <= FIFO_SIZE and (not self.events or self.events[-1] != _OVERRUN[self.scancode_set]):
            self.events.append(_OVERRUN[self.scancode_set])
        self.on_ready()

    # -- time ---------------------------------------------------------------------------------------------------

    def _drained(self) -> None:
        if not self.events:
            self._schedule_typist()
            if self._held and self._repeat is None:
                self._schedule_repeat(self._repeat_period_ns())

    def _repeat_period_ns(self) -> int:
        rate = self._typematic
        return (8 + (rate & 7)) * (1 << (rate >> 3 & 3)) * 1_000_000_000 // 240

    def _schedule_repeat(self, delay_ns: int) -> None:
        self._repeat = self._clock.schedule(self._clock.now + self._clock.ticks_from_ns(delay_ns), self._repeat_key)

    def _repeat_key(self) -> None:
        self._repeat = None
        # While the guest does not listen, only the first code of a held key is kept; `_drained` goes on from there.
        if not self.events:
            self._schedule_repeat(self._repeat_period_ns())
            self._send(self._repeat_code())

    def _repeat_code(self) -> bytes:
        # Print Screen repeats without the shift that its make code began with.
        if self._held == "printscreen" and not self._down & _ALTS:
            return scancodes.PRINT_SCREEN_SHIFTED[self.scancode_set][0]
        return self._codes(self._held)[0]

    def _stop_repeat(self) -> None:
        self._held = ""
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None

    def _schedule_typist(self) -> None:
        if self._script and self._typist is None and self.scanning and not self.events:
            self._typist = self._clock.schedule(self._clock.now + self._clock.ticks_from_ns(TYPING_NS), self._type_next)

    def _type_next(self) -> None:
        self._typist = None
        if self.scanning and not self.events:
            key, pressed = self._script.popleft()
            (self.press if pressed else self.release)(key)
            # A key that sends nothing (a released Pause) leaves the queue empty: go on at once.
            self._schedule_typist()
