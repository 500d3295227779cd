"""A faulty source: one line that names file, line, statement and fault."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.boot.assembler import AssemblyError, Layout, assemble_file, assemble_text

FLAT = Layout(flat=True, base=0)


def complaint(text: str) -> str:
    with pytest.raises(AssemblyError) as caught:
        assemble_text(text, name="x.s", layout=FLAT)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nop\nmovv eax, 1", "x.s:2: cannot assemble `movv eax, 1`: invalid mnemonic"),
        ("mov eax, bl", "x.s:1: cannot assemble `mov eax, bl`: invalid operands"),
        ("nop; mov al, 0x1234", "x.s:1: cannot assemble `mov al, 0x1234`: 0x1234 does not fit there"),
        ("mov byte ptr [eax], 256", "0x100 does not fit"),
        ("mov al, end - start\nstart: .space 300\nend:", "0x12c does not fit into 8 bits"),
        ("mov [eax], 1", "ambiguous operand size"),
        ("inc [eax]", "ambiguous operand size"),
        ("int 256", "0x100 does not fit into 8 bits"),
        (".code16\nmov eax, [0x12345]", "does not fit into 16 bits"),
        (".code16\njmp dword ptr [bx]", "write `far ptr`"),
        ("mov eax, [eax + ebx + ecx]", "at most two registers"),
        ("mov eax, [esp*2]", "`esp` cannot be scaled"),
        ("mov eax, [ebx*3]", "only 32-bit registers times"),
        ("mov eax, dword [ebx]", "write `dword ptr`"),
        ("data32 nop", "redundant in 32-bit code"),
        ("call nowhere", "undefined symbol `nowhere`"),
        ("startup: call startap", "did you mean `startup`?"),
        ("jmp 1b", "no label `1:` above"),
        ("jmp 1f", "no label `1:` below"),
        ("a: nop\na: nop", "x.s:2: `a` is defined twice, before at x.s:1"),
        ("eax: nop", "`eax` is a register"),
        ("jmp short end\n.space 200\nend:", "200 bytes away"),
        ("loop end\n.space 200\nend:", "200 bytes away"),
        (".byte 256", "0x100 does not fit into 8 bits"),
        (".long 1 << 32", "does not fit into 32 bits"),
        (".bite 1", "no directive `.bite`; did you mean `.byte`?"),
        (".space 5\n.org 3", ".org goes back by 2 bytes"),
        (".space 1 << 40", "more than an image may have"),
        (".space 0 - 1", "the count is negative"),
        (".balign 3", "3 is not a power of two"),
        (".bss\nnop", "section .bss holds no data"),
        (".section .mine", "needs flags"),
        (".macro m\nnop", "`.macro` without `.endm`"),
        (".if 1\nnop", "`.if` without `.endif`"),
        (".endif", "`.endif` without `.if`"),
        (".if late\n.endif\nlate = 1", "must be a constant defined above"),
        (".macro m a:req\n.endm\nm", "needs its argument `a`"),
        (".macro m\nm\n.endm\nm", "inside one another"),
        (".rept 100000000\nnop\n.endr", "more than 1000000 statements"),
        ('.include "missing.inc"', "cannot find `missing.inc`"),
        ('.ascii "open', "closing"),
        ("/* open", "without `*/`"),
        ("a = b\nb = a\n.byte a", "defined by itself"),
        ("x: .space y - x + 1\ny:", "the addresses never settle"),
        ('.error "not for this machine"', "x.s:1: not for this machine"),
        (".code64", "no directive `.code64`"),
        ("", "nothing to assemble"),
    ],
)
def test_a_mistake_is_told_in_one_line(source: str, message: str) -> None:
    assert message in complaint(source)


def test_the_message_tells_the_way_through_includes_and_macros(tmp_path: Path) -> None:
    (tmp_path / "m.inc").write_text(".macro twice what\n\\what\n\\what\n.endm\n")
    (tmp_path / "b.inc").write_text("nop\ntwice bogus\n")
    main = tmp_path / "main.s"
    main.write_text('.include "m.inc"\n.include "b.inc"\n')
    with pytest.raises(AssemblyError) as caught:
        assemble_file(main, layout=FLAT)
    expected = (
        f"{tmp_path}/m.inc:2: cannot assemble `bogus`: invalid mnemonic "
        f"(in macro `twice`, used at {tmp_path}/b.inc:2; included from {tmp_path}/main.s:2)"
    )
    assert str(caught.value) == expected


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.s"
    loop.write_text('.include "loop.s"\n')
    with pytest.raises(AssemblyError, match="inside one another"):
        assemble_file(loop, layout=FLAT)


def test_a_missing_and_a_binary_source_are_told(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="cannot read"):
        assemble_file(tmp_path / "missing.s")
    (tmp_path / "binary.s").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AssemblyError, match="not UTF-8"):
        assemble_file(tmp_path / "binary.s")


def test_an_elf_image_needs_its_entry_and_its_global_symbols() -> None:
    with pytest.raises(AssemblyError, match="entry symbol `_start`"):
        assemble_text("nop")
    with pytest.raises(AssemblyError, match="undefined symbol `lost`"):
        assemble_text(".global lost\n_start: nop")


WORDS = """
mov add jmp call push eax bl [ ] ( ) + - * , : ; # . .byte .org .if .endif .macro .endm .rept .endr .equ .section
.bss .text " ' \\ 0x10 1f 1b 1: x: x = dword ptr offset st far 8:9 rep lock lgdt ds: @ ~ 99999999999
"""
words = st.sampled_from([*WORDS.split(), "\n", "\n", "\n"])


@given(st.lists(words, max_size=25))
def test_any_mess_of_words_is_assembled_or_refused_but_never_crashes(parts: list[str]) -> None:
    with contextlib.suppress(AssemblyError):
        assemble_text(" ".join(parts), layout=FLAT)
