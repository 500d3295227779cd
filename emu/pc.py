"""The breadboard: makes the chips of an AT-class PC and wires them.  Nothing clever.

==================  ==========================================================
interrupts          8259A x 2, local APIC, I/O APIC (`hillemu.emu.board.interrupts`)
8254, HPET          ports 40h-43h and FED00000h; IRQ 0; counter 2 gated by port 61h
8042                ports 60h, 64h; keyboard on IRQ 1, mouse on IRQ 12
MC146818            ports 70h, 71h; IRQ 8
16550A x 2          COM1 3F8h IRQ 4, COM2 2F8h IRQ 3
VGA                 ports 3B0h-3DFh, 1CEh-1D0h; its memory from A0000h and at PCI's base address
disks               ATA, floppy, DMA (`hillemu.emu.board.storage`)
PCI                 440FX, PIIX3, PIIX4, VGA (`hillemu.emu.board.pci_slots`)
port 92h, CF9h      A20 gate and reset
debug console       port E9h; SeaBIOS's 402h where the user wants it
isa-debug-exit      ports F4h-F7h
POST card           port 80h
fw_cfg, pc-testdev  ports 510h, E0h and others, where the user wants them
==================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from hillemu.emu.board.interrupts import Interrupts
from hillemu.emu.board.pci_slots import PciSlots
from hillemu.emu.board.storage import Floppy, Slot, Storage
from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.cpu.core import PHYSICAL_SPACE_END, Processor
from hillemu.emu.cpu.models import APIC, CpuModel
from hillemu.emu.devices.clocks.cmos import Cmos
from hillemu.emu.devices.clocks.cmos_layout import put_drives
from hillemu.emu.devices.clocks.hpet import Hpet
from hillemu.emu.devices.clocks.pit import Pit
from hillemu.emu.devices.clocks.speaker import SystemControlB
from hillemu.emu.devices.debugcon import Debugcon
from hillemu.emu.devices.exit import DebugExit
from hillemu.emu.devices.input.keyboard import Keyboard
from hillemu.emu.devices.input.mouse import Mouse
from hillemu.emu.devices.input.ps2 import Ps2
from hillemu.emu.devices.post import PostCard
from hillemu.emu.devices.reset import Port92, ResetControl
from hillemu.emu.devices.serial_log import SerialLog
from hillemu.emu.devices.uart import COM1, COM2, PORT_COUNT, Uart
from hillemu.emu.devices.video.stdvga import StdVga
from hillemu.emu.devices.video.text_screen import TextScreen
from hillemu.emu.devices.video.vga_window import WINDOW_BASE, WINDOW_BYTES
from hillemu.emu.guest import Trap
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.emu.memory import FOUR_GIB, PhysicalMemory, low_ram_bytes
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line

if TYPE_CHECKING:
    from hillemu.emu.devices.fw_cfg import FwCfg
    from hillemu.emu.timing.model import TimingModel

SHUTDOWN_STATUS, RESUMING = 0x0F, frozenset((0x05, 0x09, 0x0A))
IA32_APIC_BASE = 0x1B
HPET_BASE, HPET_BYTES = 0xFED00000, 0x400
DEBUG_CONSOLE, SEABIOS_CONSOLE = 0xE9, 0x402
ROM_BASE, ROM_BYTES = 0xC0000, 0x40000


class Chip(Protocol):
    """What all chips can do."""

    def reset(self) -> None: ...


class Pc:
    """A powered-on machine, its processor in the reset state.  Fulfils `hillemu.emu.guest.Guest`.

    `on_exit(code)` runs when the guest writes to isa-debug-exit, `on_reset()` when it asks for a reset,
    `on_power_off()` when it switches the machine off; each may stop the processor, which then leaves right behind the
    instruction.
    `report(message)` hears once of each thing that the guest uses and that is not modelled.
    """

    def __init__(
        self,
        *,
        size_bytes: int,
        model: CpuModel,
        rtc_base: datetime,
        on_exit: Callable[[int], None],
        on_reset: Callable[[], None],
        on_power_off: Callable[[], None],
        report: Report,
        timing: TimingModel | None = None,
    ) -> None:
        self.model = model
        self._on_reset = on_reset
        self.memory = PhysicalMemory(size_bytes)
        self.ports = Bus("port", 0x10000)
        self.mmio = Bus("memory", PHYSICAL_SPACE_END, count_unit=PAGE_SIZE)
        self.clock = Clock(timing.core_mhz * 1_000_000) if timing else Clock()
        self.interrupts = Interrupts(
            clock=self.clock,
            ports=self.ports,
            mmio=self.mmio,
            nmi=lambda: self.processor.pull_nmi(),
            init=lambda: self.processor.reset_soon(),
            has_local_apic=bool(model.edx & APIC),
            report=report,
        )
        self.pics, self.lapic = self.interrupts.pics, self.interrupts.lapic
        self.processor = Processor(
            model=model,
            memory=self.memory,
            ports=self.ports,
            mmio=self.mmio,
            clock=self.clock,
            acknowledge=self.lapic.acknowledge,
        )
        self.cycles = self.processor.count_cycles(timing) if timing else None
        self.registers = self.processor
        self.interrupts.intr.on_change = self.processor.set_interrupt_line
        self.interrupts.show_id_by(self.processor.still_word())
        if self.interrupts.has_local_apic:
            self.processor.device_msrs[IA32_APIC_BASE] = (self.lapic.base_msr, self._write_apic_base)

        clock, irq, a20 = self.clock, self.interrupts.irq, self.processor.set_a20
        self.hpet = Hpet(clock=clock, pin=self.interrupts.ioapic.line, irq0=irq(0), irq8=irq(8), report=report)
        self.pit = Pit(clock=clock, output=self.hpet.pit, report=report)
        self.speaker = SystemControlB(clock=clock, gate2=self.pit.gate2, output2=lambda: self.pit.output_of(2))
        self.keyboard = Keyboard(clock=clock, report=report)
        self.mouse = Mouse()
        self.ps2 = Ps2(
            clock=clock,
            keyboard=self.keyboard,
            mouse=self.mouse,
            output=irq(1),
            aux_output=irq(12),
            reset=self._reset_processor,
            a20=a20,
            report=report,
        )
        low_bytes = low_ram_bytes(size_bytes)
        self.cmos = Cmos(
            clock=clock,
            output=Line(self._rtc_interrupts),
            ram_below_4g_bytes=low_bytes,
            ram_above_4g_bytes=size_bytes - low_bytes,
            base=rtc_base,
        )
        self.serial_log, self.serial2_log, self.debug_log = SerialLog(), SerialLog(), SerialLog()
        self.serial = Uart(output=irq(4), sink=self.serial_log.put, clock=clock, report=report)
        self.serial2 = Uart(output=irq(3), sink=self.serial2_log.put, clock=clock, report=report)
        self.card = StdVga(
            clock=clock,
            video_ram=self.memory.video_ram,
            memory=_WindowRam(self.memory),
            on_window=lambda base, to_devices, bank_at: self.memory.give_window(
                base, to_devices=to_devices, bank_at=bank_at
            ),
            report=report,
        )
        self.vga = self.card.vga
        self.screen = TextScreen(self.vga, self.card.window.text_at)
        self.post = PostCard()
        self.port92 = Port92(reset=self._reset_processor, a20=a20)
        self.reset_control = ResetControl(hard=on_reset, soft=self._reset_processor)
        self.storage = Storage(
            clock=clock,
            ports=self.ports,
            memory=self.memory,
            irq=irq,
            data_window=self.processor.data_window,
            report=report,
        )
        self.pci = PciSlots(
            clock=clock,
            ports=self.ports,
            mmio=self.mmio,
            memory=self.memory,
            irq=irq,
            bus_master=self.storage.bus_master,
            card=self.card,
            reset_control=self.reset_control,
            on_power_off=on_power_off,
            report=report,
        )
        self._extra: list[Chip] = []
        self._attach(on_exit)

    def _rtc_interrupts(self, level: bool) -> None:
        """IRQ 8 goes by way of the HPET, which may take its place; power management sees it in any case."""
        self.hpet.rtc.set(level)
        self.pci.pm.acpi.rtc.set(level)

    def _attach(self, on_exit: Callable[[int], None]) -> None:
        attach = self.ports.attach
        attach(0x40, 4, self.pit)
        attach(0x61, 1, self.speaker)
        for base, count, window in self.ps2.windows():
            attach(base, count, window, name="8042")
        attach(0x70, 2, self.cmos)
        attach(0x80, 1, self.post)
        attach(0x92, 1, self.port92)
        attach(DEBUG_CONSOLE, 1, Debugcon(sink=self.debug_log.put))
        attach(0xF4, 4, DebugExit(on_exit=on_exit), width=4)
        attach(COM1, PORT_COUNT, self.serial, name="COM1")
        attach(COM2, PORT_COUNT, self.serial2, name="COM2")
        for base, count, device, width in self.card.ports():
            attach(base, count, device, name="VGA", width=width)
        self.mmio.attach(WINDOW_BASE, WINDOW_BYTES, self.card.window, name="VGA window", width=4)
        self.mmio.attach(ROM_BASE, ROM_BYTES, _WriteOnlyShadow(self.memory), name="shadow RAM", width=4)
        self.mmio.attach(HPET_BASE, HPET_BYTES, self.hpet, name="HPET", width=4)

    @property
    def is_resumed_by_firmware(self) -> bool:
        """Whether the guest has asked firmware, by the shutdown status, to go on where it says after a reset.

        So programs of the 80286's time come back from protected mode.
        """
        return self.cmos.memory[SHUTDOWN_STATUS] in RESUMING

    def _reset_processor(self) -> None:
        if self.is_resumed_by_firmware:
            self.processor.reset_soon()
        else:
            self._on_reset()

    def insert(self, floppies: Sequence[Floppy], slots: Sequence[Slot | None], boot_order: str) -> None:
        """Plug in the drives while the machine is off; raises `ImageError` for a floppy that no drive reads."""
        self.storage.insert([floppy.medium for floppy in floppies], slots)
        disks = [slot.disk if slot else None for slot in slots]
        put_drives(self.cmos.memory, boot_order=boot_order, floppies=[one.drive_type for one in floppies], disks=disks)

    def _write_apic_base(self, value: int) -> bool:
        taken = self.lapic.set_base_msr(value)
        self.processor.set_cpuid_feature(APIC, self.lapic.base is not None)
        return taken

    def add_fw_cfg(self) -> FwCfg:
        """Plug in QEMU's fw_cfg with a PC's items; more can be added to what is returned."""
        from hillemu.emu.devices.fw_cfg import FwCfg, pc_items

        box = FwCfg(
            read_memory=lambda at, count: self.memory.read(PhysAddr(at), count),
            write_memory=lambda at, data: self.memory.write(PhysAddr(at), data),
        )
        self.ports.attach(0x510, 2, box, name="fw_cfg", width=2)
        self.ports.attach(0x514, 8, box.dma, name="fw_cfg DMA", width=4)
        low, high = self.memory.low_end, self.memory.size_bytes - self.memory.low_end
        e820 = ((0, low, 1), *(((FOUR_GIB, high, 1),) if high else ()))
        pc_items(box, ram_bytes=self.memory.size_bytes, e820=e820)
        self._extra.append(box)
        return box

    def add_testdev(self) -> None:
        """Plug in QEMU's pc-testdev.  It answers port E9h, too, so the debug console goes."""
        from hillemu.emu.devices.testdev import MMIO_BASE, MMIO_BYTES, PcTestdev

        self.ports.detach(DEBUG_CONSOLE)
        card = PcTestdev(irq=self.interrupts.irq)
        for base, count, device, width in card.windows():
            self.ports.attach(base, count, device, name="pc-testdev", width=width)
        self.mmio.attach(MMIO_BASE, MMIO_BYTES, card.memory, name="pc-testdev", width=4)
        self._extra.append(card)

    def add_debugcon(self) -> None:
        """Have the debug console answer at the port that SeaBIOS writes to, too."""
        self.ports.attach(SEABIOS_CONSOLE, 1, Debugcon(sink=self.debug_log.put), name="SeaBIOS's debug console")

    def reset(self) -> None:
        """Pull every chip's RESET pin.  RAM keeps its content; devices plugged into the 8042 are powered anew."""
        chips: tuple[Chip, ...] = (
            self.interrupts,
            self.pit,
            self.hpet,
            self.speaker,
            self.keyboard,
            self.mouse,
            self.ps2,
            self.cmos,
            self.serial,
            self.serial2,
            self.card,
            self.post,
            self.port92,
            self.reset_control,
            self.storage,
            self.pci,
            *self._extra,
            self.processor,
        )
        for chip in chips:
            chip.reset()

    # ---- Guest --------------------------------------------------------------------------------------------------

    def flush_tlb(self) -> None:
        """Forget all cached translations."""
        self.processor.flush_tlb()

    def on_trap(self, port: int, handler: Trap) -> None:
        """Call `handler(self, value)` when the guest writes to I/O port `port`."""
        if self.cycles:
            self.cycles.answer_at_once(port)
        self.ports.attach(port, 1, _TrapPort(self, handler), name=f"trap {port:#x}", width=4)

    def read_port(self, port: int, size: int = 1) -> int:
        """What IN would read."""
        return self.ports.read(port, size)

    def write_port(self, port: int, value: int, size: int = 1) -> None:
        """Do what OUT does."""
        self.ports.write(port, size, value)

    @property
    def now_ns(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self.clock.now_ns


class _WindowRam:
    """The plain memory of the video window, whoever answers there now."""

    def __init__(self, memory: PhysicalMemory) -> None:
        self._memory = memory

    def read(self, at: int, count: int) -> bytes:
        return bytes(self._memory.ram[at : at + count])

    def write(self, at: int, data: bytes) -> None:
        self._memory.ram[at : at + len(data)] = data


class _WriteOnlyShadow:
    """ROM that is read while writes reach the RAM behind it, as firmware copies itself."""

    def __init__(self, memory: PhysicalMemory) -> None:
        self._memory = memory

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self._memory.read_rom_segment(ROM_BASE + offset, size), "little")

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        self._memory.write_shadow(ROM_BASE + offset, value.to_bytes(size, "little"))


class _TrapPort:
    """A port whose writes are calls."""

    def __init__(self, pc: Pc, handler: Trap) -> None:
        self._pc = pc
        self._handler = handler

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self._handler(self._pc, value)


FIRMWARE_WRITES = (
    # 8254: counter 0 divides by 65536 (18.2 Hz).  Before the 8259A, whose ICW1 forgets the edge that this makes.
    (0x43, 0x34), (0x40, 0x00), (0x40, 0x00),
    # 8259A: vectors 08h and 70h, cascade on IRQ 2; timer, keyboard, cascade, clock and mouse unmasked
    (0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0xA0, 0x11), (0xA1, 0x70), (0xA1, 0x02), (0xA1, 0x01),
    (0x21, 0xB8), (0xA1, 0x8E),
)  # fmt: skip
"""Port writes that leave the chips as a PC's firmware does (SeaBIOS 1.16: pic.c, timer.c)."""


def run_firmware(pc: Pc) -> None:
    """Leave the chips as firmware would before it starts an image."""
    for port, value in FIRMWARE_WRITES:
        pc.ports.write(port, 1, value)
    if pc.storage.floppy is not None:
        pc.storage.floppy.start()
    pc.lapic.set_up_virtual_wire()
