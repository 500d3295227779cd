"""Ports 0xCF9 and 0x92."""

from __future__ import annotations

import pytest

from hillemu.emu.devices.reset import Port92, ResetControl


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([0x02, 0x06], ["hard"]),  # as Linux does
        ([0x06], ["hard"]),
        ([0x04], ["soft"]),
        ([0x02], []),
        ([0x04, 0x06], ["soft"]),  # RCPU did not rise a second time
        ([0x04, 0x00, 0x06], ["soft", "hard"]),
        ([0xF9], []),
    ],
)
def test_the_rising_edge_of_rcpu_resets_and_srst_says_how_hard(writes: list[int], expected: list[str]) -> None:
    resets: list[str] = []
    control = ResetControl(hard=lambda: resets.append("hard"), soft=lambda: resets.append("soft"))
    for value in writes:
        control.write(0, 1, value)
    assert resets == expected


def test_the_reset_control_register_keeps_its_two_bits() -> None:
    control = ResetControl(hard=lambda: None, soft=lambda: None)
    control.write(0, 1, 0xFB)
    assert control.read(0, 1) == control.peek(0, 1) == 0x02
    control.reset()
    assert control.read(0, 1) == 0


def test_a_reset_by_the_callback_itself_rearms_the_register() -> None:
    resets: list[int] = []

    def hard() -> None:
        resets.append(1)
        control.reset()

    control = ResetControl(hard=hard, soft=lambda: None)
    control.write(0, 1, 0x06)
    control.write(0, 1, 0x06)
    assert resets == [1, 1]


def test_port_92_moves_the_a20_gate() -> None:
    gate: list[bool] = []
    port = Port92(reset=lambda: None, a20=gate.append)
    assert port.read(0, 1) & 2, "firmware leaves the gate open"
    port.write(0, 1, 0x00)
    port.write(0, 1, 0x02)
    assert gate == [False, True]
    assert port.read(0, 1) == port.peek(0, 1) == 0x02


def test_port_92_resets_on_the_rising_edge_only() -> None:
    resets: list[int] = []
    port = Port92(reset=lambda: resets.append(1), a20=lambda _: None, a20_enabled=False)
    assert port.read(0, 1) == 0
    port.write(0, 1, 0x01)
    port.write(0, 1, 0x01)
    assert resets == [1]
    port.write(0, 1, 0x00)
    port.write(0, 1, 0x01)
    assert resets == [1, 1]
