"""Lines of keys, against files that are written so that each key's line is known."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from hillemu.grading.places import Places

VALUES = st.sampled_from(
    [
        "1",
        '"a # b"',
        "'[x]'",
        "[1, [2,\n 3], # ]\n 4]",
        '"""\n[[check]]\nkey = 1\n"""',
        "'''a\n''' # '",
        "{ a = '}' }",
        "[\n]",
    ]
)


@given(st.lists(st.lists(VALUES, max_size=4), min_size=1, max_size=5), st.integers(0, 2))
def test_every_key_is_found_where_it_was_written(tables: list[list[str]], blank: int) -> None:
    text, lines = "", {}
    for number, values in enumerate(tables):
        text += "\n" * blank + "# [[check]]\n" * blank
        lines["check", number] = text.count("\n") + 1
        text += "  [[ check ]] # one\n" if blank else "[[check]]\n"
        for position, value in enumerate(values):
            lines["check", number, f"k{position}"] = text.count("\n") + 1
            text += f'"k{position}" = {value}\n' if blank else f"k{position}={value}\n"
    assert len(tomllib.loads(text)["check"]) == len(tables)  # it is TOML, and means what we think
    places = Places(text)
    assert {path: places.line(*path) for path in lines} == lines  # type: ignore[misc]


def test_dotted_keys_and_tables_are_found() -> None:
    places = Places("[a.b]\nc.d = 1\n[a.e]\n[[a.f]]\n[a.f.g]\nh = 1\n")
    assert [places.line(*path) for path in (("a", "b"), ("a", "b", "c", "d"), ("a", "e"), ("a", "f", 0, "g", "h"))] == [
        1, 2, 3, 6,
    ]  # fmt: skip
    assert places.line("x", "y") == 1
