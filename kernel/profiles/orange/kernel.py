"""The kernel of profile `orange`: traps, and what is done at its start and end.

The boot code (boot/asm/orange_kernel.s) calls, in this order::

    init_mm            memory management takes over; from here on MM is there
    vm_alloc, vm_free  TaskC, the document's test
    start_processes    Init forks; the boot code goes on as the idle loop
"""

from __future__ import annotations

from hillemu.boot.handoff import Handoff
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.vectors import EXCEPTIONS, NM, PF, describe
from hillemu.kernel.errno import Errno
from hillemu.kernel.errors import KernelFault
from hillemu.kernel.faults import SIGNALS
from hillemu.kernel.kernel_base import KernelBase
from hillemu.kernel.mm.files import BytesFile
from hillemu.kernel.mm.outcomes import SIGSEGV
from hillemu.kernel.mm.words import words_from_zero
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.profiles.orange.calls import Calls
from hillemu.kernel.profiles.orange.check import check
from hillemu.kernel.profiles.orange.document import count_lines, frame_lines, mapping_lines, page_table_lines
from hillemu.kernel.profiles.orange.fpu import Fpu
from hillemu.kernel.profiles.orange.layout import PAGE_DIRECTORY
from hillemu.kernel.profiles.orange.memory_info import read_memory_info
from hillemu.kernel.profiles.orange.memory_manager import MemoryManager
from hillemu.kernel.profiles.orange.page_tables import tables_for
from hillemu.kernel.profiles.orange.process import Process
from hillemu.kernel.profiles.orange.processes import Processes
from hillemu.kernel.profiles.orange.system_calls import SystemCalls
from hillemu.kernel.round_robin import RoundRobin
from hillemu.kernel.timer import TIMER, end_of_interrupt, set_up_interrupts, start_timer
from hillemu.kernel.trap_frame import CS, EIP, ERROR_CODE, FIRST_IRQ, KERNEL_CALL, SYSTEM_CALL, VECTOR
from hillemu.kernel.trap_frame import describe as registers_of

LOW_MEMORY_END = 0xA0000
"""The kernel's image lies below."""
_IRQS = 16


