"""The MC146818 against its data sheet, on a clock that is moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hillemu.emu.bus import Bus
from hillemu.emu.clock import NEVER, Clock
from hillemu.emu.devices.clocks.cmos import Cmos
from hillemu.emu.errors import OptionError
from hillemu.emu.wires import Line

SECOND, MINUTE, HOUR, WEEKDAY, DAY, MONTH, YEAR, CENTURY = 0, 2, 4, 6, 7, 8, 9, 0x32
SECOND_ALARM, MINUTE_ALARM, HOUR_ALARM, DO_NOT_CARE = 1, 3, 5, 0xC0
A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
SET, PIE, AIE, UIE, SQWE, DM, H24, DSE = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
IRQF, PF, AF, UF = 0x80, 0x40, 0x20, 0x10
UIP = 0x80
HZ = 1_000_000
GIB, MIB = 1 << 30, 1 << 20


class Board:
    """A clock chip at 0x70 whose ticks are microseconds, and a record of IRQ 8."""

    def __init__(
        self, base: datetime = datetime(2026, 1, 1), low: int = 64 * MIB, high: int = 0, hz: int = HZ, boot: str = "cad"
    ) -> None:
        self.clock = Clock(hz)
        self.said: list[str] = []
        self.edges: list[tuple[int, bool]] = []
        self.irq8 = Line(lambda level: self.edges.append((self.clock.now, level)))
        self.cmos = Cmos(
            clock=self.clock,
            output=self.irq8,
            ram_below_4g_bytes=low,
            ram_above_4g_bytes=high,
            base=base,
            boot_order=boot,
            report=self.said.append,
        )
        self.ports = Bus("port", limit=0x10000)
        self.ports.attach(0x70, 2, self.cmos)

    def __getitem__(self, index: int) -> int:
        self.ports.write(0x70, 1, index)
        return self.ports.read(0x71, 1)

    def __setitem__(self, index: int, value: int) -> None:
        self.ports.write(0x70, 1, index)
        self.ports.write(0x71, 1, value)

    def peek(self, index: int) -> int | None:
        self.ports.write(0x70, 1, index)
        return self.ports.peek(0x71, 1)

    def number(self, index: int, count: int = 2) -> int:
        return int.from_bytes(bytes(self[index + i] for i in range(count)), "little")

    def time(self) -> str:
        """The date and time as BCD spells it."""
        year, month, day, hour, minute, second = (self[i] for i in (YEAR, MONTH, DAY, HOUR, MINUTE, SECOND))
        return f"{self[CENTURY]:02x}{year:02x}-{month:02x}-{day:02x} {hour:02x}:{minute:02x}:{second:02x}"

    def set_time(self, when: datetime) -> None:
        """What an operating system does: SET, seven bytes and the century, then SET off again."""
        b = self[B]
        self[B] = b | SET
        for index, form in (SECOND, "%S"), (MINUTE, "%M"), (HOUR, "%H"), (DAY, "%d"), (MONTH, "%m"), (YEAR, "%y"):
            self[index] = int(when.strftime(form), 16)
        self[CENTURY] = int(str(when.year // 100), 16)
        self[B] = b & ~SET


@pytest.fixture
def board() -> Board:
    return Board()


# Time of day.


def test_the_clock_starts_at_the_base_and_runs_on_virtual_time() -> None:
    board = Board(base=datetime(2026, 12, 31, 23, 59, 58))
    assert (board.time(), board[WEEKDAY]) == ("2026-12-31 23:59:58", 5)
    board.clock.advance(2 * HZ - 1)
    assert board.time() == "2026-12-31 23:59:59"
    board.clock.advance(1)
    assert (board.time(), board[WEEKDAY]) == ("2027-01-01 00:00:00", 6)


def test_the_century_turns_with_the_year() -> None:
    board = Board(base=datetime(2099, 12, 31, 23, 59, 59))
    board.clock.advance(HZ)
    assert board.time() == "2100-01-01 00:00:00"


def test_a_base_with_a_time_zone_is_kept_as_utc() -> None:
    board = Board(base=datetime(2026, 7, 1, 1, 30, tzinfo=timezone(timedelta(hours=2))))
    assert board.time() == "2026-06-30 23:30:00"


def test_the_fraction_of_the_bases_second_has_already_passed() -> None:
    board = Board(base=datetime(2026, 1, 1, 0, 0, 0, 750_000, tzinfo=UTC))
    board.clock.advance(249_999)
    assert board[SECOND] == 0
    board.clock.advance(1)
    assert board[SECOND] == 1


def test_set_freezes_the_time_and_writing_it_changes_the_time(board: Board) -> None:
    board.set_time(datetime(1999, 2, 28, 23, 59, 59))
    assert board.time() == "1999-02-28 23:59:59"
    board.clock.advance(HZ)
    assert board.time() == "1999-03-01 00:00:00"
    board[B] = H24 | SET
    board.clock.advance(100 * HZ)
    assert board.time() == "1999-03-01 00:00:00"
    board[B] = H24
    board.clock.advance(HZ)
    assert board.time() == "1999-03-01 00:00:01"


def test_setting_the_time_leaves_the_divider_running(board: Board) -> None:
    board.clock.advance(HZ // 4)
    board.set_time(datetime(2030, 1, 1))
    board.clock.advance(3 * HZ // 4 - 1)
    assert board[SECOND] == 0
    board.clock.advance(1)
    assert board[SECOND] == 1


def test_one_byte_can_be_written_while_the_clock_runs(board: Board) -> None:
    board.clock.advance(5 * HZ)
    board[HOUR] = 0x13
    board.clock.advance(HZ)
    assert board.time() == "2026-01-01 13:00:06"


def test_binary_and_12_hour_codes() -> None:
    board = Board(base=datetime(2026, 1, 1, 11, 59, 59))
    board[B] = SET | DM
    board[HOUR], board[MINUTE], board[SECOND] = 11, 59, 58
    board[YEAR], board[CENTURY] = 26, 20
    board[B] = DM
    assert [board[HOUR], board[MINUTE], board[SECOND]] == [11, 59, 58]
    board.clock.advance(2 * HZ)
    assert [board[HOUR], board[MINUTE], board[SECOND]] == [0x8C, 0, 0], "noon is 12 PM"
    board.clock.advance(12 * 3600 * HZ)
    assert [board[HOUR], board[DAY]] == [12, 2], "midnight is 12 AM"


def test_the_divider_reset_holds_the_clock_and_the_first_update_comes_half_a_second_after_it(board: Board) -> None:
    board[A] = 0x66
    board.clock.advance(10 * HZ + 123)
    assert (board[SECOND], board.said) == (0, [])
    board[A] = 0x26
    board.clock.advance(HZ // 2 - 1)
    assert board[SECOND] == 0
    board.clock.advance(1)
    assert board[SECOND] == 1


def test_what_is_not_modelled_is_reported(board: Board) -> None:
    board[A] = 0x06
    board[B] = H24 | DSE
    assert ["time base" in board.said[0], "daylight" in board.said[1]] == [True, True]
    board.clock.advance(10 * HZ)
    assert board[SECOND] == 0


def test_uip_rises_244_microseconds_before_the_update_cycle_of_1984_microseconds(board: Board) -> None:
    board.clock.advance(HZ - 1984 - 244 - 1)
    assert board[A] == 0x26
    board.clock.advance(2)
    assert board[A] == UIP | 0x26
    board.clock.advance(1984 + 244 - 2)
    assert (board[A], board[SECOND]) == (UIP | 0x26, 0)
    board.clock.advance(1)
    assert (board[A], board[SECOND]) == (0x26, 1)


@pytest.mark.parametrize(("index", "value"), [(B, SET | H24), (A, 0x66)])
def test_uip_stays_low_while_nothing_is_updated(board: Board, index: int, value: int) -> None:
    board[index] = value
    board.clock.advance(HZ - 100)
    assert board[A] & UIP == 0


# Interrupts.


def test_nothing_is_scheduled_until_an_interrupt_is_enabled(board: Board) -> None:
    assert board.clock.next_deadline == NEVER
    board[B] = H24 | UIE
    assert board.clock.next_deadline == HZ
    board[B] = H24
    assert board.clock.next_deadline == NEVER


def test_the_update_ended_interrupt_comes_every_second_that_c_is_read(board: Board) -> None:
    board[B] = H24 | UIE
    board.clock.advance(HZ)
    assert board.edges == [(HZ, True)]
    assert board.clock.next_deadline == NEVER, "the line is up: there is nothing to wake for"
    board.clock.advance(5 * HZ + 10)
    assert board.peek(C) == IRQF | PF | UF
    assert board.edges == [(HZ, True)], "peeking takes nothing"
    assert [board[C], board[C]] == [IRQF | PF | UF, 0]
    board.clock.advance(HZ)
    assert board.edges == [(HZ, True), (6 * HZ + 10, False), (7 * HZ, True)]


def test_flags_rise_without_their_enables_and_irqf_does_not(board: Board) -> None:
    for index in (SECOND_ALARM, MINUTE_ALARM, HOUR_ALARM):
        board[index] = DO_NOT_CARE
    board.clock.advance(HZ)
    assert [board[C], board[C]] == [PF | AF | UF, 0]
    assert board.edges == []


def test_enabling_an_interrupt_whose_flag_is_up_asserts_it_at_once(board: Board) -> None:
    board.clock.advance(HZ)
    board[B] = H24 | UIE
    assert board.irq8.level
    board[B] = H24
    assert not board.irq8.level


@pytest.mark.parametrize("rate", range(16))
def test_the_periodic_rates_are_those_of_the_data_sheet(rate: int) -> None:
    hertz = [0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2][rate]
    board = Board(hz=100_000_000 + 7)
    board[A] = 0x20 | rate
    board[B] = H24 | PIE
    for _ in range(2 * hertz):
        deadline = board.clock.next_deadline
        if deadline > board.clock.frequency_hz:
            break
        board.clock.advance(deadline - board.clock.now)
        board[C]
    rises = [tick for tick, level in board.edges if level]
    assert rises == [-(-n * board.clock.frequency_hz // hertz) for n in range(1, hertz + 1)]


def test_the_periodic_interrupt_goes_on_while_set_stops_the_updates(board: Board) -> None:
    board[B] = H24 | SET | PIE | UIE
    assert board[B] == H24 | SET | PIE, "SET clears UIE"
    board.clock.advance(2 * HZ)
    assert board[C] == IRQF | PF


def test_the_alarm_rings_at_its_time_and_again_a_day_later(board: Board) -> None:
    board[SECOND_ALARM], board[MINUTE_ALARM], board[HOUR_ALARM] = 0x30, 0x15, 0x06
    board[B] = H24 | AIE
    due = (6 * 3600 + 15 * 60 + 30) * HZ
    assert board.clock.next_deadline == due
    board.clock.advance(due)
    assert board.edges == [(due, True)]
    assert board[C] & (IRQF | AF) == IRQF | AF
    board.clock.advance(86400 * HZ - 1)
    assert board[C] & AF == 0
    board.clock.advance(1)
    assert board[C] & AF


def test_dont_care_hours_ring_every_hour(board: Board) -> None:
    board[SECOND_ALARM], board[MINUTE_ALARM], board[HOUR_ALARM] = 0, 0, DO_NOT_CARE
    board[B] = H24 | AIE
    for hour in range(1, 4):
        board.clock.advance(3600 * HZ)
        assert (board[C] & AF, len(board.edges)) == (AF, 2 * hour)


def test_a_changed_time_moves_the_alarm(board: Board) -> None:
    board[SECOND_ALARM], board[MINUTE_ALARM], board[HOUR_ALARM] = 0x00, 0x00, 0x12
    board[B] = H24 | AIE
    board.set_time(datetime(2026, 1, 1, 11, 59, 58))
    board.clock.advance(2 * HZ)
    assert board.edges == [(2 * HZ, True)]


def test_an_alarm_that_no_time_matches_never_rings(board: Board) -> None:
    board[SECOND_ALARM] = 0x7F
    board[B] = H24 | AIE
    assert board.clock.next_deadline == NEVER
    board.clock.advance(2 * 86400 * HZ)
    assert board[C] & AF == 0


@settings(max_examples=50, deadline=None)
@given(
    looks=st.lists(st.integers(0, 3_000_000), max_size=15),
    enables=st.sampled_from([0, PIE, AIE, UIE, PIE | AIE | UIE]),
    rate=st.integers(13, 15),
)
def test_peeking_changes_no_edge_and_no_flag(looks: list[int], enables: int, rate: int) -> None:
    def run(peeks: bool) -> object:
        board, seen = Board(), []
        board[A], board[B] = 0x20 | rate, H24 | enables
        for index in (SECOND_ALARM, MINUTE_ALARM, HOUR_ALARM):
            board[index] = DO_NOT_CARE
        for number, look in enumerate(looks):
            board.clock.advance(look)
            if peeks:
                for index in range(128):
                    board.peek(index)
            if number % 3 == 0:
                seen.append((board[C], board[SECOND]))
        return seen, board.edges

    assert run(peeks=True) == run(peeks=False)


def test_a_look_from_an_event_that_runs_late_does_not_turn_the_clock_back() -> None:
    """A processor runs events at the end of a block: their `now` may lie before its last access to the chip."""

    class Processor:
        now = 0

        def ticks(self) -> int:
            return self.now

        def set_deadline(self, at: int) -> None:
            pass

    board, processor, seen = Board(), Processor(), []
    board.clock.attach(processor)
    board.clock.schedule(HZ - 10, lambda: seen.append((board[C], board[SECOND])))
    processor.now = HZ + 10
    assert board[C] & UF
    board.clock.run_due(HZ + 10)
    assert seen == [(0, 1)]


def test_reset_disables_interrupts_and_keeps_time_and_memory(board: Board) -> None:
    board[0x40] = 0xA5
    board[B] = H24 | UIE | PIE | AIE | SQWE
    board.clock.advance(3 * HZ)
    board.cmos.reset()
    assert not board.irq8.level
    assert [board[B], board[C], board[SECOND], board[0x40]] == [H24, 0, 3, 0xA5]
    assert board.clock.next_deadline == NEVER


# Registers and memory.


def test_the_read_only_bits_cannot_be_written(board: Board) -> None:
    board[A], board[C], board[D] = 0xA6, 0xFF, 0x00
    assert [board[A], board[C], board[D]] == [0x26, 0, 0x80]


def test_the_index_carries_the_nmi_mask_and_reads_as_open_bus(board: Board) -> None:
    board.ports.write(0x70, 1, 0x8D)
    assert (board.cmos.nmi_masked, board.ports.read(0x71, 1)) == (True, 0x80)
    assert board.ports.read(0x70, 1) == 0xFF
    board.ports.write(0x70, 1, 0x0D)
    assert not board.cmos.nmi_masked


def test_the_shutdown_byte_and_the_rest_are_memory(board: Board) -> None:
    assert board[0x0F] == 0
    for index in (0x0F, 0x33, 0x7F):
        board[index] = index ^ 0xFF
    assert [board[index] for index in (0x0F, 0x33, 0x7F)] == [0xF0, 0xCC, 0x80]


@pytest.mark.parametrize(
    ("low", "high", "base_kib", "extended_kib", "above_16m", "above_4g"),
    [
        (512 << 10, 0, 512, 0, 0, 0),
        (4 * MIB, 0, 640, 3072, 0, 0),
        (17 * MIB, 0, 640, 16384, 16, 0),
        (64 * MIB, 0, 640, 64512, 768, 0),
        (65 * MIB, 0, 640, 65535, 784, 0),
        (3 * GIB, 61 * GIB, 640, 65535, 48896, 61 * 16384),
    ],
)
def test_the_memory_sizes_are_where_firmware_looks(
    low: int, high: int, base_kib: int, extended_kib: int, above_16m: int, above_4g: int
) -> None:
    board = Board(low=low, high=high)
    assert [board.number(index) for index in (0x15, 0x17, 0x30, 0x34)] == [
        base_kib,
        extended_kib,
        extended_kib,
        above_16m,
    ]
    assert board.number(0x5B, 3) == above_4g


def test_the_checksum_covers_0x10_to_0x2d_high_byte_first(board: Board) -> None:
    assert board[0x2E] << 8 | board[0x2F] == sum(board[index] for index in range(0x10, 0x2E)) != 0


def test_equipment_and_floppies() -> None:
    clock, line = Clock(), Line()
    bare = Cmos(clock=clock, output=line, ram_below_4g_bytes=MIB, fpu=False, mouse=False)
    assert (bare.memory[0x10], bare.memory[0x14]) == (0, 0)
    full = Cmos(clock=clock, output=line, ram_below_4g_bytes=MIB, floppies=(4, 5))
    assert (full.memory[0x10], full.memory[0x14]) == (0x45, 0x47)


def test_the_boot_order_is_coded_as_qemu_does() -> None:
    assert [Board(boot="cad")[index] for index in (0x3D, 0x38)] == [0x12, 0x30]
    assert [Board(boot="n")[index] for index in (0x3D, 0x38)] == [0x04, 0x00]
    for nonsense in ("x", "cadn"):
        with pytest.raises(OptionError, match=nonsense):
            Board(boot=nonsense)
