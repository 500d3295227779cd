"""C text to types: what kernels write is understood, and what is wrong is told with its line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import UserMistake
from hillemu.inspection.structs.c_tokens import WrongC
from hillemu.inspection.structs.type_library import Structs, UnknownType
from hillemu.inspection.structs.types import Enum, IncompleteType, Record


def record(text: str, name: str) -> Record:
    structs = Structs()
    structs.define(text)
    bare = structs[name].bare
    assert isinstance(bare, Record)
    return bare


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("struct p {\n int x\n int y;\n};", 2, "expected ';' after member 'x' of struct p, found 'int'"),
        ("struct p {\n foo_t x;\n};", 2, "unknown type 'foo_t'"),
        ("struct list { int a; };\nstruct p { list x; };", 2, "unknown type 'list'; did you mean 'struct list'?"),
        ("typedef int number;\nstruct p { nunber x; };", 2, "unknown type 'nunber'; did you mean 'number'"),
        ("int a;\nasm", 2, "expected '(', found 'the end of the text'"),
        ("int a asm;", 1, "expected '(', found ';'"),
        ("struct p { int x;", 1, "the body of struct p has no '}'"),
        ("struct p { int x; }\nstruct q { int y; };", 1, "expected ';' after this '}', found 'struct'"),
        ("struct p {\n\n int x;\n char x;\n};", 4, "struct p has two members 'x'"),
        ("struct p { struct q inside; };", 1, "member 'inside' of struct p: struct q is only declared"),
        ("struct p { void nothing; };", 1, "which has no size"),
        ("struct p { int f(int); };", 1, "which has no size"),
        ("struct p { int x : 33; };", 1, "bit-field 'x' has 33 bits; int has room for 32"),
        ("struct p { int x : 0; };", 1, "bit-field 'x' has 0 bits"),
        ("struct p { float x : 3; };", 1, "whole numbers can be bit-fields"),
        ("struct p { int a[-1]; };", 1, "an array of -1 elements is impossible"),
        ("struct p { int a[N]; };", 1, "'N' is not a known constant"),
        ("struct p { int a[1 / 0]; };", 1, "a division by zero"),
        ("struct p { int a[0x40000000]; };", 1, "more than there are addresses"),
        ("struct p { char c[0x90000000], d[0x90000000]; };", 1, "struct p has 4,831,838,208 bytes"),
        ("struct p { int x; };\nstruct p { int x; };", 2, "struct p is defined twice in this text"),
        ("enum { A, B C };", 1, "expected ',' or '}' after enumerator 'B', found 'C'"),
        ("long float x;", 1, "'long float' is no type"),
        ("struct;", 1, "struct needs a tag or a body, found ';'"),
        ("int;", 1, "this declares nothing"),
        (
            'struct p { int x; } __attribute__((scalar_storage_order("big-endian")));',
            1,
            "attribute scalar_storage_order",
        ),
        ("struct p { int x __attribute__((aligned(3))); };", 1, "an alignment of 3 bytes: it must be a power of two"),
        ("#pragma pack(3)\nstruct p { int x; };", 1, "#pragma pack(3): 1, 2, 4, 8 and 16 are possible"),
        ("\n#pragma pack(pop)\n", 2, "#pragma pack(pop) without a push"),
        ("/* a\n comment", 1, "this comment has no end"),
        ("int a;\nint `b;", 2, "'`' is not C"),
        ("#if A > 3\n#endif", 1, "run gcc -E -P on the text first"),
        ("#ifdef A\nint b;", 1, "this #if has no #endif"),
        ("#error no i386\n", 1, "#error no i386"),
        ('_Static_assert(sizeof(int) == 8, "a word");', 1, "this _Static_assert fails: a word"),
        ("int a[089];", 1, "'089' is not a number"),
    ],
)
def test_wrong_c_is_told_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(WrongC) as caught:
        Structs().define(text)
    assert str(caught.value).startswith(f"line {line}: ")
    assert message in str(caught.value)


def test_nothing_is_learnt_from_text_that_is_wrong() -> None:
    structs = Structs()
    structs.define("struct later; struct user { struct later *l; };")
    with pytest.raises(WrongC):
        structs.define("#define N 3\nstruct later { int x; }; struct other { int y; }; typedef int; oops")
    assert "struct other" not in structs
    with pytest.raises(IncompleteType, match="struct later is only declared"):
        _ = structs["struct later"].size_bytes
    structs.define("struct later { int x[2]; };")
    assert structs["struct later"].size_bytes == 8


def test_a_later_definition_replaces_an_earlier_one() -> None:
    structs = Structs()
    structs.define("struct p { int x; };")
    structs.define("struct p { int x, y; };")
    assert structs["struct p"].size_bytes == 8


HEADER = """
#ifndef TASK_H
#define TASK_H
#include <stdint.h>
#define NAME_BYTES (8 * 2)
#define offsetof_task(member) __builtin_offsetof(struct task, member)
enum prio { LOW = -1, HIGH = 'A' + (1 << 4), SIZE = sizeof(struct { char c; int i; }) };
typedef int (*handler_t)(struct task *, const char *format, ...);
static inline int twice(int x) { return x * 2; /* { */ }
extern struct task *current, tasks[4];
__attribute__((noreturn)) void panic(const char *why);
struct task {
    const volatile char name[NAME_BYTES], *alias;
    handler_t handlers[2];
    unsigned long int flags : 3, : 5, more : 8;
    union { uint32_t word; struct { uint16_t low, high; }; };
    int (*(*table)[3])(void);
    struct task *next __attribute__((aligned(8)));
} __attribute__((packed));
_Static_assert(sizeof(struct task) == 48, "layout");
#endif
"""


def test_a_header_as_kernels_have_them_is_understood() -> None:
    structs = Structs()
    assert structs.define(HEADER) == ["enum prio", "handler_t", "struct task"]
    assert structs.define(HEADER) == []  # the include guard
    task = structs["task"].bare
    assert isinstance(task, Record)
    assert {name: task.offset_of(name) for name in ("alias", "handlers", "flags", "high", "table", "next")} == {
        "alias": 16,
        "handlers": 20,
        "flags": 28,
        "high": 32,
        "table": 34,
        "next": 40,
    }
    assert str(task.member("table").type) == "int (*(*)[3])()"
    assert str(structs.variable("tasks")) == "struct task [4]"
    assert dict(structs.constants) == {"LOW": -1, "HIGH": 81, "SIZE": 8}


def test_preprocessed_text_keeps_its_lines() -> None:
    with pytest.raises(WrongC, match="line 42: unknown type 'nope_t'"):
        Structs().define('# 1 "kernel.c"\nint a;\n# 41 "task.h" 1\nint b;\nnope_t c;\n')


@pytest.mark.parametrize(
    ("name", "size"),
    [("long unsigned int long", 8), ("char [16]", 16), ("struct p *[3]", 12), ("p", 2), ("struct p[2]", 4), ("u8", 1)],
)
def test_types_are_found_by_what_c_calls_them(name: str, size: int) -> None:
    structs = Structs()
    structs.define("struct p { short s; };")
    assert structs[name].size_bytes == size


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("struct tsk", "did you mean 'struct task'"),
        ("tsak", "did you mean 'struct task'"),
        ("struct tsk *", "no type 'struct tsk'; did you mean 'struct task'"),
        ("", "expected a type"),
        ("int x", "'x' is too much"),
        ("struct task; int", "is too much behind the type"),
    ],
)
def test_an_unknown_type_is_told_with_its_like(name: str, message: str) -> None:
    structs = Structs()
    structs.define("struct task { int pid; };")
    with pytest.raises(UnknownType) as caught:
        structs[name]
    assert message in str(caught.value)


def test_an_image_without_debugging_information_is_told_so() -> None:
    with pytest.raises(UnknownType, match="the image has no debugging information"):
        Structs()["struct qqq"]


def test_enumerations_are_as_large_as_gcc_makes_them() -> None:
    structs = Structs()
    structs.define(
        "enum a { A = -1 }; enum b { B = 255 } __attribute__((packed)); "
        "enum c { C = 1ull << 40 }; enum d : short { D };"
    )
    kinds = [structs[f"enum {name}"] for name in "abcd"]
    assert [(kind.size_bytes, kind.signed) for kind in kinds if isinstance(kind, Enum)] == [
        (4, True),
        (1, False),
        (8, False),
        (2, True),
    ]


WORDS = """struct union enum typedef int char unsigned { } ( ) [ ] * , ; : = p q 3 0x10 sizeof __attribute__ packed
aligned 'a' "s" + - / % << ? const pragma pack \\ /* */ // -> ..."""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\n#define", "\n#if", "\n#ifdef", "\n#endif", "\n#pragma pack"])


@given(st.lists(PIECES, max_size=30).map(" ".join) | st.text(max_size=60))
def test_no_text_is_an_error_of_ours(text: str) -> None:
    structs = Structs()
    with suppress(UserMistake):
        for name in structs.define(text):
            assert structs.describe(name)


@pytest.mark.parametrize(
    "text", ["int a" + "[" * 5000, "int " + "(" * 5000, "int a[" + "-" * 5000 + "1];", "struct {" * 500]
)
def test_deep_nesting_is_told(text: str) -> None:
    with pytest.raises(WrongC):
        Structs().define(text)
