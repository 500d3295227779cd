"""The trap frame: what boot/asm/kernel_traps.inc leaves on the kernel's stack, and where its words lie.

In guest memory, at the address that ``trap_frame`` has when the trap port is written; `esp` and `ss` are there only if
the trap came from ring 3.  Code in a hurry indexes an array of 32-bit words: ``words[frame + EAX]``, where `frame` is
the physical address divided by four.

Source: Intel SDM Vol. 3A, "Stack Usage on Transfers to Interrupt and Exception-Handling Routines".
"""

from __future__ import annotations

from hillemu.kernel.layout import KERNEL_BASE
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.mm.words import Words

TRAP_PORT = 0xB0
"""Writing to it calls Python.  No device of a PC answers there."""
SYSTEM_CALL = 0x80
KERNEL_CALL = 0x81
FIRST_IRQ = 0x20

KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA = 0x08, 0x10, 0x1B, 0x23
"""Selectors of boot/asm/kernel_descriptors.inc."""

MEMBERS = (
    "gs", "fs", "es", "ds", "edi", "esi", "ebp", "esp_of_pusha", "ebx", "edx", "ecx", "eax",
    "vector", "error_code", "eip", "cs", "eflags", "esp", "ss",
)  # fmt: skip
FRAME = Structure("trap_frame", *(f"u32 {name}" for name in MEMBERS))
(GS, FS, ES, DS, EDI, ESI, EBP, _, EBX, EDX, ECX, EAX, VECTOR, ERROR_CODE, EIP, CS, EFLAGS, ESP, SS) = range(19)
USER_FRAME_WORDS = 19
KERNEL_FRAME_WORDS = 17

EFLAGS_ALWAYS, EFLAGS_IF = 0x002, 0x200


def from_user(words: Words, frame: int) -> bool:
    """Whether the frame was made in ring 3."""
    return bool(words[frame + CS] & 3)


def make_user_frame(words: Words, frame: int, eip: int, esp: int) -> None:
    """Fill in the frame of a program that is to start at `eip` with its stack at `esp`, everything else zero."""
    for number in range(USER_FRAME_WORDS):
        words[frame + number] = 0
    for segment in (GS, FS, ES, DS, SS):
        words[frame + segment] = USER_DATA
    words[frame + CS], words[frame + EFLAGS] = USER_CODE, EFLAGS_ALWAYS | EFLAGS_IF
    words[frame + EIP], words[frame + ESP] = eip, esp


def make_kernel_frame(words: Words, frame: int, eip: int) -> None:
    """Fill in the frame of a kernel thread; its stack continues right above the frame."""
    for number in range(KERNEL_FRAME_WORDS):
        words[frame + number] = 0
    for segment in (GS, FS, ES, DS):
        words[frame + segment] = KERNEL_DATA
    words[frame + CS], words[frame + EFLAGS] = KERNEL_CODE, EFLAGS_ALWAYS | EFLAGS_IF
    words[frame + EIP] = eip


def describe(words: Words, frame: int, kernel_base: int = KERNEL_BASE) -> list[str]:
    """The registers, for reports of faults; `kernel_base` is where the kernel has physical address 0."""

    def row(*names: str) -> str:
        return "  ".join(f"{name}={words[frame + MEMBERS.index(name)]:08X}" for name in names)

    lines = [row("eax", "ebx", "ecx", "edx"), row("esi", "edi", "ebp", "eflags")]
    if from_user(words, frame):
        return [*lines, row("esp", "cs", "ss", "ds")]
    above = kernel_base + 4 * (frame + KERNEL_FRAME_WORDS)
    return [*lines, f"esp={above:08X}  " + row("cs", "ds", "es")]
