"""The hosted kernel: an image in guest memory whose memory management, processes and system calls are Python.

The image traps by writing to `TRAP_PORT`, having put a frame's address into ``trap_frame``; `Kernel.trap` does the
work, in no virtual time, and the image returns by the frame that ``trap_frame`` names then.  Between traps, and between
runs of the machine, the same objects can be used from Python: ``kernel.kmalloc(8192)``, ``kernel.memory.pmm.alloc(3)``,
``kernel.check()``.

::

    boot code (boot/asm/kernel.s)          Python
    ------------------------------         ----------------------------------------------------------
    paging, GDT, IDT, TSS
    kernel_begin(magic, information)  ->   console, command line, memory map; wants PAE?  wants tests?
    (switches to PAE)
    kernel_start()                    ->   allocators, the kernel half of virtual memory
    kmalloc_tests                     ->   kmalloc, kfree, printk
    start_programs()                  ->   programs from the boot modules; the timer
    idle: sti, hlt                    <-   when nobody can run; power off when nobody is left
"""

from __future__ import annotations

from hillemu.boot.handoff import Handoff
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr, VirtAddr, page_up
from hillemu.kernel.boot_information import LOADER_MAGIC, BootInformation, read_boot_information
from hillemu.kernel.console import Console
from hillemu.kernel.errors import InvalidParameters, KernelFault
from hillemu.kernel.faults import Faults
from hillemu.kernel.kernel_calls import KernelCalls
from hillemu.kernel.layout import KERNEL_BASE, REACH_FRAMES_32BIT, REACH_FRAMES_PAE
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.boot_memory import Reserved
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.kmalloc_report import leak_lines, print_stats
from hillemu.kernel.mm.memory_map import MemoryRegion, read_memory_map
from hillemu.kernel.options import CommandLine, KernelOptions
from hillemu.kernel.power import FAILED, power_off, stop_with
from hillemu.kernel.timer import end_of_interrupt, set_up_interrupts
from hillemu.kernel.trap_frame import FIRST_IRQ, KERNEL_CALL, VECTOR

START_PAE, START_TESTS = 1, 2
"""What kernel_begin asks of the boot code."""
_IRQS = 16


