"""System registers and exception vectors against the manual's tables."""

from __future__ import annotations

import pytest

from hillemu.emu.i386.errorcodes import PageFaultError, SelectorError, explain_error_code
from hillemu.emu.i386.registers import Cr0, Cr3, Cr4, Dr6, Dr7, Efer, Eflags, PaeCr3
from hillemu.emu.i386.vectors import EXCEPTIONS, FIRST_FREE_VECTOR, describe
from hillemu.emu.word import Word

# Bit numbers as the figures of the manual print them, independent of the declarations.
FIGURES = {
    Eflags: {"CF": 0, "PF": 2, "AF": 4, "ZF": 6, "SF": 7, "TF": 8, "IF": 9, "DF": 10, "OF": 11, "NT": 14, "RF": 16,
             "VM": 17, "AC": 18, "VIF": 19, "VIP": 20, "ID": 21},
    Cr0: {"PE": 0, "MP": 1, "EM": 2, "TS": 3, "ET": 4, "NE": 5, "WP": 16, "AM": 18, "NW": 29, "CD": 30, "PG": 31},
    Cr4: {"VME": 0, "PVI": 1, "TSD": 2, "DE": 3, "PSE": 4, "PAE": 5, "MCE": 6, "PGE": 7, "PCE": 8, "OSFXSR": 9,
          "OSXMMEXCPT": 10, "UMIP": 11, "SMEP": 20, "SMAP": 21},
    Efer: {"SCE": 0, "LME": 8, "LMA": 10, "NXE": 11},
    Dr6: {"B0": 0, "B3": 3, "BD": 13, "BS": 14, "BT": 15},
    Dr7: {"L0": 0, "G3": 7, "LE": 8, "GE": 9, "GD": 13, "RW0": 16, "LEN0": 18, "RW3": 28, "LEN3": 30},
}  # fmt: skip


@pytest.mark.parametrize(
    ("register", "name", "number"),
    [(register, name, number) for register, bits in FIGURES.items() for name, number in bits.items()],
)
def test_every_bit_is_where_the_manual_draws_it(register: type[Word], name: str, number: int) -> None:
    assert register.of(**{name: 1}) == 1 << number


def test_flags_print_by_name_from_high_to_low() -> None:
    assert repr(Eflags(0x00003246)) == "Eflags(0x00003246 IOPL=0x3 IF ZF PF)"


def test_cr3_holds_a_frame_or_a_multiple_of_32() -> None:
    assert Cr3(0x00101018).directory == 0x101
    assert PaeCr3(0x00101020).pointers << 5 == 0x00101020


def test_exactly_the_manuals_exceptions_push_an_error_code() -> None:
    assert [number for number, vector in EXCEPTIONS.items() if vector.has_error_code] == [8, 10, 11, 12, 13, 14, 17, 21]


def test_aborts_are_double_fault_and_machine_check() -> None:
    assert [vector.mnemonic for vector in EXCEPTIONS.values() if vector.kind == "abort"] == ["#DF", "#MC"]


def test_every_vector_has_words() -> None:
    texts = [describe(vector) for vector in range(256)]
    assert len(set(texts)) == 256
    assert texts[14] == "#PF page fault"
    assert texts[15] == "reserved vector 0x0f"
    assert texts[FIRST_FREE_VECTOR] == "vector 0x20"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x0, "a read by supervisor mode met a page that is not present"),
        (0x7, "a write by user mode violated the page protection"),
        (0x9, "a read by supervisor mode met a paging entry with a reserved bit set"),
        (0x14, "an instruction fetch by user mode met a page that is not present"),
    ],
)
def test_page_fault_codes_read_as_sentences(code: int, words: str) -> None:
    assert PageFaultError(code).explain() == words
    assert explain_error_code(14, code) == words


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x0000, "no particular descriptor"),
        (0x0028, "selector 0x0028 (GDT entry 5)"),
        (0x000C, "selector 0x000c (LDT entry 1)"),
        (0x0004, "selector 0x0004 (LDT entry 0)"),
        (0x0103, "IDT entry 32, while delivering an external event"),
    ],
)
def test_selector_codes_name_the_table(code: int, words: str) -> None:
    assert SelectorError(code).explain() == words
    assert explain_error_code(13, code) == words


def test_the_double_faults_code_says_nothing() -> None:
    assert explain_error_code(8, 0) == ""
