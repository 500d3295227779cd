"""Puts a program into a new address space: its segments, its stack with the arguments, and where it begins.

The stack, as the System V ABI has it, down from 0xC0000000::

    strings of arguments and environment
    padding to 16 bytes
    0, 0                      auxiliary vector: its end
    0                         envp[n]
    envp[0] ...
    0                         argv[argc]
    argv[0] ...
    argc                <---- ESP

Source: System V ABI, Intel386 supplement, "Initial Stack and Register State".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from hillemu.emu.i386.address import PAGE_MASK, PAGE_SIZE, page_down, page_up
from hillemu.kernel.errno import Errno
from hillemu.kernel.mm.address_space import AddressSpace
from hillemu.kernel.mm.files import File
from hillemu.kernel.mm.frames import OutOfMemory
from hillemu.kernel.mm.protection import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE
from hillemu.kernel.mm.virtual_memory import VirtualMemory
from hillemu.kernel.program_file import NotAProgram, ProgramFile, Segment, read_program

MAX_ARGUMENT_BYTES = 128 << 10
"""Strings and pointers of arguments and environment, together."""
_COPY_BYTES = 64 << 10


class LoadedProgram(NamedTuple):
    """Ready to run."""

    space: AddressSpace
    entry: int
    stack: int


def load_program(
    vm: VirtualMemory, file: File, arguments: Sequence[bytes], environment: Sequence[bytes], name: str
) -> LoadedProgram | Errno:
    """Load `file`; on failure nothing is left of it.  Why a file is no program, `vm.report` hears."""
    program = read_program(file)
    if isinstance(program, NotAProgram):
        vm.report(f"exec: {file.name} {program.why}")
        return Errno.ENOEXEC
    size = sum(len(text) + 5 for text in (*arguments, *environment))
    if size > MAX_ARGUMENT_BYTES:
        return Errno.E2BIG
    space = vm.create_space(name)
    if isinstance(space, OutOfMemory):
        return Errno.ENOMEM
    loaded = _fill(space, program, file, arguments, environment, size)
    if isinstance(loaded, Errno):
        space.destroy()
    return loaded


def _fill(
    space: AddressSpace,
    program: ProgramFile,
    file: File,
    arguments: Sequence[bytes],
    environment: Sequence[bytes],
    argument_bytes: int,
) -> LoadedProgram | Errno:
    for segment in program.segments:
        if not _load_segment(space, segment, file):
            return Errno.ENOMEM
    end = space.add_stack(argument_bytes + PAGE_SIZE)
    if isinstance(end, Errno):
        return end
    image = stack_image(end, arguments, environment)
    if not space.copy_out(end - len(image), image):
        return Errno.ENOMEM
    return LoadedProgram(space, program.entry, end - len(image))


def _load_segment(space: AddressSpace, segment: Segment, file: File) -> bool:
    """Map what can be mapped as it lies in the file, copy the rest; zeros come by themselves."""
    start, end = page_down(segment.start), page_up(segment.end)
    file_end = segment.start + segment.file_bytes
    mapped_end = start
    if (segment.offset ^ segment.start) & PAGE_MASK == 0 and segment.file_bytes:
        # Pages that hold nothing but this segment's part of the file; a tail that zeros follow is copied.
        mapped_end = page_up(file_end) if segment.memory_bytes == segment.file_bytes else page_down(file_end)
    if mapped_end > start:
        offset = page_down(segment.offset)
        if space.mmap(start, mapped_end - start, segment.prot, MAP_PRIVATE | MAP_FIXED, file, offset) != start:
            return False
    if mapped_end >= end:
        return True
    flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
    if space.mmap(mapped_end, end - mapped_end, PROT_READ | PROT_WRITE, flags) != mapped_end:
        return False
    for at in range(max(segment.start, mapped_end), file_end, _COPY_BYTES):
        data = file.read(segment.offset + at - segment.start, min(_COPY_BYTES, file_end - at))
        if not space.copy_out(at, data):
            return False
    return space.mprotect(mapped_end, end - mapped_end, segment.prot) == 0


def stack_image(end: int, arguments: Sequence[bytes], environment: Sequence[bytes]) -> bytes:
    """What lies between ESP and `end`, the stack's end, when a program starts."""
    strings = b"".join(text + b"\0" for text in (*arguments, *environment))
    at = end - len(strings)
    pointers = []
    for text in (*arguments, *environment):
        pointers.append(at)
        at += len(text) + 1
    count = len(arguments)
    words = [count, *pointers[:count], 0, *pointers[count:], 0, 0, 0]
    head = struct.pack(f"<{len(words)}I", *words)
    return head + bytes(-(len(head) + len(strings)) % 16) + strings
