"""What an instruction is, for the reference of the timing models: capstone decodes, the manuals' words name it.

Nothing of emu/timing is used here, so that its decoder and its lists of registers have an oracle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from capstone import CS_ARCH_X86, CS_MODE_16, CS_MODE_32, Cs
from capstone.x86 import X86_OP_IMM, X86_OP_MEM, X86_OP_REG

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
SEGMENTS = frozenset(("es", "cs", "ss", "ds", "fs", "gs"))
STRINGS = ("movs", "stos", "lods", "scas", "cmps", "ins", "outs")
CONTROL = frozenset(("Jcc", "JCXZ", "LOOP", "LOOPE", "LOOPNE", "JMP", "CALL", "RET", "IRET", "INT", "INT3", "INTO"))

_NAMES = (
    dict.fromkeys(("cbw", "cwde"), "CBW")
    | dict.fromkeys(("cwd", "cdq"), "CWD")
    | dict.fromkeys(("jcxz", "jecxz"), "JCXZ")
    | dict.fromkeys(("pushal", "pushaw"), "PUSHA")
    | dict.fromkeys(("popal", "popaw"), "POPA")
    | dict.fromkeys(("pushfd", "pushf"), "PUSHF")
    | dict.fromkeys(("popfd", "popf"), "POPF")
    | dict.fromkeys(("iretd", "iret"), "IRET")
    | {"lcall": "CALL", "ljmp": "JMP", "retf": "RET", "xlatb": "XLAT", "sal": "SHL", "pause": "NOP"}
)
_BY_OPCODE = (
    {0xC2: "imm near", 0xC3: "near", 0xCA: "imm far", 0xCB: "far", 0xC8: "imm,imm", 0xCD: "imm"}
    | dict.fromkeys((0xD4, 0xD5), "imm")
    | dict.fromkeys((0xE4, 0xE5, 0xA8, 0xA9), "acc,imm")
    | dict.fromkeys((row + column for row in range(0, 0x40, 8) for column in (4, 5)), "acc,imm")
    | dict.fromkeys((0xE6, 0xE7), "imm,acc")
    | dict.fromkeys((0xEC, 0xED), "acc,DX")
    | dict.fromkeys((0xEE, 0xEF), "DX,acc")
    | dict.fromkeys((0xA0, 0xA1), "acc,moffs")
    | dict.fromkeys((0xA2, 0xA3), "moffs,acc")
    | dict.fromkeys((0x9A, 0xEA), "ptr far")
    | dict.fromkeys((0xE8, 0xE9, 0xEB, *range(0xE0, 0xE4), *range(0x70, 0x80)), "rel")
    | dict.fromkeys(range(0x91, 0x98), "acc,r")
    | dict.fromkeys(range(0x0F80, 0x0F90), "rel")
)
_FORM_WITHOUT_OPERANDS = frozenset((0xC3, 0xCB, 0xD4, 0xD5))
USES_STACK = frozenset(
    (
        *("PUSH", "POP", "CALL", "RET", "PUSHF", "POPF", "PUSHA", "POPA", "LEAVE", "ENTER"),
        *("IRET", "INT", "INT3", "INTO"),
    )
)
# What capstone 5.0.7 has otherwise; the manual's "Operation" sections have it.
_STACK = ("PUSH", "POP", "PUSHF", "POPF", "CALL", "RET", "IRET")
_ASCII = ("AAA", "AAS", "DAA", "DAS", "AAM", "AAD")
_ALSO_READ = (
    dict.fromkeys((*_STACK, "INT", "INT3"), "esp")
    | dict.fromkeys(_ASCII, "al")
    | {"SAHF": "ah", "XLAT": "al ebx", "ENTER": "esp ebp"}
)
_ALSO_WRITTEN = (
    dict.fromkeys(_STACK, "esp")
    | dict.fromkeys(_ASCII, "al")
    | {"XLAT": "al", "ENTER": "esp ebp", "LAHF": "ah", "CMPXCHG8B": "eax edx"}
)
_WRITES_NONE = frozenset(("CMP", "TEST", "BOUND"))
ORIGIN = 0x1000
"""Where capstone is told that instructions are."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """An instruction as the tables name it, and what the rules ask about it; sizes in bits.

    `decode` makes one for the same bytes, so one is equal to itself only.
    """

    mnemonic: str
    form: str
    size: int
    length: int
    prefixes: int
    """Prefix bytes, without REP and 0F."""
    repeated: bool
    has_0f: bool
    components: int
    """Of the i386: every byte of prefixes, opcode, ModR/M and SIB; a whole displacement; a whole immediate."""
    base: str
    """The 32-bit register that the address of a memory operand begins with, or ""."""
    index: str
    """Its index register, or ""; of a 16-bit address SI or DI beside BX or BP."""
    has_displacement: bool
    has_immediate: bool
    reads: frozenset[str]
    """General registers, with those of an address; AL, AH and AX are EAX."""
    writes: frozenset[str]
    reads_wide: frozenset[str]
    """Those read as 16 or 32 bits, also in an address."""
    writes_byte: frozenset[str]
    """Those of which a byte is written."""
    reads_memory: bool
    writes_memory: bool
    level: int
    """Of ENTER."""
    condition: int
    """The number of a Jcc's or SETcc's condition, in its opcode; of others the same bits without a meaning."""
    operands: tuple[Any, ...]
    """Capstone's."""
    names: tuple[str, ...]
    """Of the registers among the operands, "" for others."""
    selector: int
    """Of a far pointer in the instruction; -1 without one."""
    operand_bits: int
    """The operand size that prefixes and segment give, whether the instruction has one or not."""
    address_bits: int

    def target(self, eip: int) -> int:
        """Where a relative branch at `eip` leads."""
        return eip + int(self.operands[-1].imm) - ORIGIN & (0xFFFF if self.operand_bits == 16 else 0xFFFFFFFF)

    @property
    def loads_segment(self) -> str:
        """The data segment register that it loads, or ""."""
        if self.form in ("sreg,r", "sreg,m") or (self.mnemonic, self.form) == ("POP", "sreg"):
            return self.names[0]
        return self.mnemonic[1:].lower() if self.mnemonic in ("LDS", "LES", "LFS", "LGS", "LSS") else ""

    def register_name(self, number: int) -> str:
        """Capstone's number of a register as a name, "" for none."""
        return _engine(32).reg_name(number) or ""

    @property
    def writes_late(self) -> frozenset[str]:
        """What it writes, without ESP where that only counts down or up: addresses know it early."""
        is_target = self.mnemonic == "POP" and bool({"esp", "sp"} & set(self.names))
        return self.writes - ({"esp"} if self.uses_stack and not is_target else set())

    @property
    def modifies_memory(self) -> bool:
        return self.reads_memory and self.writes_memory

    @property
    def is_push(self) -> bool:
        return self.mnemonic == "PUSH" and self.form in ("r", "imm")

    @property
    def is_pop(self) -> bool:
        return self.mnemonic == "POP" and self.form == "r"

    @property
    def is_branch(self) -> bool:
        return self.mnemonic in CONTROL

    @property
    def uses_stack(self) -> bool:
        """Whether ESP is an address without being named; of INT also where its handler has another stack."""
        return self.mnemonic in USES_STACK


