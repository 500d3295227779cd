"""Directives, labels, macros and conditions."""

from __future__ import annotations

from pathlib import Path

import pytest

from hillemu.boot.assembler import AssemblyError, Layout, assemble_file, assemble_text

FLAT = Layout(flat=True, base=0x1000)


def flat(text: str) -> bytes:
    return assemble_text(text, layout=FLAT).data


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (".byte 1, -1, 0xFF", "01ffff"),
        (".word 0x1234\n.long 0x12345678", "341278563412"),
        (".quad -1", "ff" * 8),
        ('.ascii "a\\n\\x41\\101\\"", "b"', "610a41412262"),
        ('.asciz "hi"', "686900"),
        (".space 3", "000000"),
        (".skip 2, 0xAA", "aaaa"),
        (".fill 2, 2, 0x1234", "34123412"),
        (".byte 1\n.balign 4\n.byte 2", "0190909002"),
        (".byte 1\n.balign 4, 0\n.byte 2", "0100000002"),
        (".byte 1\n.p2align 1\n.byte 2", "019002"),
        (".byte 1\n.balign 8, 0, 2\n.byte 2", "0102"),
        (".byte 1\n.org 3\n.byte 2", "01000002"),
        (".byte 1\n. = . + 2\n.byte 2", "01000002"),
        ("x = 1\n.byte x\nx = x + 1\n.byte x", "0102"),
        (".byte late\n.equ late, 7", "07"),
        ("a: .long a, b - a\nb:", "0010000008000000"),
        (".long . , .", "0010000000100000"),
        (".equ here, .\n.byte 9\n.long here", "0900100000"),
        ("1: nop\njmp 1b\njmp 1f\n1: nop", "90ebfdeb0090"),
        (".rept 3\n.byte 5\n.endr", "050505"),
        (".irp n, 1, 2\n.byte \\n\n.endr", "0102"),
        (".if 1 == 2\n.byte 1\n.elseif 3 > 2\n.byte 2\n.else\n.byte 3\n.endif", "02"),
        (".if 0\n.if 1\n.byte 1\n.endif\n.else\n.byte 2\n.endif", "02"),
        (".ifdef x\n.byte 1\n.endif\nx = 1\n.ifdef x\n.byte 2\n.endif", "02"),
        (".data\n.byte 2\n.text\n.byte 1", "0102"),
        (".byte 1 /* not\n this */, 2 // nor this\n.byte 3 # nor this", "010203"),
    ],
)
def test_a_directive_gives_these_bytes(source: str, expected: str) -> None:
    assert flat(source).hex() == expected


def test_macros_take_positional_named_default_and_rest_arguments() -> None:
    source = """
    .macro m a, b=7, rest:vararg
    .byte \\a, \\b
    .ifnb \\rest
    .byte \\rest
    .endif
    .endm
    m 1
    m 1, 2
    m b=3, a=4
    m 1 2 8, 9
    """
    assert flat(source) == bytes((1, 7, 1, 2, 4, 3, 1, 2, 8, 9))


def test_each_expansion_has_its_own_number_for_labels() -> None:
    source = """
    .macro hang
    here\\@: jmp here\\@
    .endm
    hang
    hang
    """
    assert flat(source).hex() == "ebfeebfe"


def test_macros_can_nest_and_leave_early() -> None:
    source = """
    .macro inner n
    .byte \\n
    .if \\n == 2
    .exitm
    .endif
    .byte 0xEE
    .endm
    .macro outer
    inner 1
    inner 2
    .endm
    outer
    """
    assert flat(source).hex() == "01ee02"


def test_an_argument_is_replaced_inside_a_string_too() -> None:
    assert flat('.macro say what\n.ascii "<\\what\\()x>"\n.endm\nsay "a b"') == b"<a bx>"


def test_a_jump_is_short_where_it_reaches_and_grows_where_it_does_not() -> None:
    for gap, size in ((127, 2), (128, 5)):
        image = assemble_text(f"start: jmp end\nafter: .space {gap}\nend:", layout=FLAT)
        assert image.symbols["after"] - image.symbols["start"] == size


def test_growing_one_jump_can_make_another_grow() -> None:
    # With 125 bytes between, `b` misses `y` by one byte; `a` would reach `x` if `b` were short.
    source = "a: jmp x\nb: jmp y\nc: .space {gap}\nx: .space 3\ny: nop"
    near = assemble_text(source.format(gap=124), layout=FLAT).symbols
    assert (near["b"] - near["a"], near["c"] - near["b"]) == (2, 2)
    far = assemble_text(source.format(gap=125), layout=FLAT).symbols
    assert (far["b"] - far["a"], far["c"] - far["b"]) == (5, 5)


def test_a_bare_label_is_the_memory_there_and_offset_is_its_address() -> None:
    assert flat("mov eax, v\nmov eax, offset v\nv: nop").hex() == "a10a100000b80a10000090"


def test_a_constant_is_a_number_without_offset() -> None:
    assert flat(".equ n, 5\nmov eax, n\nmov eax, [n]").hex() == "b805000000a105000000"


def test_a_constant_that_is_defined_too_late_is_refused_instead_of_read_from_memory() -> None:
    with pytest.raises(AssemblyError, match="define it above"):
        flat("mov eax, n\n.equ n, 5")


def test_includes_are_found_beside_their_file_and_in_the_include_paths(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.inc").write_text('.include "b.inc"\n.byte 1\n')
    (tmp_path / "sub" / "b.inc").write_text(".byte 2\n")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "c.inc").write_text(".byte 3\n")
    (tmp_path / "blob").write_bytes(b"0123456789")
    main = tmp_path / "main.s"
    main.write_text('.include "sub/a.inc"\n.include "c.inc"\n.incbin "blob", 2, 3\n')
    image = assemble_file(main, layout=FLAT, include_paths=[tmp_path / "else"])
    assert image.data == b"\x02\x01\x03234"


def test_defines_are_constants_from_outside() -> None:
    assert assemble_text(".byte n", layout=FLAT, defines={"n": 9}).data == b"\x09"


def test_the_same_source_gives_the_same_bytes() -> None:
    source = ".global _start\n_start: jmp far_away\n.space 500\nfar_away: hlt\n.data\n.long _start"
    assert assemble_text(source).data == assemble_text(source).data
