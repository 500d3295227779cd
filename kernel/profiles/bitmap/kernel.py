"""The kernel of profile `bitmap`: a page bitmap, a heap of blocks, programs under page replacement; docs/profiles.md.

As with profile hillson, the machine code (boot/asm/bitmap_kernel.s) traps by writing to `TRAP_PORT`, and `trap` does
the work in no virtual time.  Between traps the same objects can be used from Python: ``kernel.heap.kmalloc(100)``,
``kernel.pages.alloc_page()``, ``kernel.check()``.

::

    boot sector, loader, kernel            Python
    ------------------------------         ----------------------------------------------------------
    E820, A20, protected mode, paging
    kernel_begin()                    ->   memory_manager_t and the bitmap; the heap; kernel space
    the document's examples           ->   alloc_page, free_page, map_page, kmalloc, kfree, printk
    start_programs()                  ->   programs, one after the other; statistics, checks; power off
"""

from __future__ import annotations

from hillemu.boot.handoff import Handoff
from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PAGE_SHIFT, PAGE_SIZE, Frame, PhysAddr
from hillemu.emu.i386.vectors import EXCEPTIONS, PF, describe
from hillemu.kernel.errors import InvalidParameters, KernelFault
from hillemu.kernel.faults import SIGNALS
from hillemu.kernel.kernel_base import KernelBase
from hillemu.kernel.mm.files import BytesFile
from hillemu.kernel.mm.frames import FrameRun
from hillemu.kernel.mm.outcomes import SIGSEGV
from hillemu.kernel.mm.swap import HostSwap
from hillemu.kernel.mm.words import words_from_zero
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.profiles.bitmap.arguments import Arguments, fault_of
from hillemu.kernel.profiles.bitmap.boot_map import MapEntry, out_of_reach, read_memory_map, usable_pages
from hillemu.kernel.profiles.bitmap.calls import Calls
from hillemu.kernel.profiles.bitmap.checks import CHECKS
from hillemu.kernel.profiles.bitmap.kernel_heap import KernelHeap
from hillemu.kernel.profiles.bitmap.layout import KERNEL_END
from hillemu.kernel.profiles.bitmap.page_bitmap import PageBitmap
from hillemu.kernel.profiles.bitmap.paging import PageDirectory, Paging
from hillemu.kernel.profiles.bitmap.programs import Programs
from hillemu.kernel.profiles.bitmap.residents import Residents
from hillemu.kernel.profiles.bitmap.summary import summary_lines
from hillemu.kernel.profiles.bitmap.usage import Sample, Usage
from hillemu.kernel.timer import end_of_interrupt, set_up_interrupts
from hillemu.kernel.trap_frame import CS, EIP, ERROR_CODE, FIRST_IRQ, KERNEL_CALL, SYSTEM_CALL, USER_FRAME_WORDS, VECTOR
from hillemu.kernel.trap_frame import describe as registers_of

SWAP_BYTES = 64 << 20
_IRQS = 16