@cache
def decode(code: bytes, bits: int) -> Decoded:
    """The instruction that `code` begins with; `ValueError` if capstone knows none."""
    engine = _engine(bits)
    found = next(engine.disasm(code, ORIGIN), None)
    if found is None:
        raise ValueError(f"no instruction: {code.hex()}")
    raw = bytes(found.bytes)
    prefixes = 0
    while raw[prefixes] in (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3):
        prefixes += 1
    repeats = sum(byte in (0xF2, 0xF3) for byte in raw[:prefixes])
    has_0f = raw[prefixes] == 0x0F
    word = found.mnemonic.split()[-1]
    mnemonic = _name(word)
    is_string = mnemonic.lower() in STRINGS
    memory = next((operand for operand in found.operands if operand.type == X86_OP_MEM), None)
    immediates = [operand for operand in found.operands if operand.type == X86_OP_IMM]
    opcode = raw[prefixes + 1] | 0x0F00 if has_0f else raw[prefixes]
    form = _form(found, mnemonic, opcode)
    base, index = _address(found, memory) if memory is not None and not is_string else ("", "")
    displacement = bool(memory is not None and found.encoding.disp_size and opcode not in range(0xA0, 0xA4))
    immediate = bool(found.encoding.imm_size) and form != "rel"
    return Decoded(
        f"REP {mnemonic}" if repeats and is_string else mnemonic,
        form,
        _size(found, mnemonic, opcode, bits, raw[:prefixes]),
        found.size,
        prefixes - repeats,
        bool(repeats),
        has_0f,
        _components(found, raw, prefixes, has_0f),
        base,
        index,
        displacement,
        immediate,
        *_registers(found, mnemonic),
        _touches(found, mnemonic, memory, 1),
        _touches(found, mnemonic, memory, 2),
        immediates[1].imm & 31 if mnemonic == "ENTER" else 0,
        opcode & 15,
        tuple(found.operands),
        tuple(found.reg_name(operand.reg) if operand.type == X86_OP_REG else "" for operand in found.operands),
        immediates[0].imm if opcode in (0x9A, 0xEA) else -1,
        48 - bits if 0x66 in raw[:prefixes] else bits,
        8 * found.addr_size,
    )


