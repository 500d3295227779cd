"""The parts of a `Machine` that people talk to: its registers, serial ports and keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hillemu.emu.cpu.core import Processor
from hillemu.emu.devices.input.keyboard import Keyboard
from hillemu.emu.devices.input.keys import keys_from_text
from hillemu.emu.devices.serial_log import SerialLog
from hillemu.emu.devices.uart import Uart
from hillemu.emu.guest import GuestMemory, Segment
from hillemu.emu.i386.address import VirtAddr


class CpuView:
    """The processor's registers as attributes: ``cpu.eip``, ``cpu.eflags``, ``cpu.cr3``, ``cpu.cs`` (a selector).

    They can be set while the machine stands still.  An unknown name raises `AttributeError`.
    """

    def __init__(self, processor: Processor) -> None:
        object.__setattr__(self, "_processor", processor)

    _processor: Processor

    def __getattr__(self, name: str) -> int:
        try:
            return self._processor.get(name)
        except KeyError:
            raise AttributeError(f"the processor has no register {name!r}") from None

    def __setattr__(self, name: str, value: int) -> None:
        try:
            self._processor.set(name, value)
        except KeyError:
            raise AttributeError(f"the processor has no register {name!r}") from None

    @property
    def instructions(self) -> int:
        """Instructions executed since power-on; every iteration of a REP counts."""
        return self._processor.instructions

    @property
    def core(self) -> str:
        """``native`` or ``portable``."""
        return self._processor.mode.value

    @property
    def model(self) -> str:
        """The name that ``--cpu`` takes."""
        return self._processor.model.name

    @property
    def linear_eip(self) -> int:
        """EIP with the base of CS added: where the instruction is before paging."""
        return self._processor.linear_eip

    def segment(self, name: str) -> Segment:
        """A segment register with its hidden part; also ``ldtr``, ``tr``, ``gdtr``, ``idtr``."""
        return self._processor.segment(name)

    def set_segment(self, name: str, value: Segment) -> None:
        """Load a segment register together with its hidden part; SS sets the privilege level."""
        self._processor.set_segment(name, value)

    @property
    def processor(self) -> Processor:
        """What is behind: registers by name (`hillemu.emu.guest.Registers`), the TLB."""
        return self._processor

    def read_virtual(self, memory: GuestMemory, at: int, count: int) -> bytes:
        """Up to `count` bytes at virtual address `at` through the current page tables, shorter at the first hole."""
        # The page walk and its outcomes are a tenth of the start-up, and most runs never look.
        from hillemu.emu.i386.control import ControlState
        from hillemu.emu.i386.paging import read_virtual

        return read_virtual(memory, VirtAddr(at & 0xFFFFFFFF), count, ControlState.read(self._processor))

    def peek_code(self, memory: GuestMemory, count: int) -> bytes:
        """Up to `count` bytes at EIP."""
        return self.read_virtual(memory, self.linear_eip, count)

    def jumps_to_itself(self, memory: GuestMemory) -> bool:
        """Whether the instruction at EIP is a jump to itself."""
        code = self.peek_code(memory, 5)
        return code[:2] == b"\xeb\xfe" or code == b"\xe9\xfb\xff\xff\xff"


class SerialPort:
    """One serial port from the outside."""

    def __init__(self, uart: Uart, log: SerialLog) -> None:
        self._uart = uart
        self._log = log

    @property
    def text(self) -> str:
        """All that the guest sent, as UTF-8."""
        return self._log.text

    @property
    def data(self) -> bytes:
        """All that the guest sent."""
        return bytes(self._log.data)

    def send(self, data: Iterable[int]) -> None:
        """Let the guest receive `data`, as fast as it reads."""
        self._uart.receive(data)

    def on_byte(self, observer: Callable[[int], None]) -> None:
        """Call `observer` with every byte that the guest sends from now on."""
        self._log.observers.append(observer)


class KeyboardPort:
    """The keyboard from the outside."""

    def __init__(self, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self.press = keyboard.press
        self.release = keyboard.release

    def type(self, text: str) -> None:
        """Type `text`; ``{enter}``, ``{f1}``, ``{ctrl+c}`` name keys.  Raises `OptionError` for an unknown name."""
        self._keyboard.type(keys_from_text(text))
