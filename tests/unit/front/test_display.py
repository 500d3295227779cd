"""`--display`: what it takes, and the PNG file that it writes."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from video_bench import VideoGuest

from hillemu.boot.bios.modes import set_mode
from hillemu.emu.devices.video.picture import picture_of
from hillemu.emu.errors import OptionError
from hillemu.terminal.display import Display, check_png, parse_display, save_png, screen_lines, write_whole
from hillemu.terminal.png import png_file


def decode(data: bytes) -> tuple[int, int, bytes]:
    """A PNG reader for what our writer makes: it checks every length and checksum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks.append((kind, body))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[0][1])
    assert kind == [8, 2, 0, 0, 0]
    rows = zlib.decompress(chunks[1][1])
    assert len(rows) == height * (3 * width + 1)
    assert not any(rows[:: 3 * width + 1]), "no filters"
    return width, height, b"".join(rows[at + 1 : at + 3 * width + 1] for at in range(0, len(rows), 3 * width + 1))


@pytest.fixture
def guest() -> VideoGuest:
    return VideoGuest(1 << 20)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (640, 5)])
def test_a_png_file_holds_the_pixels(width: int, height: int) -> None:
    rgb = os.urandom(3 * width * height)
    assert decode(png_file(width, height, rgb)) == (width, height, rgb)


def test_pixels_that_are_not_a_rectangle_are_refused() -> None:
    with pytest.raises(ValueError, match="5 bytes are not 1 by 2 pixels"):
        png_file(1, 2, bytes(5))


@pytest.mark.parametrize(
    ("value", "display"),
    [
        ("none", Display(False)),
        ("text", Display(True)),
        ("a.png", Display(True, "a.png")),
        ("dir/B.PNG", Display(True, "dir/B.PNG")),
    ],
)
def test_the_option_is_a_word_or_a_file(value: str, display: Display) -> None:
    assert parse_display(value) == display


@pytest.mark.parametrize("value", ["", "gtk", ".png", "dir/.png", "png", "a.jpg"])
def test_anything_else_is_refused(value: str) -> None:
    with pytest.raises(OptionError, match="--display: "):
        parse_display(value)


def test_a_place_without_a_folder_is_refused_before_the_run(tmp_path: Path) -> None:
    check_png(str(tmp_path / "a.png"))
    with pytest.raises(OptionError, match="is not a folder"):
        check_png(str(tmp_path / "nowhere" / "a.png"))
    (tmp_path / "b.png").mkdir()
    with pytest.raises(OptionError, match="is a folder"):
        check_png(str(tmp_path / "b.png"))


def test_the_screen_is_saved(guest: VideoGuest, tmp_path: Path) -> None:
    set_mode(guest, 0x13)
    guest.cpu_write(0xA0000, 15)
    save_png(picture_of(guest.card), str(tmp_path / "a.png"))
    width, height, rgb = decode((tmp_path / "a.png").read_bytes())
    assert (width, height) == (320, 200)
    assert rgb == b"\xff" * 3 + bytes(3 * (320 * 200 - 1))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a.png"
    place.write_bytes(b"old")

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OptionError, match=r"--display: .*a\.png: No space left on device"):
        write_whole(str(place), b"new")
    assert place.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_name_that_no_file_can_have_is_a_mistake_in_the_option() -> None:
    with pytest.raises(OptionError, match="null"):
        write_whole("a\0b.png", b"")


def test_text_stays_the_view_and_pictures_are_told_of(guest: VideoGuest) -> None:
    assert screen_lines(guest.card, ["hello"]) == ["hello"]
    set_mode(guest, 0x12)
    assert screen_lines(guest.card, []) == ["graphics mode 640x480x4 (use --display FILE.png for a picture)"]
