"""The hosted kernel without a processor: its image in a `FakeGuest`; the boot code and the programs are played."""

from __future__ import annotations

from collections.abc import Mapping

from hosted_programs import HEAD

from hillemu.boot.assembler import assemble_text
from hillemu.boot.handoff import Handoff
from hillemu.boot.image import BootOptions, Image, Module
from hillemu.boot.images import SOURCES
from hillemu.boot.multiboot1 import load_multiboot1
from hillemu.boot.shipped import shipped_image
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr
from hillemu.kernel.kernel import Kernel
from hillemu.kernel.kernel_calls import FUNCTIONS
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.process import Process
from hillemu.kernel.trap_frame import (
    CS,
    EAX,
    EBP,
    EBX,
    ECX,
    EDI,
    EDX,
    ERROR_CODE,
    ESI,
    KERNEL_CALL,
    KERNEL_CODE,
    KERNEL_FRAME_WORDS,
    SYSTEM_CALL,
    VECTOR,
)
from hillemu.symbols import SymbolTable

KERNEL_BASE = 0xC0000000
IDLE_PROGRAM = "ud2\n"
"""What a program consists of whose calls a test makes."""


def program(body: str = IDLE_PROGRAM) -> bytes:
    """The bytes of a program in assembly."""
    return assemble_text(HEAD + body, include_paths=[SOURCES]).data


class FakeKernel:
    """Boots on construction; then `call` makes system calls for whoever runs, `fault` page faults, `tick` the timer."""

    def __init__(
        self,
        programs: Mapping[str, bytes],
        *,
        size_bytes: int = 8 << 20,
        append: str = "",
        options: KernelOptions = KernelOptions(),  # noqa: B008 - a tuple
    ) -> None:
        self.guest = FakeGuest(size_bytes)
        self.guest.port_values[0x3FD] = 0x60
        image = Image("kernel.elf", shipped_image("kernel.elf"))
        modules = tuple(Module(name, "", data) for name, data in programs.items())
        loaded = load_multiboot1(self.guest, image, BootOptions(cmdline=f"tests=off {append}", modules=modules))
        symbols = SymbolTable(bytes(image.data))
        base, end = min(part.base for part in loaded.segments), max(part.end for part in loaded.segments)
        self.kernel = Kernel(self.guest, Handoff(base, end, symbols, symbols.describe), options)
        self._map_low_memory()
        self._stack = symbols["boot_stack_guard"] + 3 * PAGE_SIZE - 4 * 64
        self.kernel_call("kernel_begin", 0x2BADB002, loaded.info_address)
        self.kernel_call("kernel_start")
        self.kernel_call("start_programs")

    @property
    def current(self) -> Process:
        """Who runs."""
        process = self.kernel.scheduler.current
        assert process is not None, "nobody runs"
        return process

    @property
    def frame(self) -> int:
        """The index of the frame by which the stub would return."""
        return self.kernel.stacks.word_index(self.kernel.words[self.kernel.word_of("trap_frame")])

    @property
    def cr3(self) -> int:
        """The page tables with which the stub would return."""
        return self.kernel.words[self.kernel.word_of("trap_cr3")]

    @property
    def said(self) -> str:
        """What came out of the serial port."""
        return bytes(value for port, value, _ in self.guest.port_writes if port == 0x3F8).decode()

    def call(self, number: int, *arguments: int) -> int | None:
        """A system call of whoever runs; its result, or None if somebody else runs now."""
        caller, frame, words = self.current, self.frame, self.kernel.words
        words[frame + EAX] = number
        for at, value in zip((EBX, ECX, EDX, ESI, EDI, EBP), (*arguments, *(0,) * 6), strict=False):
            words[frame + at] = value & 0xFFFFFFFF
        self.trap(frame, SYSTEM_CALL)
        if self.kernel.scheduler.current is not caller:
            return None
        value = words[self.frame + EAX]
        return value - (value >> 31 << 32)

    def result(self) -> int:
        """What EAX holds for whoever runs: the result of the call that it made before others ran."""
        value = self.kernel.words[self.frame + EAX]
        return value - (value >> 31 << 32)

    def fault(self, address: int, error_code: int) -> None:
        """A page fault of whoever runs."""
        self.guest.registers.set("cr2", address)
        frame = self.frame
        self.kernel.words[frame + ERROR_CODE] = error_code
        self.trap(frame, 14)

    def tick(self, ms: int = 10) -> None:
        """Time passes, and the timer interrupts."""
        self.guest.now_ns += ms * 1_000_000
        self.trap(self.frame, 0x20)

    def kernel_call(self, name: str, *arguments: int) -> int:
        """A call of the boot code's."""
        words = self.kernel.words
        frame = (self._stack - KERNEL_BASE) >> 2
        words[frame + CS], words[frame + EAX] = KERNEL_CODE, FUNCTIONS.index(name)
        for number, value in enumerate(arguments):
            words[frame + KERNEL_FRAME_WORDS + 1 + number] = value
        words[self.kernel.word_of("trap_frame")] = self._stack
        words[frame + VECTOR] = KERNEL_CALL
        self.kernel.trap(self.guest, 0)
        return words[frame + EAX]

    def trap(self, frame: int, vector: int) -> None:
        """What the stub does."""
        words = self.kernel.words
        words[frame + VECTOR] = vector
        self.kernel.trap(self.guest, 0)

    def _map_low_memory(self) -> None:
        """What boot_paging does: 4 MiB at 0 and at 0xC0000000."""
        memory = self.guest.memory
        directory = self.kernel.symbols["boot_page_directory"] - KERNEL_BASE
        table = directory + PAGE_SIZE
        for number in range(1024):
            memory.set_u32(PhysAddr(table + 4 * number), number << 12 | 3)
        for number in (0, 768):
            memory.set_u32(PhysAddr(directory + 4 * number), table | 3)
        self.guest.registers.set("cr3", directory)
