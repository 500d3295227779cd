"""The processor's own exception vectors, 0-31.

>>> describe(14)
'#PF page fault'
>>> describe(0x20)
'vector 0x20'
>>> EXCEPTIONS[PF].has_error_code
True

Source: Intel SDM Vol. 3A, "Exception and Interrupt Vectors", "Exception and Interrupt Reference".
"""

from __future__ import annotations

DE, DB, NMI, BP, OF, BR, UD, NM, DF, CSO, TS, NP, SS, GP, PF = range(15)
MF, AC, MC, XM, VE, CP = range(16, 22)

FIRST_FREE_VECTOR = 32
"""The first vector that the manual leaves to the system: interrupts belong here and above."""


class ExceptionVector:
    """What the manual says about one of the vectors 0-31.

    `kind` is the manual's class: ``fault`` (EIP is at the instruction, which can be tried again), ``trap`` (EIP is
    behind it), ``fault/trap``, ``abort`` (no way back) or ``interrupt``.
    """

    __slots__ = ("has_error_code", "kind", "mnemonic", "name", "number")

    def __init__(self, number: int, mnemonic: str, name: str, kind: str, has_error_code: bool) -> None:
        self.number = number
        self.mnemonic = mnemonic
        self.name = name
        self.kind = kind
        self.has_error_code = has_error_code

    def __str__(self) -> str:
        return f"{self.mnemonic} {self.name}"

    def __repr__(self) -> str:
        code = "error code" if self.has_error_code else "no error code"
        return f"ExceptionVector({self.number} {self}: {self.kind}, {code})"


EXCEPTIONS: dict[int, ExceptionVector] = {
    row[0]: ExceptionVector(*row)
    for row in (
        (DE, "#DE", "divide error", "fault", False),
        (DB, "#DB", "debug exception", "fault/trap", False),
        (NMI, "NMI", "non-maskable interrupt", "interrupt", False),
        (BP, "#BP", "breakpoint", "trap", False),
        (OF, "#OF", "overflow", "trap", False),
        (BR, "#BR", "BOUND range exceeded", "fault", False),
        (UD, "#UD", "invalid opcode", "fault", False),
        (NM, "#NM", "device not available", "fault", False),
        (DF, "#DF", "double fault", "abort", True),
        (CSO, "CSO", "coprocessor segment overrun", "fault", False),
        (TS, "#TS", "invalid TSS", "fault", True),
        (NP, "#NP", "segment not present", "fault", True),
        (SS, "#SS", "stack-segment fault", "fault", True),
        (GP, "#GP", "general protection", "fault", True),
        (PF, "#PF", "page fault", "fault", True),
        (MF, "#MF", "x87 FPU error", "fault", False),
        (AC, "#AC", "alignment check", "fault", True),
        (MC, "#MC", "machine check", "abort", False),
        (XM, "#XM", "SIMD floating-point exception", "fault", False),
        (VE, "#VE", "virtualization exception", "fault", False),
        (CP, "#CP", "control protection", "fault", True),
    )
}
"""The assigned vectors; 15 and 22-31 are reserved by Intel and absent."""


def describe(vector: int) -> str:
    """Name `vector` (0-255) for people."""
    if vector in EXCEPTIONS:
        return str(EXCEPTIONS[vector])
    if vector < FIRST_FREE_VECTOR:
        return f"reserved vector {vector:#04x}"
    return f"vector {vector:#04x}"
