"""`hillemu boot`: what is told while and after the guest runs, and the exit status."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from hillemu.booting import DriveOptions
from hillemu.cli import main
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.emu.stop import Stop, StopReason

Fake = Any
"""The class `FakeMachine` of conftest.py."""

pytestmark = pytest.mark.usefixtures("fake")


# What is told


def test_serial_bytes_go_to_standard_output_raw_and_ours_to_standard_error(
    fake: Fake, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    fake.SERIAL = bytes(range(256)) + b"no newline"
    main(["boot"])
    out, err = capfdbinary.readouterr()
    assert out == fake.SERIAL
    assert b"hillemu: stopped: halt (cli; hlt at 0x00100010)\n" in err
    assert b"hillemu: 1,234,567 instructions, 12.346 ms virtual, " in err
    assert b"hillemu: no device answered port reads: 0x3f6 (2x)\n" in err


def test_the_last_screen_is_drawn_without_its_empty_rows(capfd: pytest.CaptureFixture[str]) -> None:
    main(["boot"])
    edge = "+" + "-" * 80 + "+"
    assert capfd.readouterr().err.startswith(f"{edge}\n|{'on the screen':80}|\n{edge}\nhillemu: stopped")


def test_no_screen_is_drawn_when_none_is_wanted_or_it_is_empty(fake: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    main(["boot", "--display", "none"])
    assert "on the screen" not in capfd.readouterr().err
    fake.SCREEN = [" " * 80] * 25
    main(["boot"])
    assert "+---" not in capfd.readouterr().err


def test_quiet_leaves_nothing_but_the_guests_own_words(fake: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    main(["boot", "--quiet"])
    assert capfd.readouterr() == ("hello\n", "")
    assert fake.made[-1].asked["report"] is None


def test_a_text_that_never_came_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    main(["boot", "--until", "login:"])
    assert "hillemu: --until 'login:' never matched\n" in capfd.readouterr().err


def test_the_serial_output_can_go_to_a_file_or_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["boot", "--serial", str(tmp_path / "serial.log")])
    main(["boot", "--serial", "null"])
    assert (tmp_path / "serial.log").read_bytes() == b"hello\n"
    assert capfd.readouterr().out == ""


def test_the_json_file_has_everything_about_the_run(fake: Fake, tmp_path: Path) -> None:
    fake.STOP = Stop(StopReason.EXIT, "wrote 0x10 to isa-debug-exit", exit_code=33)
    main(["boot", "--json", str(tmp_path / "run.json")])
    record = json.loads((tmp_path / "run.json").read_text())
    assert record.pop("wall_s") >= 0
    assert record.pop("mips") >= 0
    assert record == {
        "stop": "exit",
        "detail": "wrote 0x10 to isa-debug-exit",
        "exit_code": 33,
        "instructions": 1_234_567,
        "virtual_ns": 12_345_670,
        "core": "native",
        "registers": {"eax": 1, "eip": 0x100010},
        "ram_sha256": "ab" * 32,
        "serial": "hello\n",
        "screen": "on the screen\n\n",
        "debug_console": "",
        "live_input": [],
        "unhandled": {"port_reads": {"0x3f6": 2}, "memory_writes": {}},
    }


# Exit statuses


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        (Stop(StopReason.EXIT, exit_code=33), 33),
        (Stop(StopReason.EXIT, exit_code=0x1FF), 255),
        (Stop(StopReason.EXIT, exit_code=0), 0),
        (Stop(StopReason.HALT), 0),
        (Stop(StopReason.HANG), 0),
        (Stop(StopReason.POWER_OFF), 0),
        (Stop(StopReason.UNTIL), 0),
        (Stop(StopReason.RESET), 0),
        (Stop(StopReason.INTERRUPTED), 0),
        (Stop(StopReason.MAX_INSNS), 124),
        (Stop(StopReason.TRIPLE_FAULT), 126),
        (Stop(StopReason.CPU_ERROR), 126),
    ],
)
def test_the_exit_status_says_how_it_ended(fake: Fake, stop: Stop, status: int) -> None:
    fake.STOP = stop
    assert main(["boot"]) == status


def test_a_crash_shows_its_report_even_when_quiet(fake: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    fake.STOP = Stop(StopReason.TRIPLE_FAULT)
    assert main(["boot", "--quiet"]) == 126
    assert capfd.readouterr().err == "CRASH REPORT at 0x100010\n"


# Signals, pipes and terminals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_ctrl_c_stops_the_machine_and_the_second_ends_hillemu(
    number: signal.Signals, fake: Fake, capfd: pytest.CaptureFixture[str]
) -> None:
    inside: list[Any] = []

    def interrupted() -> Stop:
        os.kill(os.getpid(), number)
        inside.extend((fake.made[-1].stopped, signal.getsignal(number)))
        return Stop(StopReason.INTERRUPTED, "by Ctrl-C")

    before = signal.getsignal(number)
    fake.STOP = staticmethod(interrupted)  # type: ignore[assignment]

    assert main(["boot"]) == 0
    assert inside == [True, before]
    assert signal.getsignal(number) is before
    assert "hillemu: stopped: interrupted (by Ctrl-C)\n" in capfd.readouterr().err


def test_a_reader_that_had_enough_stops_the_machine_without_a_word(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    with open(writing_end, "w") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        status = main(["boot", "--quiet"])
        monkeypatch.undo()
    assert status == 0
    assert fake.made[-1].stopped
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_stops_the_machine_and_is_told(fake: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--serial", "/dev/full", "--quiet"]) == 125
    assert fake.made[-1].stopped
    assert capfd.readouterr().err == ("hillemu: /dev/full: cannot write the serial output: No space left on device\n")
    assert main(["boot", "--json", "/dev/full", "--quiet"]) == 125
    assert capfd.readouterr().err == ("hillemu: /dev/full: cannot write the --json file: No space left on device\n")


def test_a_pipe_gets_a_prompt_before_its_line_ends(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    reading_end, writing_end = os.pipe()
    seen: list[bytes] = []

    def look() -> Stop:
        assert select.select([reading_end], [], [], 0)[0]
        seen.append(os.read(reading_end, 100))
        return Stop(StopReason.HALT)

    fake.SERIAL = b"login: "
    fake.STOP = staticmethod(look)  # type: ignore[assignment]
    with open(writing_end, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        main(["boot"])
        monkeypatch.undo()
    os.close(reading_end)
    assert seen == [b"login: "]


def test_on_a_terminal_the_screen_is_drawn_while_the_guest_runs(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    shown: list[bytes] = []

    def wait_for_a_redraw() -> Stop:
        assert select.select([leader], [], [], 5)[0], "nothing was drawn"
        shown.append(os.read(leader, 1 << 16))
        return Stop(StopReason.HALT)

    fake.STOP = staticmethod(wait_for_a_redraw)  # type: ignore[assignment]
    monkeypatch.setenv("TERM", "xterm")
    with open(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        main(["boot", "--serial", "null"])
        monkeypatch.undo()
        after = os.read(leader, 1 << 16)
    os.close(leader)
    assert b"|on the screen" in shown[0]
    assert after.startswith(b"\x1b[3A\r\x1b[J"), "the live drawing must go before the summary"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


# Drives and pictures


def test_drives_firmware_and_extra_devices_reach_the_machine(fake: Fake) -> None:
    drives = "--floppy a.img --disk c.img --disk d.img --cdrom e.iso --boot adc --force-boot --disk-write"
    main(
        [
            "boot",
            *drives.split(),
            "--bios",
            "rom.bin",
            "--vga-bios",
            "vga.bin",
            "--device",
            "fw-cfg",
            "--device",
            "pc-testdev",
        ]
    )
    asked = fake.made[-1].asked
    assert asked["drives"] == DriveOptions(("a.img",), ("c.img", "d.img"), ("e.iso",), "adc", True, True)
    assert (asked["bios"], asked["vga_bios"]) == ("rom.bin", "vga.bin")
    assert (asked["devices"], asked["path"]) == (["fw-cfg", "pc-testdev"], None)


def test_an_image_gets_its_initial_ram_disks_in_order(fake: Fake) -> None:
    main(["boot", "vmlinuz", "--initrd", "one", "--initrd", "two"])
    assert fake.made[-1].asked["initrds"] == ["one", "two"]


def test_the_files_in_the_drives_are_let_go_however_the_run_ends(fake: Fake) -> None:
    main(["boot"])
    assert fake.made[-1].closed
    fake.STOP = UserMistake("disk.img: the file has shrunk")
    assert main(["boot"]) == 125
    assert fake.made[-1].closed


def test_a_picture_is_saved_where_it_was_asked_for(fake: Fake, tmp_path: Path) -> None:
    main(["boot", "--display", str(tmp_path / "screen.png")])
    assert fake.made[-1].pictures == [str(tmp_path / "screen.png")]


def test_a_picture_that_cannot_be_saved_costs_neither_the_summary_nor_the_record(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(machine: object, path: str) -> None:
        raise OptionError("--display", f"{path}: No space left on device")

    monkeypatch.setattr(fake, "save_picture", full)
    picture, record = tmp_path / "screen.png", tmp_path / "run.json"
    assert main(["boot", "--display", str(picture), "--json", str(record)]) == 125
    told = capfd.readouterr().err.splitlines()
    assert "hillemu: stopped: halt (cli; hlt at 0x00100010)" in told
    assert told[-1] == f"hillemu: --display: {picture}: No space left on device"
    assert json.loads(record.read_text())["stop"] == "halt"
