"""`hillemu boot` as people run it: a process, a real machine, the built-in guest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HILLEMU = (sys.executable, "-m", "hillemu")
FOREVER = b"\xeb\xfe"  # jmp to itself
MASK_ALL_IRQS = b"\xb0\xff\xe6\x21"  # mov al, 0xff; out 0x21, al


def boot(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [*HILLEMU, "boot", *map(str, arguments)], capture_output=True, timeout=60, check=False, **options
    )


def multiboot_image(folder: Path, code: bytes) -> Path:
    """A multiboot kernel of the address-field kind that is nothing but `code` at 1 MiB + 0x20."""
    base, entry = 0x100000, 0x100020
    magic, has_addresses = 0x1BADB002, 1 << 16
    checksum = -(magic + has_addresses) & 0xFFFFFFFF
    header = (magic, has_addresses, checksum, base, base, entry + len(code), 0, entry)
    path = folder / "kernel.bin"
    path.write_bytes(b"".join(word.to_bytes(4, "little") for word in header) + code)
    return path


def exit_with(value: int) -> bytes:
    """``mov al, value; out 0xF4, al``"""
    return bytes((0xB0, value, 0xE6, 0xF4)) + FOREVER


def put(text: str) -> bytes:
    """Send `text` to COM1 without waiting: ``mov dx, 0x3F8`` and for each character ``mov al, c; out dx, al``."""
    return b"\x66\xba\xf8\x03" + b"".join(bytes((0xB0, ord(character), 0xEE)) for character in text)


def test_the_built_in_guest_speaks_and_ends_well() -> None:
    done = boot("--mem", "512M")
    assert done.stdout.strip()
    assert b"hillemu: stopped: " in done.stderr
    assert done.returncode not in (124, 125, 126), done.stderr.decode()


def test_two_runs_of_the_built_in_guest_differ_only_in_the_users_time(tmp_path: Path) -> None:
    records = []
    for number, display in enumerate(("text", "none")):
        boot("--json", tmp_path / f"{number}.json", "--display", display)
        record = json.loads((tmp_path / f"{number}.json").read_text())
        assert record["wall_s"] > 0
        assert record["mips"] > 0
        records.append({key: value for key, value in record.items() if key not in ("wall_s", "mips")})
    assert records[0] == records[1]
    assert records[0]["serial"].strip()
    assert records[0]["screen"].strip()
    assert len(records[0]["ram_sha256"]) == 64


def test_the_exit_status_is_what_the_guest_wrote_shifted_and_made_odd(tmp_path: Path) -> None:
    done = boot(multiboot_image(tmp_path, put("ok\n") + exit_with(0x10)), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0x10 << 1 | 1, b"ok\n", b"")


def test_a_limit_stops_at_exactly_that_instruction(tmp_path: Path) -> None:
    # sti first: a jump to itself with interrupts disabled is a hang, which ends the run by itself.
    image = multiboot_image(tmp_path, b"\x90" * 64 + b"\xfb" + FOREVER)
    done = boot(image, "--max-insns", 40, "--json", tmp_path / "run.json")
    record = json.loads((tmp_path / "run.json").read_text())
    assert done.returncode == 124
    assert (record["stop"], record["instructions"]) == ("max-insns", 40)
    assert record["registers"]["eip"] == 0x100020 + 40


def test_until_stops_at_the_text_and_is_a_clean_stop(tmp_path: Path) -> None:
    image = multiboot_image(tmp_path, put("init done\nnever shown?\n") + exit_with(1))
    done = boot(image, "--until", "^init d.ne$", "--json", tmp_path / "run.json")
    assert done.returncode == 0
    assert json.loads((tmp_path / "run.json").read_text())["stop"] == "until"


def test_a_halt_with_interrupts_off_is_told_and_clean(tmp_path: Path) -> None:
    done = boot(multiboot_image(tmp_path, b"\xfa\xf4"))
    assert done.returncode == 0
    assert b"hillemu: stopped: halt (" in done.stderr


def test_a_triple_fault_is_status_126_and_shows_the_crash_report(tmp_path: Path) -> None:
    # An IDT without entries, then a breakpoint: #BP, #GP, #DF, shutdown.
    idt = b"\x0f\x01\x1d" + (0x100020 + 8).to_bytes(4, "little") + b"\xcc" + b"\0" * 6
    done = boot(multiboot_image(tmp_path, idt), "--quiet")
    assert done.returncode == 126
    assert b"eip" in done.stderr.lower()


def test_an_interrupt_stops_cleanly_and_still_tells_everything(tmp_path: Path) -> None:
    image = multiboot_image(tmp_path, put("ready\n") + MASK_ALL_IRQS + b"\xfb" + FOREVER)
    with subprocess.Popen(
        [*HILLEMU, "boot", str(image), "--json", str(tmp_path / "run.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.2)  # let the guest loop for a while
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"hillemu: stopped: interrupted" in errors
    assert json.loads((tmp_path / "run.json").read_text())["instructions"] > 1000


def test_a_reader_that_leaves_ends_a_guest_that_would_print_forever(tmp_path: Path) -> None:
    loop = put("xxxxxxxxxxxxxxx\n")
    image = multiboot_image(tmp_path, loop + b"\xe9" + (-len(loop) - 5 & 0xFFFFFFFF).to_bytes(4, "little"))
    reading_end, writing_end = os.pipe()
    with subprocess.Popen(
        [*HILLEMU, "boot", str(image), "--quiet"], stdout=writing_end, stderr=subprocess.PIPE
    ) as process:
        os.close(writing_end)
        os.read(reading_end, 16)
        os.close(reading_end)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    ("content", "fault"), [(None, b"No such file"), (b"", b"empty"), (b"Dear diary,\n" * 100, b"text")]
)
def test_an_image_that_cannot_boot_is_one_line_and_status_125(
    content: bytes | None, fault: bytes, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "kernel.elf").write_bytes(content)
    done = boot(tmp_path / "kernel.elf")
    assert done.returncode == 125
    assert done.stderr.startswith(b"hillemu: " + bytes(tmp_path / "kernel.elf") + b": ")
    assert fault.lower() in done.stderr.lower()
    assert done.stderr.count(b"\n") == 1
    assert done.stdout == b""
