"""The BIOS's fonts: complete, told apart, and lines that meet their neighbours."""

from __future__ import annotations

import unicodedata

import pytest

from hillemu.boot.bios.font import BOXES, CODES, HEIGHTS, font


def glyph(character: str, height: int) -> bytes:
    code = CODES.index(character)
    return font(height)[code * height : (code + 1) * height]


def column(lines: bytes, number: int) -> list[int]:
    return [line >> 7 - number & 1 for line in lines]


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_font_has_all_lines_of_256_glyphs(height: int) -> None:
    assert len(font(height)) == 256 * height


@pytest.mark.parametrize("height", HEIGHTS)
def test_only_blanks_are_empty_and_no_two_others_look_alike(height: int) -> None:
    glyphs = {code: font(height)[code * height : (code + 1) * height] for code in range(256)}
    assert {code for code, lines in glyphs.items() if not any(lines)} == {0x00, 0x20, 0xFF}
    drawn = [lines for lines in glyphs.values() if any(lines)]
    assert len(set(drawn)) == len(drawn) == 253


@pytest.mark.parametrize("height", HEIGHTS)
def test_letters_keep_the_last_column_free_so_that_they_do_not_touch(height: int) -> None:
    for character in "ABCDEFGHIJKLOPQRSTUVXYZabcdefghijklnopqrstuvxyz0123456789":
        assert not any(column(glyph(character, height), 7)), character
        assert any(column(glyph(character, height), 1)) or character in "iIlj1f", character


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_letter_with_an_accent_is_the_letter_and_something_more(height: int) -> None:
    for character in CODES[0x80:0xA6]:
        plain = unicodedata.normalize("NFD", character)[0]
        if plain != character:
            assert glyph(character, height) != glyph(plain, height), character
            assert sum(map(int.bit_count, glyph(character, height))) > 10, character


@pytest.mark.parametrize("height", HEIGHTS)
def test_lines_that_point_at_each_other_meet(height: int) -> None:
    """Unicode's names say which arms a character has: an oracle that knows nothing of our table."""
    kinds = {"LIGHT": 1, "SINGLE": 1, "DOUBLE": 2}
    by_arm: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    for character in BOXES:
        for side, kind in arms_by_name(unicodedata.name(character), kinds).items():
            lines = glyph(character, height)
            edge = {
                "LEFT": lambda lines=lines: tuple(column(lines, 0)),
                "RIGHT": lambda lines=lines: tuple(column(lines, 7)),
                "UP": lambda lines=lines: tuple(column(bytes([lines[0]]), n)[0] for n in range(8)),
                "DOWN": lambda lines=lines: tuple(column(bytes([lines[-1]]), n)[0] for n in range(8)),
            }[side]()
            axis = "across" if side in ("LEFT", "RIGHT") else "down"
            by_arm.setdefault((axis, kind), set()).add(edge)
    for axis in ("across", "down"):
        assert [len(by_arm[axis, kind]) for kind in (0, 1, 2)] == [1, 1, 1], f"{axis}: every kind has one shape"
        assert by_arm[axis, 1] != by_arm[axis, 2]
        assert not any(next(iter(by_arm[axis, 0])))


def arms_by_name(name: str, kinds: dict[str, int]) -> dict[str, int]:
    """From ``BOX DRAWINGS VERTICAL DOUBLE AND LEFT SINGLE``: what each of the four sides has."""
    arms = dict.fromkeys(("LEFT", "RIGHT", "UP", "DOWN"), 0)
    words = name.removeprefix("BOX DRAWINGS ").replace(" AND", "").split()
    whole = next((kinds[word] for word in words if word in kinds and words[0] == word), None)
    sides: list[str] = []
    for word in words:
        if word in ("HORIZONTAL", "VERTICAL", *arms):
            sides.append(word)
        if (word in kinds and word != words[0]) or (whole and word in ("HORIZONTAL", "VERTICAL", *arms)):
            kind = whole or kinds[word]
            for side in sides:
                for arm in {"HORIZONTAL": ("LEFT", "RIGHT"), "VERTICAL": ("UP", "DOWN")}.get(side, (side,)):
                    arms[arm] = kind
            sides = []
    return arms


@pytest.mark.parametrize("height", HEIGHTS)
def test_blocks_and_shades_cover_what_they_say(height: int) -> None:
    def share(character: str) -> float:
        return sum(map(int.bit_count, glyph(character, height))) / (8 * height)

    assert [share(block) for block in "█▄▀▌▐"] == [1, 0.5, 0.5, 0.5, 0.5]
    assert [share(shade) for shade in "░▒▓"] == [0.25, 0.5, 0.75]


def test_a_height_that_nobody_drew_is_refused() -> None:
    with pytest.raises(KeyError):
        font(12)


def test_the_letter_a_looks_like_one() -> None:
    picture = [f"{line:08b}".replace("0", ".").replace("1", "#") for line in glyph("A", 16)]
    assert (
        picture
        == ["........"] * 2
        + [
            "...##...",
            "..####..",
            ".##..##.",
            ".##..##.",
            ".##..##.",
            ".######.",
            ".##..##.",
            ".##..##.",
            ".##..##.",
            ".##..##.",
        ]
        + ["........"] * 4
    )
