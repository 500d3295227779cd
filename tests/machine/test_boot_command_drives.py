"""`hillemu boot` with disks, as people run it: images that are no disks, disks that fail, and what is written.

Most command lines run in this process, which is quicker; files that fail are tried on a process of their own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.cli import main

HILLEMU = (sys.executable, "-m", "hillemu", "boot")
SECTOR = 512
LBA_PACKET = "dap: .byte 16, 0; .word 1, 0x8000, 0; lba: .quad 1\n"
"""For INT 13h AH=42h and 43h: a sector to or from 0000:8000."""

BOOTED = "mov al, 0x10; jmp exit\n"
BOOTED_STATUS = 0x10 << 1 | 1


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    output: str
    errors: str


Boot = Callable[..., Done]


@pytest.fixture
def boot(capfd: pytest.CaptureFixture[str]) -> Boot:
    """``hillemu boot ARGUMENTS``"""

    def run(*arguments: object) -> Done:
        status = main(["boot", *map(str, arguments), "--display", "none", "--max-insns", "20000000"])
        return Done(status, *capfd.readouterr())

    return run


def sector(body: str) -> bytes:
    """A boot sector for `body`, in real mode: ``jmp exit`` ends with AL << 1 | 1, ``call put`` sends AL to COM1."""
    source = f"""
    .code16
    cli; xor ax, ax; mov ds, ax; mov es, ax; mov ss, ax; mov sp, 0x7C00; cld
    {body}
    exit: out 0xF4, al
    put: push dx; mov dx, 0x3F8; out dx, al; pop dx; ret
    {LBA_PACKET}
    .org 510
    .word 0xAA55
    """
    return assemble_text(source, layout=Layout(flat=True, base=0x7C00)).data


def image(path: Path, *parts: bytes, size: int = 0) -> Path:
    """A file of these sectors, filled up with zeros to `size` bytes."""
    path.write_bytes(b"".join(parts).ljust(size, b"\0"))
    return path


def refused(done: Done, *words: str) -> None:
    """One line that says what is wrong, and status 125."""
    lines = done.errors.splitlines()
    assert len(lines) == 1, done.errors
    assert lines[0].startswith("hillemu: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert (done.status, done.output) == (125, "")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root reads every file, so be somebody else if that is who tests."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


class TestImagesThatAreNoDisks:
    def test_empty_files_folders_devices_and_nothing_at_all(self, boot: Boot, tmp_path: Path) -> None:
        empty = image(tmp_path / "empty.img")
        for drive in ("--disk", "--floppy", "--cdrom"):
            refused(boot(drive, empty), "empty.img: is empty")
            refused(boot(drive, tmp_path), f"{tmp_path}: is a directory")
            refused(boot(drive, "/dev/null"), "/dev/null: is neither a regular file nor a block device")
            refused(boot(drive, tmp_path / "no.img"), "no.img: cannot read: No such file")
        refused(boot(empty), "empty.img: is empty")
        refused(boot(tmp_path), "is a directory")

    @pytest.mark.parametrize("option", [(), ("--disk",), ("--floppy",), ("--cdrom",), ("--bios",)])
    def test_files_that_may_not_be_read(self, boot: Boot, tmp_path: Path, option: tuple[str, ...]) -> None:
        secret = image(tmp_path / "secret.img", sector(BOOTED))
        refused(boot(*option, image(tmp_path / "empty.img")), "empty.img: ")  # whatever is imported for it, now is
        secret.chmod(0)
        with as_nobody():
            done = boot(*option, secret)
        refused(done, "secret.img: ", "Permission denied")

    def test_other_emulators_formats_come_with_the_way_to_convert_them(self, boot: Boot, tmp_path: Path) -> None:
        qcow2 = image(tmp_path / "disk.qcow2", b"QFI\xfb\0\0\0\3", size=65536)
        refused(boot("--disk", qcow2), "is a qcow2 image", f"qemu-img convert -O raw {qcow2}")
        refused(boot(qcow2), "qcow2", "qemu-img convert")

    def test_a_floppy_of_a_hard_disks_size(self, boot: Boot, tmp_path: Path) -> None:
        refused(boot("--floppy", image(tmp_path / "big.img", sector(BOOTED), size=3 << 20)), "big.img: ")

    def test_a_cd_without_anything_to_boot(self, boot: Boot, tmp_path: Path) -> None:
        refused(boot("--cdrom", image(tmp_path / "cd.iso", size=1 << 20)), "cd.iso: is not a bootable CD")
        refused(boot("--cdrom", image(tmp_path / "cd.iso", size=2048)), "cd.iso: is too small for a CD image")


class TestBootSignature:
    @pytest.mark.parametrize("size", [SECTOR, 5 * SECTOR, 1440 << 10, 2 << 20])
    def test_without_it_nothing_is_booted_unless_forced(self, boot: Boot, tmp_path: Path, size: int) -> None:
        disk = image(tmp_path / "disk.img", sector(BOOTED)[:510], size=size)
        refused(boot(disk), "disk.img: ", "boot signature", "55 AA", "--force-boot")
        refused(boot("--disk", disk), "at offset 510 stands 00 00 instead of 55 AA", "--force-boot")
        assert boot(disk, "--force-boot").status == BOOTED_STATUS

    def test_an_image_smaller_than_a_sector_has_none(self, boot: Boot, tmp_path: Path) -> None:
        small = image(tmp_path / "small.bin", sector(BOOTED)[:100])
        refused(boot(small), "small.bin: ", "it has 100 bytes, not 512", "--force-boot")
        assert boot(small, "--force-boot").status == BOOTED_STATUS

    def test_an_empty_first_sector_is_told(self, boot: Boot, tmp_path: Path) -> None:
        refused(boot(image(tmp_path / "blank.img", size=1440 << 10)), "blank.img: its first sector is empty")

    def test_a_drive_without_it_is_passed_over_for_one_that_has_it(self, boot: Boot, tmp_path: Path) -> None:
        blank, good = image(tmp_path / "blank.img", size=1 << 20), image(tmp_path / "good.img", sector(BOOTED))
        assert boot("--disk", blank, "--floppy", good).status == BOOTED_STATUS
        refused(boot("--disk", blank, "--floppy", good, "--boot", "c"), "blank.img: its first sector is empty")


class TestOptions:
    @pytest.mark.parametrize("order", ["x", "", "aa", "A", "a c", "0"])
    def test_an_order_without_sense(self, boot: Boot, tmp_path: Path, order: str) -> None:
        refused(boot(image(tmp_path / "disk.img", sector(BOOTED)), "--boot", order), "--boot: ", "order of drives")

    def test_an_order_that_names_only_empty_drives(self, boot: Boot, tmp_path: Path) -> None:
        disk = image(tmp_path / "disk.img", sector(BOOTED))
        refused(boot(disk, "--boot", "ad"), "--boot: 'ad' names no drive that has anything in it")

    @pytest.mark.parametrize("option", [("--boot", "c"), ("--force-boot",), ("--disk-write",)])
    def test_drive_options_without_a_drive(self, boot: Boot, option: tuple[str, ...]) -> None:
        refused(boot(*option), f"{option[0]}: there is no drive")

    @pytest.mark.parametrize("option", ["--append", "--module", "--initrd"])
    def test_kernel_options_for_a_disk(self, boot: Boot, tmp_path: Path, option: str) -> None:
        disk = image(tmp_path / "disk.img", sector(BOOTED))
        refused(boot(disk, option, disk), f"{option}: is for kernels; {disk} is a disk image")

    def test_more_images_than_drives(self, boot: Boot, tmp_path: Path) -> None:
        disk = image(tmp_path / "disk.img", sector(BOOTED))
        refused(boot(disk, *["--disk", disk] * 4), "--disk: there are 4 IDE drives for 5 disks")
        refused(boot(*["--floppy", disk] * 3), "--floppy: there are 2 floppy drives for 3 images")

    def test_two_images(self, boot: Boot, tmp_path: Path) -> None:
        disk = image(tmp_path / "disk.img", sector(BOOTED))
        done = boot(disk, disk)
        assert (done.status, "disk.img" in done.errors) == (125, True)

    def test_one_file_in_two_drives_may_be_read_but_not_written(self, boot: Boot, tmp_path: Path) -> None:
        disk = image(tmp_path / "disk.img", sector(BOOTED))
        assert boot(disk, "--disk", disk).status == BOOTED_STATUS
        refused(boot(disk, "--disk", disk, "--disk-write"), "disk.img: is in use already", "cannot be written")


def test_a_last_sector_that_is_not_whole_is_filled_up_and_told(boot: Boot, tmp_path: Path) -> None:
    body = "mov ah, 0x42; mov si, offset dap; int 0x13; jc exit; mov al, byte ptr [0x8000]; add al, byte ptr [0x8001]\n"
    disk = image(tmp_path / "odd.img", sector(body), b"\x21")
    done = boot(disk)
    assert "odd.img: 513 bytes are not whole sectors; the last one is filled up with 511 zeros" in done.errors
    assert done.status == 0x21 << 1 | 1


class TestOutOfRange:
    def test_int_13h_fails_with_a_status_and_the_user_is_told(self, boot: Boot, tmp_path: Path) -> None:
        body = """
            mov ax, 0x0201; mov bx, 0x8000; mov cx, 0xFFFF; mov dx, 0xFE80; int 0x13; jnc wrong
            mov al, ah; call put                    # CHS behind the last cylinder
            mov dword ptr [lba], 2048
            mov ah, 0x42; mov dl, 0x80; mov si, offset dap; int 0x13; jnc wrong
            mov al, ah; call put                    # LBA behind the last sector
            mov ax, 0x0201; mov cx, 1; mov dx, 0x0081; int 0x13; jnc wrong
            mov al, ah; call put                    # a drive that is not there
            mov al, 1; jmp exit
            wrong: mov al, 2\n"""
        done = boot(image(tmp_path / "disk.img", sector(body), size=1 << 20))
        assert done.status == 1 << 1 | 1, done.errors
        assert done.output == "\x01\x01\x01"
        assert "beyond the end of hard disk 80h" in done.errors

    def test_the_ata_drive_reports_an_id_that_it_does_not_find(self, boot: Boot, tmp_path: Path) -> None:
        body = """
            mov si, offset task; mov dx, 0x1F2
            1: lodsb; out dx, al; inc dx; cmp dx, 0x1F8; jb 1b
            dec dx
            2: in al, dx; test al, 0x80; jnz 2b     # BSY
            test al, 0x01; jz wrong
            mov dx, 0x1F1; in al, dx; jmp exit
            wrong: mov al, 2; jmp exit
            task: .byte 1, 0xFF, 0xFF, 0xFF, 0xEF, 0x20\n"""
        done = boot(image(tmp_path / "disk.img", sector(body), size=1 << 20))
        assert done.status == 0x10 << 1 | 1, "IDNF in the error register"
        assert "Traceback" not in done.errors


WRITE_ON = """
    1: mov ah, {function:#x}; mov dl, 0x80; mov si, offset dap; int 0x13; jc failed
    mov al, '.'; call put
    inc dword ptr [lba]; cmp dword ptr [lba], {last}; jb 1b
    mov al, 0x10; jmp exit
    failed: mov al, ah
"""
READ, WRITE = 0x42, 0x43


class TestFilesThatFail:
    """The machine stops where it is, and says which file failed and how."""

    def test_a_file_that_cannot_grow_keeps_whole_sectors(self, tmp_path: Path) -> None:
        """Three sectors fit; writing the fourth would need more than the process may have."""
        body = "mov byte ptr [0x8000], 0x77; mov byte ptr [0x81FF], 0x77\n" + WRITE_ON.format(function=WRITE, last=9)
        program = image(tmp_path / "boot.bin", sector(body))
        disk = image(tmp_path / "disk.img", size=16 * SECTOR)
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4 * SECTOR, 4 * SECTOR))  # noqa: E731
        command = [*HILLEMU, "--floppy", program, "--disk", disk, "--disk-write", "--boot", "a", "--display", "none"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limit)
        assert done.returncode == 125
        assert f"hillemu: stopped: disk-failure ({disk}: cannot write: " in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == "..."
        written = b"\x77" + bytes(510) + b"\x77"
        assert disk.read_bytes() == bytes(SECTOR) + 3 * written + bytes(12 * SECTOR)

    @pytest.mark.parametrize(("harm", "told"), [("unlink", "was deleted"), ("shrink", "shrank during the run")])
    @pytest.mark.parametrize("function", [READ, WRITE])
    def test_a_file_that_goes_away(self, tmp_path: Path, harm: str, told: str, function: int) -> None:
        program = image(tmp_path / "boot.bin", sector(WRITE_ON.format(function=function, last=0x7FFFFFFF)))
        disk, record = image(tmp_path / "disk.img", size=64 << 20), tmp_path / "run.json"
        arguments = ["--floppy", program, "--disk", disk, "--disk-write", "--boot", "a", "--display", "none", "--quiet"]
        with subprocess.Popen(
            [*HILLEMU, *map(str, arguments), "--json", str(record)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as run:
            assert run.stdout is not None
            assert run.stdout.read(3) == b"..."
            if harm == "unlink":
                disk.unlink()
            else:
                os.truncate(disk, SECTOR)
            _, errors = run.communicate(timeout=30)
        assert (run.returncode, errors.decode().count("\n")) == (125, 1)
        assert errors.decode().startswith(f"hillemu: {disk}: {told}")
        stopped = json.loads(record.read_text())
        assert stopped["stop"] == "disk-failure"
        assert stopped["instructions"] > 0
        assert stopped["registers"]["edx"] & 0xFF == 0x80

    def test_a_file_that_fails_under_the_drive_itself(self, tmp_path: Path) -> None:
        """Not only under INT 13h: the sector is asked for by the ATA drive's registers."""
        body = """
            mov al, '!'; call put
            3: mov si, offset task; mov dx, 0x1F2
            1: lodsb; out dx, al; inc dx; cmp dx, 0x1F8; jb 1b
            dec dx
            2: in al, dx; test al, 0x80; jnz 2b
            mov dx, 0x1F0; mov cx, 256; mov di, 0x8000; rep insw
            jmp 3b
            task: .byte 1, 7, 0, 0, 0xE0, 0x20\n"""
        disk = image(tmp_path / "disk.img", sector(body), size=1 << 20)
        command = [*HILLEMU, str(disk), "--display", "none"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            assert run.stdout is not None
            assert run.stdout.read(1) == b"!"
            disk.unlink()
            _, errors = run.communicate(timeout=30)
        assert run.returncode == 125
        assert b"stopped: disk-failure (" in errors
        assert b"was deleted or replaced during the run" in errors


class TestWriting:
    COUNT = """
        mov ah, 0x42; mov dl, {drive}; mov si, offset dap; int 0x13; jc exit
        inc byte ptr [0x8000]
        mov ax, 0x4300; mov dl, {drive}; mov si, offset dap; int 0x13; jc exit
        mov al, byte ptr [0x8000]
    """

    def test_what_is_written_lasts_from_run_to_run_if_wanted(self, boot: Boot, tmp_path: Path) -> None:
        disk = image(tmp_path / "disk.img", sector(self.COUNT.format(drive=0x80)), size=1 << 20)
        before = disk.read_bytes()
        assert [boot(disk).status for _ in range(2)] == [1 << 1 | 1, 1 << 1 | 1]
        assert disk.read_bytes() == before
        assert [boot(disk, "--disk-write").status for _ in range(3)] == [1 << 1 | 1, 2 << 1 | 1, 3 << 1 | 1]
        after = disk.read_bytes()
        assert (after[SECTOR], len(after)) == (3, len(before))
        assert after[:SECTOR] + after[SECTOR + 1 :] == before[:SECTOR] + before[SECTOR + 1 :]

    def test_a_short_floppy_grows_by_what_is_written_behind_its_end(self, boot: Boot, tmp_path: Path) -> None:
        body = """
            mov ax, 0x0301; mov bx, 0x7C00; mov cx, 0x0005; xor dx, dx; int 0x13
            mov al, ah; add al, 1
        """
        floppy = image(tmp_path / "boot.bin", sector(body))
        assert boot(floppy, "--format", "floppy").status == 1 << 1 | 1
        assert floppy.stat().st_size == SECTOR
        assert boot(floppy, "--format", "floppy", "--disk-write").status == 1 << 1 | 1
        written = floppy.read_bytes()
        assert len(written) == 5 * SECTOR
        assert written[4 * SECTOR :][:64] == written[:64]
