"""Which row of the timing tables an instruction belongs to, and how long it is.

A `Form` is a mnemonic with the kinds of its operands, as the tables have them: ``ADD r,m``, ``CALL ptr far``.  A `Slot`
is an encoding of the opcode map: its form, its operand width and what follows its ModR/M byte.

>>> decode(bytes.fromhex("6603 45 08"), bits=32)
Instruction(form=Form(mnemonic='ADD', operands='r,m'), size=16, length=4, prefixes=1, modrm=69)
>>> decode(b"\\xf3\\xa5", bits=32).form
Form(mnemonic='REP MOVS', operands='')

Conditions share one form (``Jcc``, ``SETcc``), CWDE is the 32-bit CBW, CDQ the 32-bit CWD, JECXZ is JCXZ, ``REP CMPS``
stands for REPE and REPNE.  The map itself, its source and what is not in it: `opcode_map`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import NamedTuple

from hillemu.emu.timing.opcode_map import ONE_BYTE, TWO_BYTE, X87

X87_ESCAPES = range(0xD8, 0xE0)
PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
MAX_LENGTH = 15
"""Bytes of the longest instruction that the i386 and its followers execute."""


class Form(NamedTuple):
    """What the tables have one entry for."""

    mnemonic: str
    operands: str

    def __str__(self) -> str:
        return f"{self.mnemonic} {self.operands}".rstrip()


class Width(IntEnum):
    """How wide a slot's operation is: in the encoding, or by the operand size."""

    NONE = 0
    BYTE = 1
    WORD = 2
    DWORD = 3
    OPERAND_SIZE = 4

    def sizes(self) -> tuple[int, ...]:
        """The operand sizes, in bits, that this width can mean; 0 where width has no meaning."""
        return ((0,), (8,), (16,), (32,), (16, 32))[self]


