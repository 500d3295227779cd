"""Disk images: what a guest reads and writes, and what happens to the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import ImageError, MediumError
from hillemu.emu.media import CD_SECTOR_BYTES, Medium

SECTOR = 512


def pattern(count: int) -> bytes:
    """Sectors that all differ."""
    return b"".join(number.to_bytes(4, "little") * (SECTOR // 4) for number in range(1, count + 1))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "disk.img"
    file.write_bytes(pattern(16))
    return file


def test_sectors_are_those_of_the_file(image: Path) -> None:
    medium = Medium.open(image)
    assert (medium.sector_count, medium.size_bytes, medium.note) == (16, 16 * SECTOR, "")
    assert medium.read(3, 2) == pattern(16)[3 * SECTOR : 5 * SECTOR]


def test_writes_stay_in_memory_unless_the_file_is_to_be_written(image: Path) -> None:
    medium = Medium.open(image)
    medium.write(2, b"n" * 2 * SECTOR)
    assert medium.read(1, 4) == pattern(16)[SECTOR : 2 * SECTOR] + b"n" * 1024 + pattern(16)[4 * SECTOR : 5 * SECTOR]
    assert sorted(medium.changed_sectors) == [2, 3]
    medium.close()
    assert image.read_bytes() == pattern(16)


def test_writes_are_in_the_file_before_write_returns(image: Path) -> None:
    medium = Medium.open(image, writable=True)
    medium.write(15, b"n" * SECTOR)
    assert image.read_bytes() == pattern(15) + b"n" * SECTOR
    assert medium.changed_sectors == {}


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 4), st.integers(0, 255)), max_size=20))
def test_a_medium_with_an_overlay_reads_like_an_array(writes: list[tuple[int, int, int]]) -> None:
    medium, plain = Medium.from_bytes("m", pattern(19)), bytearray(pattern(19))
    for lba, count, value in writes:
        medium.write(lba, bytes([value]) * count * SECTOR)
        plain[lba * SECTOR : (lba + count) * SECTOR] = bytes([value]) * count * SECTOR
    assert medium.read(0, 19) == plain
    assert [medium.read(lba) for lba in range(19)] == [plain[n * SECTOR : (n + 1) * SECTOR] for n in range(19)]


@pytest.mark.parametrize(("lba", "count"), [(16, 1), (15, 2), (-1, 1), (0, 17)])
def test_sectors_outside_the_medium_are_an_index_error(image: Path, lba: int, count: int) -> None:
    medium = Medium.open(image)
    with pytest.raises(IndexError, match=r"of 16"):
        medium.read(lba, count)
    with pytest.raises(IndexError, match=r"of 16"):
        medium.write(lba, bytes(count * SECTOR))


def test_a_piece_of_a_sector_cannot_be_written(image: Path) -> None:
    with pytest.raises(ValueError, match="not whole sectors"):
        Medium.open(image).write(0, b"x")


def test_a_sparse_image_of_eight_gigabytes_works_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "big.img"
    with file.open("wb") as out:
        out.truncate(8 << 30)
    with_overlay = Medium.open(file)
    last = with_overlay.sector_count - 1
    assert last == (8 << 30) // SECTOR - 1
    with_overlay.write(last, b"e" * SECTOR)
    assert with_overlay.read(last) == b"e" * SECTOR
    with_overlay.close()
    written = Medium.open(file, writable=True)
    written.write(last, b"f" * SECTOR)
    assert written.read(last - 1, 2) == bytes(SECTOR) + b"f" * SECTOR
    assert file.stat().st_blocks < 1000


class TestUnusualImages:
    def test_an_odd_end_is_filled_up_with_zeros_and_noted(self, tmp_path: Path) -> None:
        file = tmp_path / "odd.img"
        file.write_bytes(b"a" * 700)
        medium = Medium.open(file)
        assert medium.sector_count == 2
        assert medium.read(1) == b"a" * 188 + bytes(324)
        assert "700 bytes are not whole sectors" in medium.note

    def test_writing_the_odd_end_through_completes_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "odd.img"
        file.write_bytes(b"a" * 700)
        medium = Medium.open(file, writable=True)
        medium.write(1, b"b" * SECTOR)
        assert file.read_bytes() == b"a" * SECTOR + b"b" * SECTOR
        assert medium.read(0, 2) == file.read_bytes()

    def test_a_padded_medium_has_zeros_behind_its_file(self, tmp_path: Path) -> None:
        file = tmp_path / "boot.img"
        file.write_bytes(pattern(1))
        medium = Medium.open(file)
        medium.pad(2880)
        assert medium.sector_count == 2880
        assert medium.read(0, 2) == pattern(1) + bytes(SECTOR)
        medium.write(2879, b"z" * SECTOR)
        assert medium.read(2878, 2) == bytes(SECTOR) + b"z" * SECTOR
        medium.pad(1)
        assert medium.sector_count == 2880

    @pytest.mark.parametrize(
        ("content", "fault"),
        [(b"", "is empty"), (b"QFI\xfb" + bytes(508), "is a qcow2 image"), (b"KDMV" + bytes(508), "is a VMDK image")],
    )
    def test_what_is_no_raw_image_is_refused(self, tmp_path: Path, content: bytes, fault: str) -> None:
        file = tmp_path / "disk.img"
        file.write_bytes(content)
        with pytest.raises(ImageError, match=fault):
            Medium.open(file)

    def test_missing_files_folders_and_pipes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"none.img: cannot read: No such file"):
            Medium.open(tmp_path / "none.img")
        with pytest.raises(ImageError, match="is a directory"):
            Medium.open(tmp_path)
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ImageError, match="neither a regular file nor a block device"):
            Medium.open(tmp_path / "pipe")

    def test_a_link_is_followed(self, image: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(image)
        Medium.open(tmp_path / "link", writable=True).write(0, b"l" * SECTOR)
        assert image.read_bytes()[:SECTOR] == b"l" * SECTOR


class TestWriteProtection:
    def test_a_cd_is_write_protected(self, image: Path) -> None:
        medium = Medium.open(image, sector_bytes=CD_SECTOR_BYTES)
        assert medium.read_only
        assert medium.sector_count == 4
        with pytest.raises(ValueError, match="is write-protected"):
            medium.write(0, bytes(CD_SECTOR_BYTES))

    def test_a_write_protected_medium_cannot_be_asked_to_write_its_file(self, image: Path) -> None:
        with pytest.raises(ImageError, match="both written and write-protected"):
            Medium.open(image, sector_bytes=CD_SECTOR_BYTES, writable=True)

    def test_a_file_without_write_permission_cannot_be_written(
        self, image: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def not_for_writing(path: str, flags: int) -> int:
            # What the host answers; asking it does not work for root, who may write every file.
            if flags & os.O_RDWR:
                raise PermissionError(13, "Permission denied")
            return real(path, flags)

        monkeypatch.setattr(os, "open", not_for_writing)
        Medium.open(image).close()
        with pytest.raises(ImageError, match="cannot write: Permission denied"):
            Medium.open(image, writable=True)


class TestSharing:
    def test_many_may_read_one_file(self, image: Path) -> None:
        first, second = Medium.open(image), Medium.open(image)
        assert first.read(0) == second.read(0)

    def test_who_writes_a_file_is_alone(self, image: Path, tmp_path: Path) -> None:
        os.link(image, tmp_path / "twin.img")
        writer = Medium.open(image, writable=True)
        with pytest.raises(ImageError, match="in use already"):
            Medium.open(tmp_path / "twin.img", writable=True)
        with pytest.raises(ImageError, match="is being written, here or by another program"):
            Medium.open(image)
        writer.close()
        writer.close()
        reader = Medium.open(image)
        with pytest.raises(ImageError, match="in use already"):
            Medium.open(image, writable=True)
        reader.close()
        Medium.open(image, writable=True).close()

    def test_a_refused_image_does_not_keep_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "late.img"
        file.write_bytes(b"")
        with pytest.raises(ImageError, match="is empty"):
            Medium.open(file, writable=True)
        file.write_bytes(pattern(1))
        Medium.open(file, writable=True).close()


class TestFilesThatFail:
    @pytest.mark.parametrize("writable", [False, True])
    def test_a_file_that_shrinks_is_named(self, image: Path, writable: bool) -> None:
        medium = Medium.open(image, writable=writable)
        os.truncate(image, 5 * SECTOR)
        with pytest.raises(MediumError, match=r"disk.img: shrank during the run: it had 8192 bytes and has 2560 now"):
            medium.read(10)
        if writable:
            with pytest.raises(MediumError, match="shrank"):
                medium.write(0, bytes(SECTOR))
            assert image.read_bytes() == pattern(5)

    def test_a_file_that_vanishes_is_named(self, image: Path) -> None:
        medium = Medium.open(image, writable=True)
        image.unlink()
        with pytest.raises(MediumError, match=r"disk.img: was deleted or replaced during the run"):
            medium.write(0, bytes(SECTOR))
        with pytest.raises(MediumError, match="was deleted"):
            medium.read(0)

    def test_a_full_disk_leaves_the_file_as_it_was(self, image: Path) -> None:
        # A limit on the size of files stands in for a full disk: a process of its own, since it cannot be lifted.
        program = (
            "import resource, sys\n"
            "from hillemu.emu.media import Medium\n"
            "from hillemu.emu.errors import MediumError\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (18 * 512, 18 * 512))\n"
            "medium = Medium.open(sys.argv[1], writable=True)\n"
            "medium.pad(100)\n"
            "medium.write(16, b'w' * 512)\n"
            "try:\n    medium.write(14, b'n' * 8 * 512)\n"
            "except MediumError as error:\n    print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, image], capture_output=True, text=True, check=False)
        assert done.stdout == f"{image}: cannot write: File too large\n", done.stderr
        assert image.read_bytes() == pattern(16) + b"w" * SECTOR

    def test_a_write_that_breaks_off_says_how_far_it_came(self, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        medium = Medium.open(image, writable=True)
        real = os.pwrite

        def short(descriptor: int, data: bytes, at: int) -> int:
            if at > 0:
                raise OSError(28, "No space left on device")
            return real(descriptor, data[:700], at)

        monkeypatch.setattr(os, "pwrite", short)
        with pytest.raises(MediumError, match=r"No space left on device; 700 of 1024 bytes at 0x0 were written"):
            medium.write(0, b"n" * 1024)

    def test_short_reads_and_writes_are_completed(self, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        medium = Medium.open(image, writable=True)
        real_read, real_write = os.pread, os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda d, data, at: real_write(d, data[:100], at))
        monkeypatch.setattr(os, "pread", lambda d, count, at: real_read(d, min(count, 100), at))
        medium.write(4, b"n" * SECTOR)
        assert medium.read(4, 2) == b"n" * SECTOR + pattern(16)[5 * SECTOR : 6 * SECTOR]

    def test_an_input_error_is_the_users_to_know(self, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        medium = Medium.open(image)

        def broken(descriptor: int, count: int, at: int) -> bytes:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "pread", broken)
        with pytest.raises(MediumError, match=r"disk.img: cannot read: Input/output error"):
            medium.read(0)
