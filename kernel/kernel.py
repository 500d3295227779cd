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

from collections.abc import Callable

from hillemu.boot.handoff import Handoff
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PAGE_MASK, PhysAddr, VirtAddr, page_up
from hillemu.emu.i386.vectors import NM, PF
from hillemu.kernel.boot_information import LOADER_MAGIC, BootInformation, read_boot_information
from hillemu.kernel.console import Console
from hillemu.kernel.errno import Errno
from hillemu.kernel.errors import InvalidParameters, KernelFault
from hillemu.kernel.faults import Faults
from hillemu.kernel.fpu import Fpu
from hillemu.kernel.kernel_base import KernelBase
from hillemu.kernel.kernel_calls import KernelCalls
from hillemu.kernel.kernel_stacks import KernelStacks
from hillemu.kernel.layout import KERNEL_BASE, REACH_FRAMES_32BIT, REACH_FRAMES_PAE
from hillemu.kernel.mm.assembly import KernelMemory
from hillemu.kernel.mm.boot_memory import Reserved
from hillemu.kernel.mm.direct_map import DirectMap
from hillemu.kernel.mm.kernel_space import KernelSpace
from hillemu.kernel.mm.kmalloc_report import print_stats
from hillemu.kernel.mm.memory_map import MemoryRegion, read_memory_map
from hillemu.kernel.mm.statistics import buddyinfo, meminfo, slabinfo, vmstat
from hillemu.kernel.mm.swap import HostSwap
from hillemu.kernel.mm.virtual_memory import VirtualMemory
from hillemu.kernel.options import CommandLine, KernelOptions
from hillemu.kernel.process import Process
from hillemu.kernel.process_table import exit_status
from hillemu.kernel.processes import Processes
from hillemu.kernel.program_file import looks_like_program
from hillemu.kernel.scheduler import Scheduler
from hillemu.kernel.summary import summary_lines
from hillemu.kernel.system_calls import SystemCalls
from hillemu.kernel.timer import TIMER, end_of_interrupt, set_up_interrupts, start_timer
from hillemu.kernel.trap_frame import CS, FIRST_IRQ, KERNEL_CALL, SYSTEM_CALL, VECTOR

START_PAE, START_TESTS = 1, 2
"""What kernel_begin asks of the boot code."""
CPUID_PSE, CPUID_PAE, CPUID_NX = 1 << 3, 1 << 6, 1 << 20
_IRQS = 16