class Kernel:
    """The kernel whose image `handoff` describes, on `guest`.  One for each boot of the machine.

    Whoever makes it has the machine call `trap` for writes to `TRAP_PORT`.
    """

    memory: KernelMemory
    """All of memory management; there from `start` on."""

    def __init__(self, guest: Guest, handoff: Handoff, options: KernelOptions = KernelOptions()) -> None:  # noqa: B008 - a tuple
        self.guest, self.handoff, self.options = guest, handoff, options
        self.symbols = handoff.symbols
        self.symbolise = handoff.symbolise
        self.direct = DirectMap(guest.memory)
        self.words = self.direct.u32
        self.command_line = CommandLine()
        self.information = BootInformation("", (), ())
        self.reports: list[str] = []
        """Everything that went wrong, as it was printed."""
        self._regions: tuple[MemoryRegion, ...] = ()
        self._words_end = self.direct.end >> 2
        self._trap_frame = self.word_of("trap_frame")
        self.console = Console(guest)
        self.faults = Faults(self)
        self.calls = KernelCalls(self)
        self._vectors = [self.faults.exception] * 256
        self._vectors[KERNEL_CALL] = self.calls
        for irq in range(_IRQS):
            self._vectors[FIRST_IRQ + irq] = self._interrupt

    # ---- traps ------------------------------------------------------------------------------------------------------

    def trap(self, guest: Guest, value: int) -> None:
        """Handle the trap whose frame ``trap_frame`` names; `guest` is this kernel's, `value` says nothing."""
        at = self.words[self._trap_frame]
        frame = (at - KERNEL_BASE) >> 2
        if not 0 <= frame < self._words_end:
            self.panic(f"a trap's frame at 0x{at:08X} is not in the direct map")
            return
        try:
            self._vectors[self.words[frame + VECTOR]](frame)
        except KernelFault as fault:
            self.report(str(fault))
            self.panic(f"the kernel cannot go on: {fault}")

    def _interrupt(self, frame: int) -> None:
        end_of_interrupt(self.guest, self.words[frame + VECTOR] - FIRST_IRQ)

    # ---- the life of the kernel -------------------------------------------------------------------------------------

    def begin(self, magic: int, info: PhysAddr) -> int:
        """Look around; what the boot code is to do: `START_PAE`, `START_TESTS`."""
        self.log("hillson: a kernel whose memory management is Python")
        if magic != LOADER_MAGIC:
            raise InvalidParameters(f"no multiboot loader: EAX is {magic:#x}")
        self.information = read_boot_information(self.guest.memory, info)
        self.command_line = line = CommandLine.parse(self.information.arguments)
        for word in line.unknown:
            self.report(f"command line: {word!r} is not known")
        self._regions = read_memory_map(self.guest.memory, info, self.log, self.report)
        if line.pae and not self._word("cpu_features") & 1 << 6:
            self.report("command line: paging=pae, but this processor has no PAE")
            self.command_line = line = line._replace(pae=False)
        return START_PAE * line.pae | START_TESTS * line.tests

    def start(self) -> None:
        """Take over memory."""
        image = Reserved(self.handoff.base, PhysAddr(page_up(self.handoff.end)), "kernel image")
        self.memory = KernelMemory.build(
            self.guest.memory,
            self._regions,
            (image, *self.information.reserved),
            allocator=self.options.frame_allocator,
            reach_frames=REACH_FRAMES_PAE if self.command_line.pae else REACH_FRAMES_32BIT,
            debug=self.options.debug,
            report=self.report,
            log=self.log,
            symbolise=self.symbolise,
            log_kmalloc=self.command_line.tests,
        )
        self._log_zones()
        set_up_interrupts(self.guest)
        self.options.on_boot(self)

    def start_programs(self, frame: int) -> None:
        """Run what the loader has brought."""
        self.memory.kmalloc.log = None
        self.finish()

    def finish(self) -> None:
        """Say how things stand, and switch the machine off."""
        pmm = self.memory.pmm
        self.log(f"kernel: {pmm.free_frames} of {pmm.managed_frames} pages free")
        for line in leak_lines(self.memory.kmalloc.table, self.symbolise):
            self.log(line)
        if self.options.check:
            found = self.check()
            for sentence in found:
                self.report(f"check: {sentence}")
            self.log(f"check: {f'{len(found)} contradictions' if found else 'all is well'}")
            if found:
                stop_with(self.guest, FAILED)
                return
        self.log("kernel: power off")
        power_off(self.guest)

    def panic(self, why: str) -> None:
        """The kernel itself cannot go on: say so, and stop the machine with the exit code of a failure."""
        self.report(f"kernel panic: {why}")
        stop_with(self.guest, FAILED)

    # ---- for everybody ----------------------------------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Print a line on the kernel's console."""
        self.console.line(text)

    def report(self, text: str) -> None:
        """Print a line about something that went wrong, and remember it."""
        self.reports.append(text)
        self.console.line(text)

    def kmalloc(self, size: int) -> VirtAddr:
        """As the guest's `kmalloc`; 0 if there is no memory."""
        return self.memory.kmalloc.kmalloc(size)

    def kfree(self, at: VirtAddr) -> bool:
        """As the guest's `kfree`; whether anything was freed."""
        return self.memory.kmalloc.kfree(at)

    def kmalloc_print_stats(self) -> None:
        """Print kmalloc's statistics on the console."""
        print_stats(self.memory.kmalloc.table, self.log)

    def check(self) -> list[str]:
        """Contradictions anywhere in the kernel's structures, as sentences; none if all is well."""
        return self.memory.check()

    def _word(self, symbol: str) -> int:
        return self.words[self.word_of(symbol)]

    def word_of(self, symbol: str) -> int:
        """Where the image's variable `symbol` lies: its index in `words`."""
        return self.symbols[symbol] - KERNEL_BASE >> 2

    def _log_zones(self) -> None:
        for zone in self.memory.pmm.zones:
            self.log(
                f"mm_init: zone {zone.name}: pages {zone.first}-{zone.end - 1}, "
                f"{zone.managed_frames} managed ({zone.managed_frames >> 8} MB)"
            )
