"""Power management and SMBus of the PIIX4, against its data sheet and the ACPI specification."""

from __future__ import annotations

import pytest
from pci_bench import PciBench

PM, SMBUS = 0x600, 0x700
STATUS, ENABLE, CONTROL, TIMER = PM, PM + 2, PM + 4, PM + 8
TMR, PWRBTN, SCI_EN = 0x0001, 0x0100, 0x0001


@pytest.fixture
def bench() -> PciBench:
    """A bench as firmware leaves it."""
    bench = PciBench()
    for register, value in ((0x40, PM | 1), (0x80, 1), (0x90, SMBUS | 1), (0xD0, 0x00090000)):
        bench.config_write(1, 3, register, value)
    return bench


def sci(bench: PciBench) -> bool:
    return bench.irq_levels[9]


def carry_after_ticks(bench: PciBench, carries: int) -> int:
    """The tick of the bench's 100 MHz clock at which the timer's top bit has changed `carries` times."""
    return -(-carries * (1 << 23) * 100_000_000 // 3_579_545)


def test_the_ports_answer_where_and_while_the_configuration_says() -> None:
    bench = PciBench()
    assert bench.read_port(TIMER, 4) == 0xFFFFFFFF
    bench.config_write(1, 3, 0x40, 0x0000B041)
    assert bench.config_read(1, 3, 0x40) == 0x0000B041
    assert bench.read_port(0xB048, 4) == 0xFFFFFFFF
    bench.config_write(1, 3, 0x80, 1, 1)
    bench.clock.advance(1000)
    assert bench.read_port(0xB048, 4) == 1000 * 3_579_545 // 100_000_000
    bench.config_write(1, 3, 0x40, 0xFFFFFFFF)
    assert bench.config_read(1, 3, 0x40) == 0x0000FFC1
    assert bench.read_port(0xB048, 4) == 0xFFFFFFFF
    bench.pm.reset()
    assert bench.read_port(0xFFC8, 4) == 0xFFFFFFFF


def test_the_timer_has_24_bits_and_any_width(bench: PciBench) -> None:
    bench.clock.advance(carry_after_ticks(bench, 2) + 1_000_000)
    count = bench.read_port(TIMER, 4)
    assert count == (1 << 24) + 35795 & 0xFFFFFF
    assert bench.read_port(TIMER, 2) | bench.read_port(TIMER + 2, 2) << 16 == count
    assert bytes(bench.read_port(TIMER + n, 1) for n in range(4)) == count.to_bytes(4, "little")
    bench.write_port(TIMER, 0, 4)
    assert bench.read_port(TIMER, 4) == count


def test_the_timers_top_bit_sets_its_status_every_time_it_changes(bench: PciBench) -> None:
    at = carry_after_ticks(bench, 1)
    bench.clock.advance(at - 1)
    assert bench.read_port(STATUS, 2) == 0
    bench.clock.advance(1)
    assert bench.read_port(STATUS, 2) == TMR
    bench.write_port(STATUS, TMR, 2)
    assert bench.read_port(STATUS, 2) == 0
    bench.clock.advance(carry_after_ticks(bench, 2) - at)
    assert bench.read_port(STATUS, 2) == TMR


def test_the_timer_interrupts_by_itself_when_enabled(bench: PciBench) -> None:
    bench.write_port(CONTROL, SCI_EN, 2)
    bench.write_port(ENABLE, TMR, 2)
    bench.clock.advance(carry_after_ticks(bench, 1) - 1)
    assert not sci(bench)
    bench.clock.advance(1)
    assert sci(bench)
    bench.write_port(STATUS, TMR, 1)
    assert not sci(bench)
    bench.clock.advance(carry_after_ticks(bench, 1))
    assert sci(bench)
    bench.write_port(ENABLE, 0, 2)
    assert not sci(bench)


def test_an_idle_timer_schedules_nothing(bench: PciBench) -> None:
    from hillemu.emu.clock import NEVER

    assert bench.clock.next_deadline == NEVER
    bench.write_port(ENABLE, TMR, 2)
    assert bench.clock.next_deadline == carry_after_ticks(bench, 1)
    bench.write_port(ENABLE, 0, 2)
    assert bench.clock.next_deadline == NEVER


def test_the_power_button_interrupts_once_it_is_enabled_and_acpi_is_on(bench: PciBench) -> None:
    bench.pm.acpi.press_power_button()
    assert bench.read_port(STATUS, 2) == PWRBTN
    bench.write_port(STATUS, PWRBTN << 16, 4)  # status 0, enable the button
    assert not sci(bench)
    bench.write_port(0xB2, 0xF1, 1)
    assert bench.read_port(CONTROL, 2) == SCI_EN
    assert sci(bench)
    bench.write_port(STATUS + 1, PWRBTN >> 8, 1)
    assert not sci(bench)


def test_the_clock_chips_alarm_is_an_event_of_power_management(bench: PciBench) -> None:
    alarm = 0x0400
    bench.write_port(CONTROL, SCI_EN, 2)
    bench.pm.acpi.rtc.set(True)
    assert bench.read_port(STATUS, 2) == alarm
    assert not sci(bench)
    bench.write_port(ENABLE, alarm, 2)
    assert sci(bench)
    bench.write_port(STATUS, alarm, 2)
    assert not sci(bench)
    bench.pm.acpi.rtc.set(False)
    assert bench.read_port(STATUS, 2) == 0


def test_smi_command_takes_and_gives_back_the_events(bench: PciBench) -> None:
    bench.write_port(0xB2, 0xF1, 1)
    assert bench.read_port(CONTROL, 2) & SCI_EN
    bench.write_port(0xB2, 0xF0, 1)
    assert not bench.read_port(CONTROL, 2) & SCI_EN
    assert bench.reports == []
    bench.write_port(0xB3, 0x5A, 1)
    bench.write_port(0xB2, 0x42, 1)
    bench.write_port(0xB2, 0x43, 1)
    assert (bench.read_port(0xB2, 1), bench.read_port(0xB3, 1)) == (0x43, 0x5A)
    assert len(bench.reports) == 1


@pytest.mark.parametrize(
    ("port", "value", "size"), [(CONTROL, 0x2000, 2), (CONTROL + 1, 0x20, 1), (CONTROL, 0x2001, 4)]
)
def test_sleep_type_0_switches_the_machine_off(bench: PciBench, port: int, value: int, size: int) -> None:
    bench.write_port(port, value, size)
    assert bench.power_offs == 1
    assert not bench.read_port(CONTROL, 2) & 0x2000


def test_other_sleep_types_are_reported_and_the_machine_stays_awake(bench: PciBench) -> None:
    bench.write_port(CONTROL, 0x1 << 10, 2)
    assert bench.reports == []
    bench.write_port(CONTROL + 1, 0x24, 1)
    assert bench.power_offs == 0
    assert len(bench.reports) == 1
    assert "sleep type 1" in bench.reports[0]


def test_general_purpose_events_answer_at_both_places(bench: PciBench) -> None:
    bench.ports.attach(0xAFE0, 4, bench.pm.acpi.gpe0, width=4)
    bench.write_port(CONTROL, SCI_EN, 2)
    bench.pm.acpi.raise_gpe(3)
    assert bench.read_port(0xAFE0, 2) == bench.read_port(PM + 0x0C, 2) == 0x0008
    bench.write_port(0xAFE2, 0x08, 1)
    assert sci(bench)
    assert bench.read_port(PM + 0x0C, 4) == 0x00080008
    bench.write_port(0xAFE0, 0x08, 1)
    assert not sci(bench)


def test_reset_withdraws_the_interrupt_and_keeps_the_timer(bench: PciBench) -> None:
    bench.write_port(CONTROL, SCI_EN, 2)
    bench.write_port(ENABLE, PWRBTN, 2)
    bench.pm.acpi.press_power_button()
    bench.clock.advance(12345)
    assert sci(bench)
    bench.pm.reset()
    assert not sci(bench)
    assert bench.pm.acpi.read(0, 4) == 0
    assert bench.pm.acpi.read(8, 4) == 12345 * 3_579_545 // 100_000_000


def smbus_transaction(bench: PciBench, protocol: int) -> int:
    """What Linux's i2c-piix4 does; returns the status it finds."""
    bench.write_port(SMBUS, 0xFF, 1)
    bench.write_port(SMBUS + 4, 0x50 << 1 | 1, 1)
    bench.write_port(SMBUS + 3, 0, 1)
    bench.write_port(SMBUS + 2, protocol << 2, 1)
    bench.write_port(SMBUS + 2, protocol << 2 | 0x40, 1)
    return bench.read_port(SMBUS, 1)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 5])
