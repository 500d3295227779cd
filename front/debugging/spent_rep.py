"""REP whose last iteration is done: our processor needs one more look at the count to see that, which is no step.

::

    rep stosb      ECX 2  --iteration-->  ECX 1  --iteration-->  ECX 0, EIP still at the REP  --look-->  EIP behind it
                                          a step                 where a processor would       no step
                                                                 be behind it already

A processor with TF set traps behind each iteration, and the last one leaves EIP behind the instruction; a debugger's
steps are to be those.  The look counts as an instruction in `instructions`, and executes nothing.

Source: Intel SDM Vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ" (its pseudocode leaves the loop when the count is zero);
Vol. 3B, "Single-Step Exception Condition".
"""

from __future__ import annotations

from hillemu.debugging.memory_access import read_linear
from hillemu.debugging.register_access import RegisterFile, code_size
from hillemu.emu.guest import GuestMemory
from hillemu.emu.i386.control import ControlState

_ADDRESS_SIZE, _REPS = 0x67, frozenset((0xF2, 0xF3))
_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, _ADDRESS_SIZE, 0xF0)) | _REPS
_STRING_INSTRUCTIONS = frozenset((*range(0x6C, 0x70), *range(0xA4, 0xA8), *range(0xAA, 0xB0)))
"""INS, OUTS; MOVS, CMPS; STOS, LODS, SCAS."""
_LONGEST = 15


def is_spent_rep(cpu: RegisterFile, memory: GuestMemory) -> bool:
    """Whether the next instruction is a string instruction with REP, and its count zero."""
    code = read_linear(memory, cpu.linear_eip, _LONGEST, ControlState.read(cpu))
    length = next((at for at, byte in enumerate(code) if byte not in _PREFIXES), len(code))
    prefixes = code[:length]
    if _REPS.isdisjoint(prefixes) or length == len(code) or code[length] not in _STRING_INSTRUCTIONS:
        return False
    counts_in_16_bits = (code_size(cpu) == 16) != (_ADDRESS_SIZE in prefixes)
    return cpu.get("ecx") & (0xFFFF if counts_in_16_bits else 0xFFFFFFFF) == 0
