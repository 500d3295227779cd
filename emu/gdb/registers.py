"""The registers that GDB is shown, in the order of its ``g`` packet.

The first 41 are GDB's own i386 register file.  A second group has what GDB knows nothing of: segment bases, control
and debug registers, descriptor tables, and the true instruction pointer.

**`eip` is the linear address of the next instruction**, CS base + EIP, because GDB has one flat address space and
looks up code, symbols and breakpoints at ``$pc`` there.  They are the same with flat segments; in real mode they are
not, and the register that the processor has is `ip`.  `code_size` is 16 or 32, by the D bit of CS: a GDB script that
looks at it at every stop can choose the architecture (GDB never asks the machine a second time).

A client that has not read the target description, as a GDB without an XML parser, knows `GDBS_OWN` only, and takes a
`g` packet with more for an error.

>>> [register.name for register in LAYOUT[:4]], LAYOUT[-1].number == len(LAYOUT) - 1
(['eax', 'ecx', 'edx', 'ebx'], True)

Source: Debugging with GDB, "i386 Features" of "Standard Target Features".
"""

from __future__ import annotations

from typing import NamedTuple

CORE, SSE, SYSTEM = "org.gnu.gdb.i386.core", "org.gnu.gdb.i386.sse", "org.hillemu.i386.system"


class Register(NamedTuple):
    """A register as the target description declares it.  `type` is GDB's name for what its bits mean."""

    number: int
    name: str
    bits: int
    type: str
    feature: str

    @property
    def size_bytes(self) -> int:
        return self.bits // 8


_GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
_POINTERS = frozenset(("esp", "ebp"))
SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
X87_CONTROL = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
FPU = frozenset(
    (*(f"st{number}" for number in range(8)), *X87_CONTROL, *(f"xmm{number}" for number in range(8)), "mxcsr")
)
"""What belongs to the x87 and to SSE."""
SYSTEM_TYPES = {"cr0": "i386_cr0", "cr4": "i386_cr4", "efer": "i386_efer", "dr6": "i386_dr6", "dr7": "i386_dr7"}
_SYSTEM = (
    "ip",
    "code_size",
    *(f"{name}_base" for name in SEGMENTS),
    *("cr0", "cr2", "cr3", "cr4", "efer"),
    *("gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit", "ldtr", "ldtr_base", "tr", "tr_base"),
    *("dr0", "dr1", "dr2", "dr3", "dr6", "dr7"),
)


def _layout() -> tuple[Register, ...]:
    rows = [(name, 32, "data_ptr" if name in _POINTERS else "int32", CORE) for name in _GENERAL]
    rows += [("eip", 32, "code_ptr", CORE), ("eflags", 32, "i386_eflags", CORE)]
    rows += [(name, 32, "int32", CORE) for name in SEGMENTS]
    rows += [(f"st{number}", 80, "i387_ext", CORE) for number in range(8)]
    rows += [(name, 32, "int", CORE) for name in X87_CONTROL]
    rows += [(f"xmm{number}", 128, "vec128", SSE) for number in range(8)]
    rows += [("mxcsr", 32, "i386_mxcsr", SSE)]
    rows += [(name, 32, SYSTEM_TYPES.get(name, "uint32"), SYSTEM) for name in _SYSTEM]
    return tuple(Register(number, *row) for number, row in enumerate(rows))


LAYOUT = _layout()
BY_NAME = {register.name: register for register in LAYOUT}
GDBS_OWN = tuple(register for register in LAYOUT if register.feature != SYSTEM)
"""What every GDB takes an i386 to have."""
ORIG_EAX = len(GDBS_OWN)
"""What a GDB that runs on Linux takes for the next one: EAX before a system call, which the kernel keeps for it."""
EXPEDITED = LAYOUT[: BY_NAME["eflags"].number + 1]
"""What GDB wants to know after every stop: frames, and what conditions are mostly about.  Each has 32 bits."""
