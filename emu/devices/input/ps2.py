"""The 8042 keyboard controller: between the PC and its PS/2 keyboard and mouse; also reset and the A20 gate.

::

    port 0x60  (offset 0)   read: output buffer      write: byte for the keyboard, or a command's parameter
    port 0x64  (offset 4)   read: status             write: command

    status    7 parity | 6 timeout | 5 AUX byte | 4 not locked | 3 command | 2 system | 1 IBF | 0 OBF
    command   6 translate | 5 AUX off | 4 keyboard off | 2 system | 1 AUX interrupt | 0 keyboard interrupt
    output    7 data | 6 clock | 5 IRQ 12 | 4 IRQ 1 | 3 AUX clock | 2 AUX data | 1 A20 | 0 no reset

    20-3F read RAM (20: command byte)     60-7F write RAM (60: command byte)
    A4 test password   A7/A8 AUX off/on   A9 test AUX   AA self-test   AB test keyboard   AD/AE keyboard off/on
    C0 read input port   D0/D1 read/write output port   D2/D3 fill output buffer as keyboard/AUX   D4 write to AUX
    DD/DF A20 off/on   F0-FF pulse output port (FE: reset)

Commands, and the devices' replies to theirs, are answered at once, as QEMU does: loops that wait for them count
iterations, not microseconds.  Bytes of key presses and mouse movements take `BYTE_NS` on the cable, and the next one
sets out only when the guest has read the one before.

Power-on state is what firmware leaves behind: translation on, keyboard interrupt on, mouse off, A20 gate open; the
output buffer is empty, but still shows the keyboard's acknowledgement of the last command to those who do not ask.

Source: IBM PC AT Technical Reference, "Keyboard Controller"; IBM PS/2 Hardware Interface Technical Reference,
"Keyboard and Auxiliary Device Controller"; QEMU, hw/input/pckbd.c (DD, DF).
Not modelled: the input buffer is never full (IBF reads 0), passwords, C1-C3, AC and E0 (reported and ignored), the
cable's lines as bits of the output port, a pulse of A20, parity errors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hillemu.emu.clock import Clock, Event
from hillemu.emu.devices.input.ps2_device import ACK, Ps2Device
from hillemu.emu.devices.input.scancodes import BREAK_PREFIX, TRANSLATION
from hillemu.emu.devices.window import Window
from hillemu.emu.reports import Report, unheard
from hillemu.emu.wires import Line

DATA, COMMAND = 0, 4

STATUS_OUTPUT_FULL, STATUS_SYSTEM, STATUS_COMMAND, STATUS_UNLOCKED = 0x01, 0x04, 0x08, 0x10
STATUS_AUX, STATUS_TIMEOUT = 0x20, 0x40

KEYBOARD_INTERRUPT, AUX_INTERRUPT, SYSTEM_FLAG = 0x01, 0x02, 0x04
KEYBOARD_OFF, AUX_OFF, TRANSLATE = 0x10, 0x20, 0x40
FIRMWARE_COMMAND_BYTE = TRANSLATE | AUX_OFF | SYSTEM_FLAG | KEYBOARD_INTERRUPT

OUTPUT_NO_RESET, OUTPUT_A20, OUTPUT_IRQ1, OUTPUT_IRQ12 = 0x01, 0x02, 0x10, 0x20
_OUTPUT_LINES = 0xCC
INPUT_NOT_LOCKED = 0x80
NO_PASSWORD = 0xF1
NO_DEVICE = 0xFE

BYTE_NS = 1_000_000
"""Time on the cable of one byte: 11 bits at the slowest clock of 10 kHz, about."""


class Ps2:
    """The controller, with a keyboard and perhaps a mouse plugged in.

    `output` is IRQ 1, `aux_output` IRQ 12.  `reset()` is the processor's reset pin; `a20(enabled)` runs at every
    command that drives the gate.  `report(message)` hears of commands that are not modelled.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        keyboard: Ps2Device,
        mouse: Ps2Device | None = None,
        output: Line,
        aux_output: Line,
        reset: Callable[[], None],
        a20: Callable[[bool], None],
        report: Report = unheard,
    ) -> None:
        self._clock = clock
        self._keyboard = keyboard
        self._mouse = mouse
        self._output = output
        self._aux_output = aux_output
        self._reset_processor = reset
        self._a20 = a20
        self._report = report
        self._transfer: Event | None = None
        for device in (keyboard, mouse):
            if device is not None:
                device.on_ready = self._fetch
        self.reset()

    def windows(self) -> tuple[tuple[int, int, Window], ...]:
        """Where to attach the chip: (first port, number of ports, device) for each of its ports."""
        return ((0x60, 1, Window(self, DATA)), (0x64, 1, Window(self, COMMAND)))

    def reset(self) -> None:
        """Go back to what firmware leaves behind.  The devices keep their state; reset them on their own."""
        self._ram = bytearray(32)
        self._ram[0] = FIRMWARE_COMMAND_BYTE
        self._status = 0
        self._data = ACK
        self._output_port = OUTPUT_NO_RESET | OUTPUT_A20
        self._own_replies: deque[tuple[int, int]] = deque()
        self._awaiting = 0
        self._break_seen = False
        if self._transfer is not None:
            self._transfer.cancel()
            self._transfer = None
        self._settle()

    # -- the guest's side ---------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        value = self.peek(offset, size)
        if offset == DATA and self._status & STATUS_OUTPUT_FULL:
            self._status &= ~(STATUS_OUTPUT_FULL | STATUS_AUX | STATUS_TIMEOUT)
            self._settle()
            self._fetch()
        return value

    def peek(self, offset: int, size: int) -> int:
        if offset == DATA:
            return self._data
        return self._status | STATUS_UNLOCKED | self._ram[0] & SYSTEM_FLAG

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == COMMAND:
            self._status |= STATUS_COMMAND
            self._awaiting = 0
            self._command(value)
        else:
            self._status &= ~STATUS_COMMAND
            command, self._awaiting = self._awaiting, 0
            self._parameter(command, value)
        self._settle()
        self._fetch()

    # -- commands -----------------------------------------------------------------------------------------------

    def _command(self, command: int) -> None:
        if 0x20 <= command <= 0x3F:
            self._reply(self._ram[command & 0x1F])
        elif 0x60 <= command <= 0x7F or 0xD1 <= command <= 0xD4:
            self._awaiting = command
        elif command in _SET_COMMAND_BITS:
            self._ram[0] |= _SET_COMMAND_BITS[command]
        elif command in _CLEAR_COMMAND_BITS:
            self._ram[0] &= ~_CLEAR_COMMAND_BITS[command]
        elif command in _FIXED_REPLIES:
            self._reply(_FIXED_REPLIES[command])
        elif command == 0xAA:
            self._ram[0] |= SYSTEM_FLAG
            self._reply(0x55)
        elif command == 0xD0:
            self._reply(self._read_output_port())
        elif command in (0xDD, 0xDF):
            self._write_output_port(self._output_port & ~OUTPUT_A20 | command & OUTPUT_A20)
        elif command >= 0xF0:
            # The low four bits name the lines to pulse low, by being 0.
            if not command & OUTPUT_NO_RESET:
                self._reset_processor()
        else:
            self._report(f"8042: command {command:#04x} is not modelled")

    def _parameter(self, command: int, value: int) -> None:
        if not command:
            # Writing to the keyboard starts its clock again.
            self._ram[0] &= ~KEYBOARD_OFF
            self._keyboard.receive(value)
        elif command <= 0x7F:
            self._ram[command & 0x1F] = value
        elif command == 0xD1:
            self._write_output_port(value)
        elif command == 0xD2:
            self._reply(value)
        elif command == 0xD3:
            self._reply(value, STATUS_AUX)
        elif self._mouse is not None:
            self._ram[0] &= ~AUX_OFF
            self._mouse.receive(value)
        else:
            self._reply(NO_DEVICE, STATUS_AUX | STATUS_TIMEOUT)

    def _read_output_port(self) -> int:
        interrupts = (OUTPUT_IRQ1 if self._output.level else 0) | (OUTPUT_IRQ12 if self._aux_output.level else 0)
        return self._output_port | _OUTPUT_LINES | interrupts

    def _write_output_port(self, value: int) -> None:
        self._output_port = value & (OUTPUT_NO_RESET | OUTPUT_A20)
        self._a20(bool(value & OUTPUT_A20))
        if not value & OUTPUT_NO_RESET:
            self._reset_processor()

    # -- the output buffer --------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Drive both interrupt wires: a full output buffer asks for one of them, if the command byte lets it."""
        full, aux, allowed = self._status & STATUS_OUTPUT_FULL, self._status & STATUS_AUX, self._ram[0]
        self._output.set(bool(full and not aux and allowed & KEYBOARD_INTERRUPT))
        self._aux_output.set(bool(full and aux and allowed & AUX_INTERRUPT))

    def _reply(self, byte: int, flags: int = 0) -> None:
        self._own_replies.append((byte, flags))

    def _fill(self, byte: int, flags: int = 0) -> None:
        self._data = byte
        self._status |= STATUS_OUTPUT_FULL | flags
        self._settle()

    def _connected(self) -> list[Ps2Device]:
        """The devices whose clock is running, the keyboard first."""
        devices = [] if self._ram[0] & KEYBOARD_OFF else [self._keyboard]
        if self._mouse is not None and not self._ram[0] & AUX_OFF:
            devices.append(self._mouse)
        return devices

    def _fetch(self) -> None:
        """If the output buffer is free: fill it with a waiting reply, or have the next event's byte sent."""
        if self._status & STATUS_OUTPUT_FULL:
            return
        if self._own_replies:
            self._fill(*self._own_replies.popleft())
            return
        connected = self._connected()
        for device in connected:
            if device.replies:
                self._fill_from(device, device.take_reply())
                return
        if self._transfer is None and any(device.events for device in connected):
            at = self._clock.now + self._clock.ticks_from_ns(BYTE_NS)
            self._transfer = self._clock.schedule(at, self._finish_transfer)

    def _finish_transfer(self) -> None:
        """The byte of an event has arrived, unless something else took the output buffer: then it is sent again."""
        self._transfer = None
        if self._status & STATUS_OUTPUT_FULL:
            return
        for device in self._connected():
            if device.events:
                byte = device.take_event()
                if device is self._keyboard and self._ram[0] & TRANSLATE and byte == BREAK_PREFIX:
                    self._break_seen = True
                    self._fetch()
                else:
                    self._fill_from(device, byte, is_event=True)
                return

    def _fill_from(self, device: Ps2Device, byte: int, *, is_event: bool = False) -> None:
        if device is not self._keyboard:
            self._fill(byte, STATUS_AUX)
            return
        if self._ram[0] & TRANSLATE:
            byte = TRANSLATION[byte]
            if is_event and self._break_seen:
                byte |= 0x80
        if is_event:
            self._break_seen = False
        self._fill(byte)


_SET_COMMAND_BITS = {0xA7: AUX_OFF, 0xAD: KEYBOARD_OFF}
_CLEAR_COMMAND_BITS = {0xA8: AUX_OFF, 0xAE: KEYBOARD_OFF}
_FIXED_REPLIES = {0xA4: NO_PASSWORD, 0xA9: 0x00, 0xAB: 0x00, 0xC0: INPUT_NOT_LOCKED}