class Kernel(KernelBase):
    """The kernel of profile `hillson`."""

    BASE = KERNEL_BASE
    BEGINS = "mm_init"

    memory: KernelMemory
    """What manages memory without knowing of programs; there from `start` on, as all of these."""
    space: KernelSpace
    vm: VirtualMemory
    stacks: KernelStacks
    fpu: Fpu
    scheduler: Scheduler
    processes: Processes
    system_calls: SystemCalls

    def __init__(self, guest: Guest, handoff: Handoff, options: KernelOptions = KernelOptions()) -> None:  # noqa: B008 - a tuple
        super().__init__(guest, handoff, options)
        self.direct = DirectMap(guest.memory)
        self.words = self.direct.u32
        self.command_line = CommandLine()
        self.information = BootInformation("", (), ())
        self.ticks = 0
        self._regions: tuple[MemoryRegion, ...] = ()
        self._words_end = self.direct.end >> 2
        self._trap_frame = self.word_of("trap_frame")
        self._frame_at: Callable[[int], int] = self._in_direct_map
        """Where among `words` a trap's frame lies, by its address; the kernel stacks' from the start on."""
        self.console = Console(guest)
        self.faults = Faults(self)
        self.calls = KernelCalls(self)
        self._vectors = [self.faults.exception] * 256
        self._vectors[KERNEL_CALL] = self.calls
        for irq in range(_IRQS):
            self._vectors[FIRST_IRQ + irq] = self._interrupt

    # ---- traps ------------------------------------------------------------------------------------------------------

    def trap(self, guest: Guest, value: int) -> None:
        words = self.words
        at = words[self._trap_frame]
        try:
            frame = self._frame_at(at)
        except IndexError:  # behind all stacks
            frame = -1
        if not 0 <= frame < self._words_end:
            self.panic(f"a trap's frame at 0x{at:08X} is neither in the direct map nor on a kernel stack")
            return
        try:
            self._vectors[words[frame + VECTOR] & 0xFF](frame)
        except KernelFault as fault:
            self.report(str(fault))
            self.panic(f"the kernel cannot go on: {fault}")

    def _system_call(self, frame: int) -> None:
        if self.words[frame + CS] & 3:
            self.system_calls(frame)
        else:
            self.faults.exception(frame)

    def _interrupt(self, frame: int) -> None:
        irq = self.words[frame + VECTOR] - FIRST_IRQ
        if end_of_interrupt(self.guest, irq) and irq == TIMER:
            self.ticks += 1
            self.scheduler.tick()

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
        if line.pae and not self._word("cpu_features") & CPUID_PAE:
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
        self._take_over_paging()
        self._add_programs()
        set_up_interrupts(self.guest)
        self.has_started = True
        self.options.on_boot(self)

    def _take_over_paging(self) -> None:
        """Complete the kernel half of virtual memory, and take away what the boot code needed to come up."""
        guest, pae = self.guest, self.command_line.pae
        root = self.symbols["pae_pointers" if pae else "boot_page_directory"] - KERNEL_BASE
        has_nx = pae and bool(self._word("cpu_extended") & CPUID_NX)
        self.space = KernelSpace.adopt(
            guest.memory, root, self.memory.pmm, pae=pae, no_execute=has_nx, flush_tlb=guest.flush_tlb
        )
        has_large = pae or bool(self._word("cpu_features") & CPUID_PSE)
        failed = self.space.extend_direct_map(large_pages=has_large)
        failed = failed or self.space.unmap(self.symbols["boot_stack_guard"])
        if failed is not None:
            raise InvalidParameters(f"mm_init: no memory for the kernel's page tables: {failed}")
        self.space.drop_user_half()
        swap = HostSwap(self.command_line.swap_bytes) if self.command_line.swap_bytes else None
        self.vm = VirtualMemory.build(
            self.memory, self.space, swap=swap, policy=self.options.page_replacement, oom=self.options.oom,
            report=self.report,
        )  # fmt: skip
        self.log(f"mm_init: {self.space.tables.format.name}, kernel page tables at 0x{self.space.cr3:X}")

    def _add_programs(self) -> None:
        guest = self.guest
        for module in self.information.modules:
            self.vm.add_module(module.name, module.base, module.end - module.base)
        self.stacks = KernelStacks(self.space)
        self._frame_at = self.stacks.word_index
        resume = self.symbols["trap_resume"]
        self.scheduler = Scheduler(self.words, self.word_of, self.space.cr3, resume, lambda: guest.now_ns)
        self.fpu = Fpu(self.memory.caches, self.direct, self.word_of, self._reclaim)
        self.processes = Processes(
            self.vm, self.scheduler, self.stacks, self.fpu, self.words, self.log, self._leave_space
        )  # fmt: skip
        self.processes.on_last_exit = self.finish
        self.system_calls = SystemCalls(self.vm, self.processes, self.words, self.console.write, lambda: guest.now_ns)
        self._vectors[SYSTEM_CALL] = self._system_call
        self._vectors[PF] = self.faults.page_fault
        self._vectors[NM] = self.faults.no_coprocessor

    def start_programs(self) -> None:
        """Run what the loader has brought; the boot code, which asks, goes on as the idle loop."""
        self.memory.kmalloc.log = None
        self.scheduler.idle_frame = self.words[self._trap_frame]
        wanted = self.command_line.init
        found = False
        for module in self.information.modules:
            file = self.vm.find_file(module.name)
            if file is None or (module.name != wanted if wanted else not looks_like_program(file)):
                continue
            found = True
            self.start_program(module.name, *module.arguments)
        if wanted and not found:
            self.report(f"kernel: init={wanted}, but there is no module of that name")
        if not self.processes.by_pid:
            self.finish()
            return
        start_timer(self.guest)
        self.scheduler.switch()

    def start_program(self, name: str, *arguments: str) -> Process | Errno:
        """Make a process that runs the module `name`; also from Python, between two runs of the machine."""
        file = self.vm.find_file(name)
        made: Process | Errno = Errno.ENOENT
        if file is not None:
            made = self.processes.start_program(file, [text.encode() for text in (name, *arguments)])
        if isinstance(made, Errno):
            self.report(f"kernel: cannot start {name}: {made.name}")
        return made

    def start_thread(self, entry: int, name: str) -> Process | Errno:
        """Make a kernel thread that runs the function at `entry`, which may call what kernel_calls.inc offers."""
        return self.processes.start_thread(entry, name, self.symbols["thread_done"])

    def thread_exit(self, code: int) -> None:
        """The running kernel thread is done."""
        if self.scheduler.current is None:
            self.panic("the idle loop called thread_exit")
        else:
            self.processes.end(self.scheduler.current, exit_status(code))

    def end_in_double_fault(self, process: Process, signal: int) -> None:
        """As the end of any process, while the double-fault task runs."""
        own_frame = self.words[self._trap_frame]
        self.processes.end(process, signal)
        self.scheduler.leave_double_fault(own_frame)

    def _leave_space(self) -> None:
        """Have the processor use the kernel's own page tables: those in use are going to be freed."""
        self.guest.registers.set("cr3", self.space.cr3)

    def _reclaim(self) -> int:
        return self.vm.reclaim.shrink(1, direct_map_only=True)

    def finish(self) -> None:
        """Say how things stand, and switch the machine off."""
        self.stacks.free_spares()
        for line in summary_lines(self.memory, self.vm, self.symbolise):
            self.log(line)
        self.switch_off()

    # ---- for everybody ----------------------------------------------------------------------------------------------

    def kmalloc(self, size: int) -> VirtAddr:
        """As the guest's `kmalloc`; 0 if there is no memory."""
        return self.memory.kmalloc.kmalloc(size)

    def kfree(self, at: VirtAddr) -> bool:
        """As the guest's `kfree`; whether anything was freed."""
        return self.memory.kmalloc.kfree(at)

    def read_virtual(self, at: int, count: int) -> bytes | None:
        """`count` bytes of the kernel's own memory, all in one page; None if nothing is mapped there."""
        if self.direct.holds(at, count):
            return self.direct.read(VirtAddr(at), count)
        if at < KERNEL_BASE or not self.has_started or not (entry := self.space.tables.entry(at)) & 1:
            return None
        return self.guest.memory.read(PhysAddr((entry & self.space.tables.frame_mask) + (at & PAGE_MASK)), count)

    def kmalloc_print_stats(self) -> None:
        """Print kmalloc's statistics on the console."""
        print_stats(self.memory.kmalloc.table, self.log)

    def proc(self, name: str) -> str:
        """``buddyinfo``, ``slabinfo``, ``vmstat`` or ``meminfo``, as Linux has them in /proc.

        Raises `InvalidParameters` for any other name.
        """
        files: dict[str, Callable[[], list[str]]] = {
            "buddyinfo": lambda: buddyinfo(self.memory.pmm),
            "slabinfo": lambda: slabinfo(self.memory.caches),
            "vmstat": lambda: vmstat(self.memory, self.vm),
            "meminfo": lambda: meminfo(self.memory, self.vm),
        }
        if name not in files:
            raise InvalidParameters(f"there is no {name!r} in /proc; there are {', '.join(files)}")
        return "".join(f"{line}\n" for line in files[name]())

    @property
    def running_program(self) -> int:
        """The pid of the process whose turn it is; 0 if there is none."""
        return self.scheduler.current.pid if self.has_started and self.scheduler.current else 0

    def check(self) -> list[str]:
        self.require_started()
        return self.vm.check() + self.space.check() + self.processes.check()

    @staticmethod
    def _in_direct_map(at: int) -> int:
        return at - KERNEL_BASE >> 2

    def _word(self, symbol: str) -> int:
        return self.words[self.word_of(symbol)]

    def _log_zones(self) -> None:
        for zone in self.memory.pmm.zones:
            self.log(
                f"mm_init: zone {zone.name}: pages {zone.first}-{zone.end - 1}, "
                f"{zone.managed_frames} managed ({zone.managed_frames >> 8} MB)"
            )
