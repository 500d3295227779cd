"""The breadboard: makes the chips of an AT-class PC and wires them.  Nothing clever.

==================  ==========================================================
8259A x 2           ports 20h, A0h; ELCR 4D0h; drives the processor's INTR
8254                ports 40h-43h; IRQ 0; counter 2 gated by port 61h
8042                ports 60h, 64h; keyboard on IRQ 1, mouse on IRQ 12
MC146818            ports 70h, 71h; IRQ 8
16550A x 2          COM1 3F8h IRQ 4, COM2 2F8h IRQ 3
VGA                 ports 3B0h-3DFh; its text memory is plain RAM at B8000h
port 92h, CF9h      A20 gate and reset
debug console       port E9h
isa-debug-exit      ports F4h-F7h
POST card           port 80h
==================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from hillemu.emu.bus import Bus
from hillemu.emu.clock import Clock
from hillemu.emu.cpu.core import PHYSICAL_SPACE_END, Processor
from hillemu.emu.cpu.models import CpuModel
from hillemu.emu.devices.cmos import Cmos
from hillemu.emu.devices.debugcon import Debugcon
from hillemu.emu.devices.exit import DebugExit
from hillemu.emu.devices.keyboard import Keyboard
from hillemu.emu.devices.mouse import Mouse
from hillemu.emu.devices.pic import PicPair
from hillemu.emu.devices.pit import Pit
from hillemu.emu.devices.post import PostCard
from hillemu.emu.devices.ps2 import Ps2
from hillemu.emu.devices.reset import Port92, ResetControl
from hillemu.emu.devices.serial_log import SerialLog
from hillemu.emu.devices.speaker import SystemControlB
from hillemu.emu.devices.text_screen import TextScreen
from hillemu.emu.devices.uart import COM1, COM2, PORT_COUNT, Uart
from hillemu.emu.devices.vga import Vga
from hillemu.emu.guest import Trap
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.emu.memory import PhysicalMemory, low_ram_bytes
from hillemu.emu.reports import Report
from hillemu.emu.wires import Line


class Pc:
    """A powered-on machine, its processor in the reset state.  Fulfils `hillemu.emu.guest.Guest`.

    `on_exit(code)` runs when the guest writes to isa-debug-exit, `on_reset()` when it asks for a reset; both may stop
    the processor, which then leaves right behind the instruction.  `report(message)` hears once of each thing that
    the guest uses and that is not modelled.
    """

    def __init__(
        self,
        *,
        size_bytes: int,
        model: CpuModel,
        rtc_base: datetime,
        on_exit: Callable[[int], None],
        on_reset: Callable[[], None],
        report: Report,
    ) -> None:
        self.memory = PhysicalMemory(size_bytes)
        self.ports = Bus("port", 0x10000)
        self.mmio = Bus("memory", PHYSICAL_SPACE_END, count_unit=PAGE_SIZE)
        self.clock = Clock()
        self.pics = PicPair(Line(), report=report)
        self.processor = Processor(
            model=model,
            memory=self.memory,
            ports=self.ports,
            mmio=self.mmio,
            clock=self.clock,
            acknowledge=self.pics.acknowledge,
        )
        self.registers = self.processor
        self.pics.intr.on_change = self.processor.set_interrupt_line

        clock, irq, a20 = self.clock, self.pics.line, self.processor.set_a20
        self.pit = Pit(clock=clock, output=irq(0), report=report)
        self.speaker = SystemControlB(clock=clock, gate2=self.pit.gate2, output2=lambda: self.pit.output_of(2))
        self.keyboard = Keyboard(clock=clock, report=report)
        self.mouse = Mouse()
        self.ps2 = Ps2(
            clock=clock,
            keyboard=self.keyboard,
            mouse=self.mouse,
            output=irq(1),
            aux_output=irq(12),
            reset=on_reset,
            a20=a20,
            report=report,
        )
        low_bytes = low_ram_bytes(size_bytes)
        self.cmos = Cmos(
            clock=clock,
            output=irq(8),
            ram_below_4g_bytes=low_bytes,
            ram_above_4g_bytes=size_bytes - low_bytes,
            base=rtc_base,
        )
        self.serial_log, self.serial2_log, self.debug_log = SerialLog(), SerialLog(), SerialLog()
        self.serial = Uart(output=irq(4), sink=self.serial_log.put, clock=clock)
        self.serial2 = Uart(output=irq(3), sink=self.serial2_log.put, clock=clock)
        self.vga = Vga(clock=clock, report=report)
        self.screen = TextScreen(self.vga, lambda at, count: self.memory.read(PhysAddr(at), count))
        self.post = PostCard()
        self.port92 = Port92(reset=on_reset, a20=a20)
        self.reset_control = ResetControl(hard=on_reset, soft=on_reset)
        self._attach(on_exit)

    def _attach(self, on_exit: Callable[[int], None]) -> None:
        attach = self.ports.attach
        attach(0x20, 2, self.pics.master, name="8259A master")
        attach(0xA0, 2, self.pics.slave, name="8259A slave")
        attach(0x4D0, 1, self.pics.master.elcr, name="ELCR master")
        attach(0x4D1, 1, self.pics.slave.elcr, name="ELCR slave")
        attach(0x40, 4, self.pit)
        attach(0x61, 1, self.speaker)
        for base, count, window in self.ps2.windows():
            attach(base, count, window, name="8042")
        attach(0x70, 2, self.cmos)
        attach(0x80, 1, self.post)
        attach(0x92, 1, self.port92)
        attach(0xE9, 1, Debugcon(sink=self.debug_log.put))
        attach(0xF4, 4, DebugExit(on_exit=on_exit), width=4)
        attach(COM1, PORT_COUNT, self.serial, name="COM1")
        attach(COM2, PORT_COUNT, self.serial2, name="COM2")
        for base, count, window in self.vga.windows():
            attach(base, count, window, name="VGA")
        attach(0xCF9, 1, self.reset_control)

    def reset(self) -> None:
        """Pull every chip's RESET pin.  RAM keeps its content; devices plugged into the 8042 are powered anew."""
        for chip in (
            self.pics,
            self.pit,
            self.speaker,
            self.keyboard,
            self.mouse,
            self.ps2,
            self.cmos,
            self.serial,
            self.serial2,
            self.vga,
            self.post,
            self.port92,
            self.reset_control,
            self.processor,
        ):
            chip.reset()

    # ---- Guest --------------------------------------------------------------------------------------------------

    def flush_tlb(self) -> None:
        """Forget all cached translations."""
        self.processor.flush_tlb()

    def on_trap(self, port: int, handler: Trap) -> None:
        """Call `handler(self, value)` when the guest writes to I/O port `port`."""
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