def register_value(name: str, registers: dict[str, int]) -> int:
    """What a register of 8, 16 or 32 bits holds."""
    value = registers[_family(name)]
    return (
        value
        if name[0] == "e"
        else value >> 8 & 0xFF
        if name[1] == "h"
        else value & (0xFF if name[1] == "l" else 0xFFFF)
    )


@cache
def _engine(bits: int) -> Cs:
    engine = Cs(CS_ARCH_X86, CS_MODE_16 if bits == 16 else CS_MODE_32)
    engine.detail = True
    return engine


def _name(word: str) -> str:
    if word in _NAMES:
        return _NAMES[word]
    if word.startswith("j") and word != "jmp":
        return "Jcc"
    if word.startswith("set"):
        return "SETcc"
    if word[:-1] in STRINGS and word[-1] in "bwd":
        return word[:-1].upper()
    return word.upper()


def _form(found: Any, mnemonic: str, opcode: int) -> str:
    if mnemonic.lower() in STRINGS or not (found.operands or opcode in _FORM_WITHOUT_OPERANDS):
        return ""
    if opcode in _BY_OPCODE:
        return _BY_OPCODE[opcode]
    if 0xD8 <= opcode <= 0xDF:
        return _x87_form(found)
    kinds = ",".join(_kind(found, operand) for operand in found.operands)
    if opcode == 0xFF and mnemonic in ("CALL", "JMP"):
        return f"{kinds} {'far' if found.modrm >> 3 & 7 in (3, 5) else 'near'}"
    if opcode == 0x8F and kinds == "r":
        return "r long"
    if 0xD0 <= opcode <= 0xD3:
        return kinds.split(",")[0] + (",1" if opcode <= 0xD1 else ",CL")
    return f"{kinds.rsplit(',', 1)[0]},CL" if opcode in (0x0FA5, 0x0FAD) else kinds


def _x87_form(found: Any) -> str:
    operand = found.operands[-1]
    if operand.type == X86_OP_REG:
        return "AX" if found.reg_name(operand.reg) == "ax" else "ST(i)"
    if found.mnemonic in ("fldenv", "fnstenv", "fnsave", "frstor"):
        return "m"
    return f"m{operand.size * 8}"


