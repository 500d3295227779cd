"""Something cheap to debug, and the client's side of GDB's remote protocol, written after the manual alone."""

from __future__ import annotations

from collections.abc import Sequence

from hillemu.emu.gdb.agent_expressions import Expression
from hillemu.emu.gdb.registers import EXPEDITED, LAYOUT, Register
from hillemu.emu.gdb.session import Session
from hillemu.emu.gdb.target import (
    ErrorNumber,
    HostSignal,
    Outcome,
    PointKind,
    Region,
    Resume,
    Stopped,
    TargetError,
    Unsupported,
)

RAM_BYTES = 0x4000
READ_DESCRIPTION = b"qXfer:features:read:target.xml:0,fff"
"""What tells a stub that its client knows of all registers."""


class FakeTarget:
    """Registers in a dictionary, RAM of 16 KiB at 0, and a note of everything that was asked for."""

    def __init__(self) -> None:
        self.machine_name = "i386"
        self.goes_backwards = False
        self.values = {register.name: bytes(register.size_bytes) for register in LAYOUT}
        self.ram = bytearray(range(256)) * (RAM_BYTES // 256)
        self.points: list[tuple[PointKind, int, int]] = []
        self.conditions: dict[tuple[PointKind, int], Sequence[Expression]] = {}
        self.resumed: list[Resume] = []
        self.accesses: list[tuple[int, bool]] = []
        self.asked: list[str] = []
        self.outcome: Outcome = Stopped(HostSignal.TRAP)

    def read_register(self, register: Register) -> bytes | None:
        return self.values.get(register.name)

    def read_expedited(self) -> bytes:
        return b"".join(self.values[register.name] for register in EXPEDITED)

    def write_register(self, register: Register, value: bytes) -> None:
        assert len(value) == register.size_bytes
        if register.name == "tr":
            raise TargetError(ErrorNumber.INVALID, "read only")
        self.values[register.name] = value

    def read_memory(self, at: int, count: int, *, physical: bool) -> bytes:
        assert 0 <= at < 1 << 32
        self.accesses.append((at, physical))
        return bytes(self.ram[at : at + count])

    def write_memory(self, at: int, data: bytes, *, physical: bool) -> None:
        if at + len(data) > RAM_BYTES:
            raise TargetError(ErrorNumber.MEMORY, "no RAM")
        self.ram[at : at + len(data)] = data

    def memory_map(self) -> Sequence[Region]:
        return (Region(0, RAM_BYTES, True), Region(0xF0000, 0x10000, False))

    def add_point(self, kind: PointKind, at: int, length: int, conditions: Sequence[Expression] = ()) -> None:
        if kind > PointKind.HARDWARE_BREAKPOINT:
            raise Unsupported("watchpoints")
        self.conditions[kind, at] = conditions
        self.points.append((kind, at, length))

    def remove_point(self, kind: PointKind, at: int, length: int) -> None:
        if (kind, at, length) in self.points:
            self.points.remove((kind, at, length))

    def resume(self, how: Resume) -> None:
        self.resumed.append(how)

    def interrupt(self) -> None:
        self.asked.append("interrupt")

    def last_stop(self) -> Outcome:
        return self.outcome

    def monitor(self, command: str) -> str:
        self.asked.append(command)
        return f"you said {command}\n" if command else ""

    def detach(self) -> None:
        self.asked.append("detach")

    def kill(self) -> None:
        self.asked.append("kill")

    def restart(self) -> None:
        self.asked.append("restart")


def packet(payload: bytes) -> bytes:
    """A packet as a client sends it; `payload` is escaped already."""
    return b"$" + payload + b"#" + f"{sum(payload) % 256:02x}".encode()


def packets_in(stream: bytes) -> list[bytes]:
    """The payloads of a stub's packets, expanded and unescaped; `AssertionError` for anything that is not allowed."""
    found = []
    at = 0
    while at < len(stream):
        if stream[at : at + 1] in b"+-":
            at += 1
            continue
        assert stream[at : at + 1] == b"$", stream[at : at + 20]
        end = stream.index(b"#", at)
        body = stream[at + 1 : end]
        assert b"$" not in body
        assert int(stream[end + 1 : end + 3], 16) == sum(body) % 256
        found.append(expanded(body))
        at = end + 3
    return found


def expanded(body: bytes) -> bytes:
    """Undo run-length encoding and escapes, byte by byte."""
    flat = bytearray()
    at = 0
    while at < len(body):
        if body[at] == ord("*"):
            repeats = body[at + 1] - 29
            assert 3 <= repeats <= 97
            flat += flat[-1:] * repeats
            at += 2
        elif body[at] == ord("}"):
            flat.append(body[at + 1] ^ 0x20)
            at += 2
        else:
            flat.append(body[at])
            at += 1
    return bytes(flat)


class Client:
    """A debugger's side of one connection to a `target`, without a socket."""

    def __init__(self, target: FakeTarget, *, knows_description: bool = True) -> None:
        self.target = target
        self.session = Session(target)
        if knows_description:
            self.ask(READ_DESCRIPTION)

    def ask(self, payload: bytes) -> bytes | None:
        """The stub's answer to a packet, or `None` where it gives none yet."""
        answers = packets_in(self.session.receive(packet(payload)))
        assert len(answers) <= 1
        return answers[0] if answers else None