class BitmapKernel(KernelBase):
    """See the module."""

    BEGINS = "memory_init"

    memory_map: tuple[MapEntry, ...]
    """There from `begin` on, as what follows."""
    pages: PageBitmap
    paging: Paging
    heap: KernelHeap
    residents: Residents
    programs: Programs
    usage: Usage

    def __init__(self, guest: Guest, handoff: Handoff, options: KernelOptions = KernelOptions()) -> None:  # noqa: B008 - a tuple
        super().__init__(guest, handoff, options)
        self.arguments = Arguments.parse(handoff.arguments)
        ram_end = max(run.end for run in guest.memory.ram_ranges if run.end <= 1 << 32)
        self.words = words_from_zero(guest.memory, ram_end, "I")
        self.given: set[PhysAddr] = set()
        """Pages that ring 0 has got by `alloc_page`."""
        self.calls = Calls(self)
        self._trap_frame = self.word_of("trap_frame")
        self._vectors = [self._exception] * 256
        self._vectors[KERNEL_CALL] = self.calls
        self._vectors[SYSTEM_CALL] = self._system_call
        self._vectors[PF] = self._page_fault
        for irq in range(_IRQS):
            self._vectors[FIRST_IRQ + irq] = self._interrupt

    # ---- traps ------------------------------------------------------------------------------------------------------

    def trap(self, guest: Guest, value: int) -> None:
        frame = self.words[self._trap_frame] >> 2
        if not 0 <= frame <= len(self.words) - USER_FRAME_WORDS:
            self.panic(f"a trap's frame at 0x{frame << 2:08X} is not in memory")
            return
        try:
            self._vectors[self.words[frame + VECTOR] & 0xFF](frame)
        except KernelFault as fault:
            self.panic(f"the kernel cannot go on: {fault}")
        if self.has_started:
            self.usage.look(self.guest.now_ns)

    def _system_call(self, frame: int) -> None:
        if self.words[frame + CS] & 3:
            self.programs.system_call(frame)
        else:
            self._exception(frame)

    def _page_fault(self, frame: int) -> None:
        if self.words[frame + CS] & 3:
            address = self.guest.registers.get("cr2")
            self.programs.page_fault(address, self.words[frame + ERROR_CODE], self.words[frame + EIP])
        else:
            self._exception(frame)

    def _interrupt(self, frame: int) -> None:
        end_of_interrupt(self.guest, self.words[frame + VECTOR] - FIRST_IRQ)

    def _exception(self, frame: int) -> None:
        words = self.words
        vector = words[frame + VECTOR]
        what = describe(vector) if vector in EXCEPTIONS else f"vector {vector:#x}, which nobody expects"
        if vector == PF:
            address = self.guest.registers.get("cr2")
            whose = self.heap.guarded.explain(address) if self.has_started else ""
            what += f" at 0x{address:08X}{whose and f', {whose}'}"
        what += f", error code {words[frame + ERROR_CODE]:#x}, EIP {self.symbolise(words[frame + EIP])}"
        if words[frame + CS] & 3 and self.has_started and self.programs.running is not None:
            self.report(f"{self.programs.running.name}: {what}")
            self.programs.end(SIGNALS.get(vector, SIGSEGV))
            return
        for line in (f"fault: {what}", *registers_of(words, frame, kernel_base=0)):
            self.report(line)
        self.panic("a fault in ring 0")

    def double_fault(self) -> None:
        """The double-fault task runs: a stack has run into its guard page, or the kernel's tables are broken."""
        address = self.guest.registers.get("cr2")
        guards = {self.symbols[name]: name for name in ("boot_stack_guard", "program_stack_guard")}
        guard = guards.get(address & -PAGE_SIZE)
        self.panic(f"{f'kernel stack overflow into {guard}' if guard else 'double fault'} at 0x{address:08X}")

    # ---- the life of the kernel -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take over memory."""
        guest, memory = self.guest, self.guest.memory
        for word in self.arguments.unknown:
            self.report(f"command line: {fault_of(word)}")
        self.memory_map = read_memory_map(memory)
        if beyond := out_of_reach(self.memory_map):
            self.log(f"memory_init: {beyond} pages beyond 4 GiB are out of reach of 32-bit paging")
        cr3 = PhysAddr(self._word("page_directory"))
        tables = [cr3, *(at for _, at in PageDirectory(self.words, cr3).tables(0, KERNEL_END))]
        self.pages = PageBitmap.create(
            memory,
            PhysAddr(self.symbols["memory_manager"]),
            usable_pages(self.memory_map),
            kept=[FrameRun(Frame(at >> PAGE_SHIFT), Frame((at >> PAGE_SHIFT) + 1)) for at in tables],
            kernel_page_dir=cr3,
            report=self.report,
        )
        if self.pages.end > cr3:
            raise InvalidParameters(
                f"memory_init: the bitmap ends at {self.pages.end:#x}, behind {cr3:#x}, where CR3 is"
            )
        self.paging = Paging(memory, self.words, self.pages, cr3, guest.flush_tlb, self.report)
        self.heap = KernelHeap(
            memory,
            PhysAddr(self.symbols["heap"]),
            self.pages,
            self.paging,
            self.report,
            use_pools=self.arguments.pools,
            aids=self.options.debug,
        )
        self.usage = Usage(self._sample)
        self.usage.keep(guest.now_ns)
        self._add_programs()
        set_up_interrupts(guest)
        self.has_started = True
        pages = self.pages
        self.log(
            f"memory_init: {pages.total_pages} pages, {pages.free_pages} free ({pages.free_pages >> 8} MB); "
            f"bitmap at 0x{pages.bitmap_at:X}, pages from 0x{pages.end:X}"
        )
        self.options.on_boot(self)

    def _add_programs(self) -> None:
        arguments = self.arguments
        self.residents = Residents(
            self.guest.memory,
            self.paging,
            HostSwap(SWAP_BYTES),
            arguments.policy or self.options.page_replacement,
            limit=arguments.frames,
            statistics_at=PhysAddr(self.symbols["paging_statistics"]),
        )
        places = tuple(self.word_of(name) for name in ("trap_frame", "trap_cr3", "tss"))
        self.programs = Programs(
            self.guest,
            self.words,
            self.residents,
            (places[0], places[1], places[2]),
            self.symbols["program_stack_top"],
            self.console.write,
            self.log,
            self.report,
        )
        self.programs.on_last_exit = self.finish
        for file in self.handoff.files:
            self.programs.add(BytesFile(file.name, file.data), file.arguments)

    def start_programs(self) -> None:
        """Run what the user has brought."""
        self.programs.run_next()

    def finish(self) -> None:
        """Say how things stand, and switch the machine off."""
        self.usage.keep(self.guest.now_ns)
        for line in summary_lines(self):
            self.log(line)
        self.switch_off(", ".join(self.options.checks or CHECKS))

    # ---- for everybody ----------------------------------------------------------------------------------------------

    def check(self, *names: str) -> list[str]:
        """Contradictions in what the checks of these names look at, as sentences; none if all is well.

        Without names, it is those of the options, or all: ``bitmap``, ``pagetables``, ``heap``, ``usage``.
        Raises `UserMistake` before there is anything to check, and for a name that does not exist.
        """
        self.require_started()
        found: list[str] = []
        for name in names or self.options.checks or CHECKS:
            if name not in CHECKS:
                raise UserMistake(f"there is no check {name!r}; there are {', '.join(CHECKS)}")
            found += CHECKS[name](self)
        return found

    @property
    def running_program(self) -> int:
        """The pid of the program whose turn it is; 0 if there is none."""
        return self.programs.running.pid if self.has_started and self.programs.running else 0

    def read_virtual(self, at: int, count: int) -> bytes | None:
        """`count` bytes of kernel space, all in one page; None if nothing is mapped there."""
        entry = self.paging.kernel.entry(at) if 0 <= at < KERNEL_END else 0
        if not entry & 1:
            return None
        return self.guest.memory.read(PhysAddr((entry & -PAGE_SIZE) + (at & PAGE_SIZE - 1)), count)

    def _sample(self, now_ns: int) -> Sample:
        figures = self.heap.figures()
        return Sample(now_ns, self.pages.free_pages, *figures)

    def _word(self, symbol: str) -> int:
        return self.words[self.word_of(symbol)]