def _kind(found: Any, operand: Any) -> str:
    if operand.type == X86_OP_MEM:
        return "m"
    if operand.type == X86_OP_IMM:
        return "imm"
    name = found.reg_name(operand.reg)
    if name in SEGMENTS:
        return "sreg"
    if name.startswith("dr"):
        return "DR0-3" if name[2] < "4" else "DR4-5" if name[2] < "6" else "DR6-7"
    return str(name).upper() if name.startswith("cr") else "r"


def _size(found: Any, mnemonic: str, opcode: int, bits: int, prefixes: bytes) -> int:
    """The operand size, where the tables ask for it."""
    if mnemonic in ("MUL", "IMUL", "DIV", "IDIV", "BSF", "BSR", *(word.upper() for word in STRINGS)):
        if opcode in (0xF6, *range(0x6C, 0x70, 2), *range(0xA4, 0xB0, 2)):
            return 8
    elif mnemonic not in ("PUSHA", "POPA"):
        first = found.operands[0].size * 8 if found.operands else 0
        return first if first in (8, 16, 32) else 32
    return 48 - bits if 0x66 in prefixes else bits


def _address(found: Any, memory: Any) -> tuple[str, str]:
    base = _family(found.reg_name(memory.mem.base) or "")
    index = _family(found.reg_name(memory.mem.index) or "")
    return base, index


def _family(name: str) -> str:
    """The 32-bit register that a name is a part of, or "" for what is none."""
    if name in GENERAL:
        return name
    if name in ("al", "ah", "bl", "bh", "cl", "ch", "dl", "dh"):
        return f"e{name[0]}x"
    return f"e{name}" if f"e{name}" in GENERAL else ""


def _registers(found: Any, mnemonic: str) -> tuple[frozenset[str], ...]:
    """What is read, written, read as more than a byte, and written as a byte."""
    read_ids, written_ids = found.regs_access()
    read = [found.reg_name(number) for number in read_ids]
    written = [found.reg_name(number) for number in written_ids] if mnemonic not in _WRITES_NONE else []
    if mnemonic in ("CMPXCHG", "XADD", "LAR", "LSL", "SLDT", "STR", "SMSW"):
        targets = found.operands[: 2 if mnemonic == "XADD" else 1]
        names = [found.reg_name(operand.reg) for operand in targets if operand.type == X86_OP_REG]
        written += names
        if mnemonic == "CMPXCHG":
            read += names
            written.append("al" if found.operands[0].size == 1 else "eax")
    if mnemonic == "CWD":
        written = ["edx"]
    if mnemonic in ("CMP", "TEST"):
        read += [found.reg_name(operand.reg) for operand in found.operands if operand.type == X86_OP_REG]
    read += _ALSO_READ.get(mnemonic, "").split()
    written += _ALSO_WRITTEN.get(mnemonic, "").split()
    wide = [name for name in read if name and name[-1] not in "lh"]
    parts = [name for name in written if name and name[-1] in "lh"]
    return tuple(frozenset(map(_family, names)) - {""} for names in (read, written, wide, parts))


def _touches(found: Any, mnemonic: str, memory: Any, kind: int) -> bool:
    if memory is None or mnemonic == "LEA":
        return False
    return bool(memory.access & kind)


def _components(found: Any, raw: bytes, prefixes: int, has_0f: bool) -> int:
    at = prefixes + (2 if has_0f else 1)
    count = at
    encoding = found.encoding
    if encoding.modrm_offset:
        count += 1
        at += 1
        if raw[at - 1] & 7 == 4 and raw[at - 1] < 0xC0 and found.addr_size == 4:
            count += 1
            at += 1
        if encoding.disp_size:
            count += 1
            at += encoding.disp_size
    rest = len(raw) - at
    # "The entire immediate data (if any) counts as one component": so does a far pointer.
    return count + (1 if rest else 0)
