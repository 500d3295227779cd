"""The dispatcher: the stub's return address says which service is called."""

from __future__ import annotations

import pytest

from hillemu.boot.bios.call import BiosCall, fake_call
from hillemu.boot.bios.dispatcher import Bios
from hillemu.boot.bios.rom import AT, RESET, SEGMENT, SITES, TELL_PORT
from hillemu.emu.guest import FakeGuest


class Bench:
    """A guest with a BIOS that keeps every report and reset."""

    def __init__(self) -> None:
        self.guest = FakeGuest(1 << 20)
        self.told: list[str] = []
        self.resets = 0
        self.bios = Bios(self.guest, report=self.told.append, reset=self._reset)

    def _reset(self) -> None:
        self.resets += 1

    def arrive(self, site: int, *, cs: int = SEGMENT, eip: int = AT["host"], **registers: int) -> BiosCall:
        """Hand over to the host as a stub does whose CALL returns to `site`."""
        call = fake_call(0, self.guest, cs=cs, eip=eip, **registers)
        call.go_on_at(site)
        self.guest.out(TELL_PORT, 0)
        return call


def site_of(vector: int, *, resumed: bool = False) -> int:
    (site,) = (at for at, site in SITES.items() if (site.vector, site.resumed) == (vector, resumed))
    return site


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_each_stub_reaches_the_service_of_its_vector(bench: Bench) -> None:
    seen: list[tuple[int, bool]] = []
    vectors = {site.vector for site in SITES.values()} - {RESET}
    for vector in vectors:
        bench.bios.register(vector, lambda call: seen.append((call.vector, call.resumed)))
    for at in SITES:
        bench.arrive(at)
    assert sorted(seen) == sorted((site.vector, site.resumed) for site in SITES.values() if site.vector != RESET)


def test_a_service_of_one_function_comes_before_the_vectors(bench: Bench) -> None:
    seen = []
    bench.bios.register(0x15, lambda call: seen.append("any"))
    bench.bios.register(0x15, lambda call: seen.append("apm"), function=0x53)
    bench.arrive(site_of(0x15), eax=0x5300)
    bench.arrive(site_of(0x15), eax=0xE820)
    assert seen == ["apm", "any"]


def test_a_service_that_waits_is_called_again_and_then_returns_by_iret(bench: Bench) -> None:
    def three_times(call: BiosCall) -> None:
        call.cx -= 1
        if call.cx:
            call.wait()

    bench.bios.register(0x16, three_times)
    iret = site_of(0x16)
    call = bench.arrive(iret, ecx=3)
    assert call.way_on == iret + 5
    call = bench.arrive(site_of(0x16, resumed=True), ecx=call.ecx)
    assert call.way_on == iret + 5
    call = bench.arrive(site_of(0x16, resumed=True), ecx=call.ecx)
    assert call.way_on == iret


def test_without_a_service_the_call_fails_and_is_told(bench: Bench) -> None:
    call = bench.arrive(site_of(0x13), eax=0x0201)
    assert call.carry
    (message,) = bench.told
    assert "INT 13h with AX=0201h" in message


def test_int_40h_is_served_as_int_13h(bench: Bench) -> None:
    seen: list[int] = []
    bench.bios.register(0x13, lambda call: seen.append(call.vector))
    bench.arrive(site_of(0x40))
    assert seen == [0x40]


def test_a_reset_restarts_the_machine(bench: Bench) -> None:
    bench.arrive(site_of(RESET))
    assert bench.resets == 1


@pytest.mark.parametrize(("cs", "eip"), [(0x8, AT["host"]), (SEGMENT, AT["host"] + 2)])
def test_a_program_that_uses_the_port_itself_is_not_mistaken_for_a_call(bench: Bench, cs: int, eip: int) -> None:
    bench.arrive(site_of(0x13), cs=cs, eip=eip)
    assert bench.told == []


def test_a_call_of_the_hosts_entry_from_elsewhere_is_ignored(bench: Bench) -> None:
    bench.arrive(0x1234)
    assert bench.told == []
