"""What was typed into a run, and when: the record that `--json` keeps, and that `--replay` types again.

The moment is virtual time, because instructions alone do not tell it: a processor that halts and waits for a key
executes none, while its timers go on.  The instruction count stands beside it for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.machine import Machine

KEYBOARD, SERIAL = PORTS = ("keyboard", "serial")
"""Where input can go: the PS/2 keyboard, or COM1."""
RECORD_KEY = "live_input"
"""Where the record stands in the `--json` file."""


class Typed(NamedTuple):
    """Input that reached the machine between two instructions."""

    to: str
    """One of `PORTS`."""
    text: str
    """For the keyboard as `--keys` has it; for COM1 UTF-8, with surrogate escapes for bytes that are none."""
    virtual_ns: int
    instructions: int


def serial_text(data: bytes) -> str:
    r"""Bytes for COM1 as text that JSON can hold; every sequence of bytes has its own.

    >>> serial_text(b"ls\r\xff"), serial_bytes('ls\r\udcff')
    ('ls\r\udcff', b'ls\r\xff')
    """
    return data.decode("utf-8", "surrogateescape")


def serial_bytes(text: str) -> bytes:
    """What `serial_text` was made of; raises `UnicodeEncodeError` for text that it cannot have made."""
    return text.encode("utf-8", "surrogateescape")


def type_now(machine: Machine, to: str, text: str, record: list[Typed]) -> None:
    """Let `machine` receive `text` and note it in `record`.  Raises `OptionError` for keys that do not exist."""
    if to == KEYBOARD:
        machine.keyboard.type(text)
    else:
        machine.serial.send(serial_bytes(text))
    record.append(Typed(to, text, machine.clock.now_ns, machine.cpu.instructions))


def schedule(machine: Machine, script: Iterable[Typed], record: list[Typed]) -> None:
    """Have `machine` receive `script` at the moments it names; what it has received is noted in `record`."""
    for typed in script:
        machine.schedule_call(typed.virtual_ns, partial(type_now, machine, typed.to, typed.text, record))


def as_json(record: Iterable[Typed]) -> list[dict[str, Any]]:
    """`record` for `json.dump`."""
    return [typed._asdict() for typed in record]


def read_record(name: str) -> list[Typed]:
    """The record in the `--json` file `name`.  Raises `UserMistake` when there is none, or it makes no sense."""
    import json

    try:
        with open(name, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise UserMistake(f"{name}: cannot read the run to replay: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise UserMistake(f"{name}: this is not a file that --json wrote") from None
    rows = document.get(RECORD_KEY) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise UserMistake(f"{name}: this is not a file that --json wrote: it has no list {RECORD_KEY!r}")
    return [_typed(row, f"{name}: {RECORD_KEY}[{number}]") for number, row in enumerate(rows)]


def _typed(row: Any, place: str) -> Typed:
    from hillemu.emu.devices.input.keys import keys_from_text

    try:
        typed = Typed(**row)
    except TypeError:
        raise UserMistake(f"{place}: must have {', '.join(Typed._fields)}, and nothing else") from None
    if typed.to not in PORTS:
        raise UserMistake(f"{place}: 'to' is {typed.to!r}, but must be one of {', '.join(PORTS)}")
    if type(typed.virtual_ns) is not int or not 0 <= typed.virtual_ns < 1 << 63:
        raise UserMistake(f"{place}: 'virtual_ns' is {typed.virtual_ns!r}, but must be nanoseconds since power-on")
    if not isinstance(typed.text, str):
        raise UserMistake(f"{place}: 'text' is {typed.text!r}, but must be text")
    if typed.to == KEYBOARD:
        keys_from_text(typed.text, option=place)
    else:
        try:
            serial_bytes(typed.text)
        except UnicodeEncodeError:
            raise UserMistake(f"{place}: 'text' has characters that no bytes stand for") from None
    return typed