class OrangeKernel(KernelBase):
    """See the module."""

    BEGINS = "init_mm"

    mm: MemoryManager
    """There from `init_mm` on, as what follows."""
    scheduler: RoundRobin[Process]
    fpu: Fpu
    processes: Processes
    system_calls: SystemCalls

    def __init__(self, guest: Guest, handoff: Handoff, options: KernelOptions = KernelOptions()) -> None:  # noqa: B008 - a tuple
        super().__init__(guest, handoff, options)
        self.words = words_from_zero(guest.memory, LOW_MEMORY_END, "I")
        self.ticks = 0
        self._free_before = 0
        self._trap_frame = self.word_of("trap_frame")
        self._vectors = [self._exception] * 256
        self._vectors[KERNEL_CALL] = Calls(self)
        self._vectors[SYSTEM_CALL] = self._system_call
        self._vectors[NM] = self._no_coprocessor
        for irq in range(_IRQS):
            self._vectors[FIRST_IRQ + irq] = self._interrupt

    # ---- traps ------------------------------------------------------------------------------------------------------

    def trap(self, guest: Guest, value: int) -> None:
        at = self.words[self._trap_frame]
        if not self.handoff.base <= at < self.handoff.end:
            self.panic(f"a trap's frame at 0x{at:08X} is not in the kernel")
            return
        frame = at >> 2
        try:
            self._vectors[self.words[frame + VECTOR] & 0xFF](frame)
        except KernelFault as fault:
            self.panic(f"the kernel cannot go on: {fault}")

    def _interrupt(self, frame: int) -> None:
        irq = self.words[frame + VECTOR] - FIRST_IRQ
        if end_of_interrupt(self.guest, irq) and irq == TIMER and self.has_started:
            self.ticks += 1
            self.scheduler.yield_()

    def _system_call(self, frame: int) -> None:
        if self.words[frame + CS] & 3:
            self.system_calls(frame)
        else:
            self._exception(frame)

    def _no_coprocessor(self, frame: int) -> None:
        process = self._program_at(frame)
        if process is not None and self.fpu.kind:
            self.fpu.first_use(process)
        else:
            self._exception(frame)

    def _exception(self, frame: int) -> None:
        """Whatever else the processor raised: a program ends by it, the kernel panics."""
        words = self.words
        vector = words[frame + VECTOR]
        what = describe(vector) if vector in EXCEPTIONS else f"vector {vector:#x}, which nobody expects"
        if vector == PF:
            what += f" at 0x{self.guest.registers.get('cr2'):08X}"
        what += f", error code {words[frame + ERROR_CODE]:#x}, EIP {self.symbolise(words[frame + EIP])}"
        process = self._program_at(frame)
        if process is not None:
            self.report(f"{process}: {what}")
            self.processes.end(process, SIGNALS.get(vector, SIGSEGV))
            return
        for line in (f"fault: {what}", *registers_of(words, frame)):
            self.report(line)
        self.panic("a fault in ring 0")

    def double_fault(self) -> None:
        """The double-fault task runs: the kernel's page tables or its stack are broken."""
        self.panic(f"double fault at 0x{self.guest.registers.get('cr2'):08X}")

    def _program_at(self, frame: int) -> Process | None:
        """The process whose program was interrupted; None if it was the kernel itself."""
        return self.scheduler.current if self.words[frame + CS] & 3 and self.has_started else None

    # ---- the life of the kernel -------------------------------------------------------------------------------------

    def init_mm(self) -> None:
        """Take over memory."""
        guest = self.guest
        self.log("orange: a kernel whose memory management is Python")
        for word in self.handoff.arguments.split():
            self.report(f"command line: {word!r} is not known")
        tables = tables_for(max(one.end for one in read_memory_info(guest.memory)))
        self.mm = mm = MemoryManager.init_mm(
            guest.memory, PhysAddr(self.symbols["mm"]), flush_tlb=guest.flush_tlb, log=self.log, report=self.report
        )
        for line in (*page_table_lines(tables), *frame_lines(mm)):
            self.log(line)
        self.scheduler = RoundRobin(self.words, self.word_of, PAGE_DIRECTORY)
        self.fpu = Fpu(guest.memory, self.words, self.word_of)
        self.processes = Processes(
            mm, self.scheduler, self.fpu, self.words, self.symbols["proc_table"],
            log=self.log, report=self.report, leave_space=self._leave_space,
        )  # fmt: skip
        self.processes.on_last_exit = self.finish
        self.system_calls = SystemCalls(self.processes, self.words, self.console.write)
        set_up_interrupts(guest)
        self.has_started = True

    def start_processes(self) -> None:
        """Run what the user has brought, or Init; the boot code, which asks, goes on as the idle loop."""
        for line in mapping_lines(self.mm):
            self.log(line)
        self.options.on_boot(self)
        self._free_before = self.mm.free_frames
        self.scheduler.idle_frame = self.words[self._trap_frame]
        for file in self.handoff.files:
            self.start_program(file.name, file.data, *file.arguments)
        if not self.processes.by_pid:
            self.finish()
            return
        start_timer(self.guest)
        self.scheduler.switch()

    def start_program(self, name: str, data: bytes, *arguments: str) -> Process | Errno:
        """Make a process that runs the ELF file whose bytes are `data`; also from Python, between two runs."""
        words = [text.encode() for text in (name, *arguments)]
        made = self.processes.start_program(BytesFile(name, data), words)
        if isinstance(made, Errno):
            self.report(f"kernel: cannot start {name}: {made.name}")
        return made

    def _leave_space(self) -> None:
        """Have the processor use the kernel's own page tables: those in use are going to be freed."""
        self.guest.registers.set("cr3", PAGE_DIRECTORY)

    # ---- the end ----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Say how things stand, and switch the machine off."""
        leaked = self._free_before - self.mm.free_frames
        if leaked > 0:
            self.report(f"kernel: {leaked} frames were not given back by processes")
        for line in count_lines(self.mm):
            self.log(line)
        self.switch_off()

    # ---- for everybody ----------------------------------------------------------------------------------------------

    def read_virtual(self, at: int, count: int) -> bytes | None:
        """`count` bytes of the kernel's own memory, all in one page; None if nothing is mapped there."""
        place = self.mm.physical(at) if self.has_started else PhysAddr(at)
        return None if place is None else self.guest.memory.read(place, count)

    @property
    def running_program(self) -> int:
        """The pid of the process whose turn it is; 0 if there is none."""
        return self.scheduler.current.pid if self.has_started and self.scheduler.current else 0

    def check(self) -> list[str]:
        self.require_started()
        return check(self.mm, self.processes.mappings()) + self.processes.check()
