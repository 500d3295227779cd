"""The BIOS as the host carries it out: which service answers which interrupt.

>>> from hillemu.emu.guest import FakeGuest
>>> bios = Bios(FakeGuest(1 << 20))
>>> def no_cassette(call: BiosCall) -> None:
...     call.refuse(0x86)
>>> bios.register(0x15, no_cassette, function=0x00)

The stubs of boot/asm/bios.s stand at IBM's addresses and call `host`, which writes to `TELL_PORT`; the return address
on its stack says which stub it was.  A write to that port from elsewhere is a program's own business.

The modules of the standard services are imported at the first call of their vector: most guests call none.
"""

from __future__ import annotations

from collections.abc import Callable

from hillemu.boot.bios.call import BiosCall, MemoryBus
from hillemu.boot.bios.rom import AT, RESET, SEGMENT, SITES, TELL_PORT
from hillemu.emu.guest import Guest
from hillemu.emu.reports import Report, unheard

Service = Callable[[BiosCall], None]

_DISK, _FLOPPY = 0x13, 0x40


class Bios:
    """Answers the guest's BIOS calls.  One to a machine, since it takes `TELL_PORT`.

    `reset()` is called when the guest enters the ROM by its reset vector and has not asked to be resumed: the machine
    is to be restarted.  `bus` is the memory bus, for services that draw where a device answers instead of memory.
    `report` hears of what is asked for and not modelled.
    """

    def __init__(
        self,
        guest: Guest,
        *,
        report: Report = unheard,
        reset: Callable[[], None] = lambda: None,
        bus: MemoryBus | None = None,
    ) -> None:
        self._bus = bus
        self._report = report
        self._reset_machine = reset
        self._registered: dict[tuple[int, int | None], Service] = {}
        self._standard: dict[int, Service] = {}
        guest.on_trap(TELL_PORT, self._told)

    def register(self, vector: int, service: Service, *, function: int | None = None) -> None:
        """Have `service` answer interrupt `vector`, or only its calls with AH = `function`.

        What was registered for the function comes first, then what was for the vector, then the standard services.
        """
        self._registered[vector, function] = service

    def reset(self) -> None:
        """Forget what services remember: the machine starts anew."""
        self._standard.clear()

    def serve(self, call: BiosCall) -> None:
        """Carry out `call`, as a service that passes it on would want."""
        self._service_for(call.vector, call.guest.registers.get("eax") >> 8 & 0xFF)(call)

    def _told(self, guest: Guest, value: int) -> None:
        registers = guest.registers
        if registers.get("eip") != AT["host"] or registers.segment("cs").selector != SEGMENT:
            return
        call = BiosCall(guest, 0, report=self._report, bus=self._bus)
        site = SITES.get(call.way_on)
        if site is None:
            return
        call.vector, call.resumed = site.vector, site.resumed
        if site.resumed:
            call.go_on_at(site.way_on)
        if call.vector == RESET:
            self._reset_machine()
        else:
            self.serve(call)

    def _service_for(self, vector: int, function: int) -> Service:
        registered = self._registered
        service = registered.get((vector, function)) or registered.get((vector, None)) or self._standard.get(vector)
        if service is None:
            service = self._standard[vector] = self._make(vector)
        return service

    def _make(self, vector: int) -> Service:
        """The standard service of `vector`; its state, if any, lives until `reset`."""
        if vector == _FLOPPY and (_DISK, None) in self._registered:
            return self._registered[_DISK, None]
        return standard_service(vector) or _not_modelled


def standard_service(vector: int) -> Service | None:
    """What answers `vector` in a machine where nothing is registered for it; `None` if that needs devices."""
    match vector:
        case 0x09:
            from hillemu.boot.bios.keyboard import keyboard_interrupt

            return keyboard_interrupt
        case 0x10:
            from hillemu.boot.bios.video import video

            return video
        case 0x14:
            from hillemu.boot.bios.serial import SerialServices

            return SerialServices()
        case 0x15:
            from hillemu.boot.bios.system import SystemServices

            return SystemServices()
        case 0x16:
            from hillemu.boot.bios.key_input import key_input

            return key_input
        case 0x17:
            from hillemu.boot.bios.small_services import printer

            return printer
        case 0x18:
            from hillemu.boot.bios.small_services import nothing_to_boot

            return nothing_to_boot
        case 0x19:
            from hillemu.boot.bios.small_services import bootstrap

            return bootstrap
        case 0x1A:
            from hillemu.boot.bios.time_of_day import time_of_day

            return time_of_day
        case 0x70:
            from hillemu.boot.bios.clock_chip import clock_interrupt

            return clock_interrupt
        case 0x74:
            from hillemu.boot.bios.pointing import mouse_interrupt

            return mouse_interrupt
    return None


def _not_modelled(call: BiosCall) -> None:
    call.refuse()