class Tail(IntEnum):
    """What follows the opcode, its ModR/M byte and displacement."""

    NONE = 0
    BYTE = 1
    WORD = 2
    OPERAND_SIZE = 3
    WORD_AND_BYTE = 4
    ADDRESS_SIZE = 5
    FAR_POINTER = 6

    def length(self, operand_size: int, address_size: int) -> int:
        """Bytes, with sizes in bits."""
        return (0, 1, 2, operand_size // 8, 3, address_size // 8, 2 + operand_size // 8)[self]


class Slot(NamedTuple):
    """One encoding.

    `mod_ignored`: the ModR/M byte names registers only, whatever its mod field says.  `operands` are as in the map,
    with ``M`` for a memory operand that could have been a register.
    """

    form: Form
    width: Width
    tail: Tail
    has_modrm: bool
    mod_ignored: bool = False
    operands: tuple[str, ...] = ()


class Instruction(NamedTuple):
    """A decoded instruction.  `size` is in bits, 0 where the form has no width; `modrm` is -1 without one."""

    form: Form
    size: int
    length: int
    prefixes: int
    modrm: int


SlotKey = tuple[int, int, bool]
"""Opcode (two-byte ones are 0x0F00 and up), ModR/M's reg field (0 if unused), whether rm is memory."""

_KINDS = {"E": "r", "M": "m", "R": "r", "U": "r", "G": "r", "Z": "r", "A": "acc", "I": "imm", "J": "rel", "O": "moffs"}
_WIDTHS = {"b": Width.BYTE, "w": Width.WORD, "d": Width.DWORD, "v": Width.OPERAND_SIZE}
_TAILS = {
    ("Ib",): Tail.BYTE,
    ("Is",): Tail.BYTE,
    ("Js",): Tail.BYTE,
    ("Iw",): Tail.WORD,
    ("Iv",): Tail.OPERAND_SIZE,
    ("Jv",): Tail.OPERAND_SIZE,
    ("Iw", "Ib"): Tail.WORD_AND_BYTE,
    ("Ob",): Tail.ADDRESS_SIZE,
    ("Ov",): Tail.ADDRESS_SIZE,
    ("Pp",): Tail.FAR_POINTER,
    (): Tail.NONE,
}
_X87_REGISTER_FORM = re.compile(r"D[89A-F] [C-F][0-9A-F](\+i)?")
_REPEATED = ("MOVS", "STOS", "LODS", "CMPS", "SCAS", "INS", "OUTS")


@cache
def slots() -> dict[SlotKey, Slot]:
    """Every encoding of the one-byte and two-byte map; of the x87, those with a memory operand."""
    found: dict[SlotKey, Slot] = {}
    for offset, text in ((0, ONE_BYTE), (0x0F00, TWO_BYTE), (0, X87)):
        for opcode, (mnemonic, *rest) in _lines(text):
            head, _, reg = opcode.partition("/")
            if " " in head:
                continue  # an x87 register form
            first, _, many = head.partition("+")
            for code in range(int(first, 16), int(first, 16) + {"": 1, "r": _registers_from(first), "c": 16}[many]):
                for slot_reg in [int(reg)] if reg else range(8):
                    for is_memory, slot in _variants(mnemonic, rest, bool(reg)):
                        found[offset + code, slot_reg, is_memory] = slot
    return found


@cache
def x87_register_slots() -> dict[tuple[int, int], Slot]:
    """Escape opcode and ModR/M byte (C0h and up) of every x87 instruction without a memory operand."""
    found: dict[tuple[int, int], Slot] = {}
    for opcode, (mnemonic, *rest) in _lines(X87):
        escape, _, modrm = opcode.partition(" ")
        if modrm:
            first, _, many = modrm.partition("+")
            for code in range(int(first, 16), int(first, 16) + (8 if many else 1)):
                found[int(escape, 16), code] = Slot(Form(mnemonic, " ".join(rest)), Width.NONE, Tail.NONE, True)
    return found


@cache
def forms() -> dict[Form, frozenset[int]]:
    """Every form with the operand sizes in bits that it comes in (0: width has no meaning), in a fixed order."""
    found: dict[Form, set[int]] = {}
    for slot in (*slots().values(), *x87_register_slots().values()):
        found.setdefault(slot.form, set()).update(slot.width.sizes())
        if (repeated := repeated_form(slot.form)) is not None:
            found.setdefault(repeated, set()).update(slot.width.sizes())
    return {form: frozenset(found[form]) for form in sorted(found)}


def repeated_form(form: Form) -> Form | None:
    """The form with a repeat prefix, or None where such a prefix means nothing."""
    return Form(f"REP {form.mnemonic}", form.operands) if form.mnemonic in _REPEATED else None


def decode(code: bytes, bits: int) -> Instruction | None:
    """The instruction that `code` begins with, in a code segment of 16 or 32 `bits`.

    None if it is not in the map, is longer than 15 bytes or does not end within `code`.
    """
    at, operand_size, address_size, repeated = 0, bits, bits, False
    while at < len(code) and (prefix := code[at]) in PREFIXES:
        operand_size = 48 - bits if prefix == 0x66 else operand_size
        address_size = 48 - bits if prefix == 0x67 else address_size
        repeated |= prefix in (0xF2, 0xF3)
        at += 1
    prefixes = at
    if at + 1 < len(code) and code[at] == 0x0F:
        opcode, at = 0x0F00 | code[at + 1], at + 2
    elif at < len(code):
        opcode, at = code[at], at + 1
    else:
        return None
    modrm = code[at] if at < len(code) else -1
    slot = _slot_at(opcode, modrm)
    if slot is None:
        return None
    if slot.has_modrm:
        after = at + 1 if slot.mod_ignored else _displacement(code, at, address_size)
        if after is None:
            return None
        at = after
    at += slot.tail.length(operand_size, address_size)
    if at > min(len(code), MAX_LENGTH):
        return None
    form = (repeated_form(slot.form) if repeated else None) or slot.form
    size = operand_size if slot.width is Width.OPERAND_SIZE else slot.width.sizes()[0]
    return Instruction(form, size, at, prefixes, modrm if slot.has_modrm else -1)


def _slot_at(opcode: int, modrm: int) -> Slot | None:
    if (slot := slots().get((opcode, 0, False))) is not None and not slot.has_modrm:
        return slot
    if modrm < 0:
        return None
    if opcode in X87_ESCAPES and modrm >= 0xC0:
        return x87_register_slots().get((opcode, modrm))
    return slots().get((opcode, modrm >> 3 & 7, modrm < 0xC0))


def _displacement(code: bytes, at: int, address_size: int) -> int | None:
    """Where the ModR/M byte at `at`, its SIB byte and its displacement end; None outside of `code`."""
    mod, rm = code[at] >> 6, code[at] & 7
    at += 1
    if mod == 3:
        return at
    if address_size == 16:
        return at + (2 if mod == 2 or (mod == 0 and rm == 6) else mod)
    base = rm
    if rm == 4:
        if at >= len(code):
            return None
        base, at = code[at] & 7, at + 1
    return at + (4 if mod == 2 or (mod == 0 and base == 5) else mod)


def _lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Pairs of an opcode as written, and the words after it."""
    for entry in text.replace("\n", ";").split(";"):
        if words := entry.split():
            count = (
                2 if len(words[0]) == 2 and words[0][0] == "D" and words[1][:2].isalnum() and _is_hex(words[1]) else 1
            )
            yield " ".join(words[:count]), words[count:]


def _is_hex(word: str) -> bool:
    return len(word.partition("+")[0]) == 2 and set(word.partition("+")[0]) <= set("0123456789ABCDEF")


def _registers_from(first: str) -> int:
    """How many opcodes ``first+r`` stands for: up to the end of its row of eight."""
    return 8 - int(first, 16) % 8


def _variants(mnemonic: str, rest: list[str], is_group: bool) -> Iterator[tuple[bool, Slot]]:
    """The slots of one line: for a register and for a memory operand, where it has a choice."""
    explicit = next((_WIDTHS[word[1]] for word in rest if word.startswith(":")), None)
    words = [word for word in rest if not word.startswith(":")]
    operands = words[0].split(",") if words and _is_operand_list(words[0]) else []
    suffix = words[1:] if operands else words
    letters = {operand[0] for operand in operands if _is_coded(operand)}
    has_modrm = is_group or bool(letters & set("EMRUG")) or any(word.startswith("m") for word in operands)
    width = explicit or next(
        (
            _WIDTHS.get(operand[1], Width.NONE)
            for operand in operands
            if _is_coded(operand) and operand[0] not in "IJOP"
        ),
        Width.NONE,
    )
    tail = _TAILS[tuple(operand for operand in operands if _is_coded(operand) and operand[0] in "IJOP")]
    for is_memory in (False, True):
        needs_memory = "M" in letters or any(operand[0] == "m" for operand in operands)
        if "R" in letters if is_memory else needs_memory:
            continue
        kinds = [_kind(operand, is_memory) for operand in operands]
        form = Form(mnemonic, " ".join([",".join(kinds), *suffix]).strip())
        codes = [f"M{operand[1]}" if is_memory and operand[0] == "E" else operand for operand in operands]
        yield is_memory, Slot(form, width, tail, has_modrm, "U" in letters, tuple(codes))


def _is_operand_list(word: str) -> bool:
    return word not in ("near", "far", "long")


def _is_coded(operand: str) -> bool:
    """Whether `operand` is a letter and a width, not a name such as CL."""
    return len(operand) == 2 and operand[0] in "EMRUGZAIJOP" and operand[1] in "bwdvpsx"


def _kind(operand: str, is_memory: bool) -> str:
    if not _is_coded(operand):
        return operand
    if operand == "Pp":
        return "ptr far"
    return "m" if operand[0] == "E" and is_memory else _KINDS[operand[0]]