def test_no_device_answers_on_the_smbus(bench: PciBench, protocol: int) -> None:
    assert bench.read_port(SMBUS, 1) == 0
    assert smbus_transaction(bench, protocol) == 0x04  # DEV_ERR, and not busy
    assert bench.read_port(SMBUS + 2, 1) == protocol << 2
    bench.write_port(SMBUS, 0x04, 1)
    assert bench.read_port(SMBUS, 1) == 0


def test_the_smbus_interrupts_only_when_asked_to(bench: PciBench) -> None:
    smbus_transaction(bench, 0)
    assert not bench.irq_levels[9]
    bench.write_port(SMBUS + 2, 0x01, 1)
    assert bench.irq_levels[9]
    bench.config_write(1, 3, 0xD2, 0x01, 1)  # as an SMI instead
    assert not bench.irq_levels[9]
    bench.config_write(1, 3, 0xD2, 0x09, 1)
    bench.write_port(SMBUS, 0x04, 1)
    assert not bench.irq_levels[9]


def test_the_block_register_walks_through_32_bytes(bench: PciBench) -> None:
    bench.read_port(SMBUS + 2, 1)
    for n in range(32):
        bench.write_port(SMBUS + 7, n ^ 0x5A, 1)
    bench.read_port(SMBUS + 2, 1)
    assert [bench.read_port(SMBUS + 7, 1) for _ in range(33)] == [*(n ^ 0x5A for n in range(32)), 0x5A]
    assert bench.pm.smbus.peek(7, 1) == 1 ^ 0x5A
