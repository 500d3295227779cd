"""Small projects whose tests boot a kernel of their own, run by pytest inside a test."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import keystone  # noqa: F401 - pytester forgets modules that come later, and ctypes bears no second copy of this one
import pytest

from hillemu.boot.assembler import assemble_text

TALKER = """
.section .multiboot; .long 0x1BADB002, 0, 0xE4524FFE; .text
_start:   mov esp, 0x90000
          mov esi, offset banner
print:    lodsb; test al, al; jz listen; mov dx, 0x3F8; out dx, al; jmp print
listen:   mov dx, 0x3FD; in al, dx; test al, 1; jz listen
          mov dx, 0x3F8; in al, dx
          cmp al, 'h'; je stop; cmp al, 't'; je die; cmp al, 'l'; je spin; cmp al, 'q'; je leave
          mov [0x200000], al; mov [0xB8000], al; out dx, al; jmp listen
stop:     cli; hlt
die:      lidt [nothing]; int3
spin:     inc ecx; jmp spin
leave:    mov dx, 0xF4; mov al, 1; out dx, al; jmp leave
nothing:  .long 0, 0
banner:   .asciz "hello\\nready\\n"
"""
"""Says that it is ready, then echoes what it receives; some letters are commands."""

MARKED = 'pytestmark = pytest.mark.hillemu(kernel="kernel.elf", until="ready", budget="1M")\n'

Run = Callable[..., pytest.RunResult]


@cache
def talker() -> bytes:
    """The kernel that talks, as an ELF file."""
    return bytes(assemble_text(TALKER).data)


def runner(pytester: pytest.Pytester) -> Run:
    """`run(source, *arguments)` has pytest run that test file beside ``kernel.elf``; `apart`: in a process."""

    def run(source: str, *arguments: str, apart: bool = False) -> pytest.RunResult:
        (pytester.path / "kernel.elf").write_bytes(talker())
        pytester.makepyfile("import pytest\nfrom hillemu.testing import *\n" + source)
        start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return start("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)

    return run
