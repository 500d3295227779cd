"""The record of a serial line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.devices.serial_log import SerialLog


@given(st.binary(max_size=40), st.sets(st.integers(0, 40)))
def test_looking_in_between_never_changes_the_text(data: bytes, looks: set[int]) -> None:
    log = SerialLog()
    for at, byte in enumerate(data):
        log.put(byte)
        if at in looks:
            assert data[: at + 1].decode(errors="replace").startswith(log.text)
    closed = (data + b"\n").decode(errors="replace")
    log.put(0x0A)
    assert log.text == closed
    assert log.data == data + b"\n"


def test_observers_see_each_byte_after_it_is_recorded() -> None:
    log = SerialLog()
    seen: list[tuple[int, bytes]] = []
    log.observers.append(lambda byte: seen.append((byte, bytes(log.data))))
    log.put(0x41)
    log.put(0xFF)
    assert seen == [(0x41, b"A"), (0xFF, b"A\xff")]
    assert log.text == "A\ufffd"
