"""A machine that only plays its part, for tests of what people see."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import pytest

from hillemu.emu.stop import Stop, StopReason


class FakeSerial:
    def __init__(self) -> None:
        self.received = b""
        self.data = bytearray()
        self.callbacks: list[Callable[[int], None]] = []

    def send(self, data: bytes) -> None:
        self.received += data

    def on_byte(self, callback: Callable[[int], None]) -> None:
        self.callbacks.append(callback)

    def print(self, data: bytes) -> None:
        """Play the guest."""
        for byte in data:
            self.data.append(byte)
            for callback in self.callbacks:
                callback(byte)

    @property
    def text(self) -> str:
        return self.data.decode("latin-1")


class FakeKeyboard:
    def __init__(self) -> None:
        self.typed: list[str] = []

    def type(self, text: str) -> None:
        self.typed.append(text)


class FakeMachine:
    """Remembers what it was asked for; its guest prints `SERIAL` and ends with `STOP`."""

    SERIAL: ClassVar[bytes] = b"hello\n"
    SCREEN: ClassVar[list[str]] = ["on the screen", "", ""]
    STOP: ClassVar[Stop | Exception | Callable[[FakeMachine], Stop]] = Stop(StopReason.HALT, "cli; hlt at 0x00100010")
    LOAD: ClassVar[Exception | None] = None
    UNHANDLED: ClassVar[dict[str, dict[int, int]]] = {"port_reads": {0x3F6: 2}, "memory_writes": {}}
    made: ClassVar[list[FakeMachine]] = []
    timing = tlb_lint = None

    def __init__(self, mem: Any = "64M", **options: Any) -> None:
        self.asked: dict[str, Any] = {"mem": mem, **options}
        self.serial, self.debug_console = FakeSerial(), FakeSerial()
        self.screen = type("Screen", (), {"lines": self.SCREEN, "text": "\n".join(self.SCREEN)})()
        self.cpu = type("Cpu", (), {"instructions": 1_234_567, "core": "native"})()
        self.clock = type("Clock", (), {"now_ns": 12_345_670})()
        self.memory = type("Memory", (), {"sha256": lambda self: "ab" * 32})()
        self.unhandled = self.UNHANDLED
        self.keyboard = FakeKeyboard()
        self.calls: list[tuple[int, Callable[[], None]]] = []
        self.stopped = self.closed = False
        self.pictures: list[str] = []
        self.made.append(self)

    def load(self, path: str | None, **options: Any) -> None:
        self.asked |= {"path": path, **options}
        if self.LOAD is not None:
            raise self.LOAD

    def load_kernel(self, **options: Any) -> None:
        self.asked |= {"path": "the built-in kernel", **options}

    def schedule_keys(self, text: str, at_insns: int) -> None:
        self.asked.setdefault("keys", []).append((text, at_insns))

    def schedule_call(self, at_ns: int, action: Callable[[], None]) -> None:
        self.calls.append((at_ns, action))

    def run(self, **options: Any) -> Stop:
        self.asked |= options
        self.serial.print(self.SERIAL)
        if isinstance(self.STOP, Exception):
            raise self.STOP
        return self.STOP if isinstance(self.STOP, Stop) else self.STOP()  # type: ignore[call-arg]

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed = True

    def screen_lines(self) -> list[str]:
        return self.SCREEN

    def save_picture(self, path: str) -> None:
        self.pictures.append(path)

    def crash_report(self) -> str:
        return f"CRASH REPORT at {self.registers()['eip']:#x}"

    def registers(self) -> dict[str, int]:
        return {"eax": 1, "eip": 0x100010}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeMachine]:
    """A `FakeMachine` of the test's own in place of the machine, and a short crash report."""

    class Fake(FakeMachine):
        """This test's own, so that its class attributes may be changed."""

        made: ClassVar[list[FakeMachine]] = []

    machine = ModuleType("hillemu.machine")
    machine.Machine = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hillemu.machine", machine)
    return Fake
