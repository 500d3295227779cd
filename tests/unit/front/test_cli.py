"""The command line: what is asked for, and what is refused before a machine exists."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hillemu.cli import main
from hillemu.commands.command_line import CommandLine
from hillemu.commands.options import CPU_MODELS, IMAGE_FORMATS, make_parser
from hillemu.emu.errors import ImageError, InternalError, OptionError

Fake = Any
"""The class `FakeMachine` of conftest.py."""

pytestmark = pytest.mark.usefixtures("fake")


def asked(fake: Fake) -> dict[str, Any]:
    """What the last machine was asked for."""
    wish: dict[str, Any] = fake.made[-1].asked
    return wish


# What is asked for


def test_every_option_reaches_the_machine(fake: Fake) -> None:
    line = """
        boot kernel.elf --mem 512M --cpu pentium --format multiboot --append "root=ram quiet" --until "init d.ne"
        --module "disk.img:ro a:b" --module plain.bin --max-insns 10_000_000 --keys ls{enter} --keys-at 5000
        --rtc-base 2026-01-31T12:00:00 --reboot
    """
    status = main(shlex.split(line))

    wish = asked(fake)
    assert status == 0
    assert (wish["path"], wish["mem"], wish["cpu"], wish["format"]) == ("kernel.elf", 512 << 20, "pentium", "multiboot")
    assert wish["append"] == "root=ram quiet"
    assert wish["modules"] == (("disk.img", "ro a:b"), ("plain.bin", ""))
    assert wish["until"] == re.compile("init d.ne", re.MULTILINE)
    assert wish["max_insns"] == 10_000_000
    assert wish["keys"] == [("ls{enter}", 5000)]
    assert wish["rtc_base"] == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert wish["reboot"] is True


def test_without_an_image_the_built_in_kernel_boots_with_64_mib(fake: Fake) -> None:
    assert main(["boot"]) == 0
    wish = asked(fake)
    assert (wish["path"], wish["mem"], wish["cpu"], wish["reboot"]) == (
        "the built-in kernel", 64 << 20, "max", False,
    )  # fmt: skip
    assert (wish["until"], wish["max_insns"], wish["rtc_base"]) == (None, None, None)
    assert "keys" not in wish


def test_each_keys_at_belongs_to_the_keys_in_the_same_place(fake: Fake) -> None:
    main(shlex.split("boot --keys-at 7 --keys a --keys b --keys-at 5 --keys c"))
    assert asked(fake)["keys"] == [("a", 7), ("b", 5), ("c", 0)]


@pytest.mark.parametrize(
    ("options", "shown"),
    [("", True), ("--live keyboard", True), ("--live serial", False), ("--live serial --display text", True),
     ("--display none", False), ("--live keyboard --display none", False)],
)  # fmt: skip
def test_a_serial_terminal_is_left_without_a_screen_unless_that_is_wanted(options: str, shown: bool) -> None:
    line = make_parser().parse_args(["boot", *options.split()], namespace=CommandLine())
    assert line.shows_screen is shown


def test_a_replay_gives_each_input_to_its_port_at_its_time(fake: Fake, tmp_path: Path) -> None:
    rows = [("keyboard", "ls{enter}", 5), ("serial", "\udcffx", 7)]
    record = [dict(zip(("to", "text", "virtual_ns", "instructions"), (*row, 1), strict=True)) for row in rows]
    (tmp_path / "run.json").write_text(json.dumps({"live_input": record}))
    assert main(["boot", "--replay", str(tmp_path / "run.json"), "--json", str(tmp_path / "run.json")]) == 0
    machine = fake.made[-1]
    assert [at_ns for at_ns, _ in machine.calls] == [5, 7]
    for _, call in machine.calls:
        call()
    assert machine.keyboard.typed == ["ls{enter}"]
    assert machine.serial.received == b"\xffx"


def test_a_date_with_a_time_zone_is_turned_into_utc(fake: Fake) -> None:
    main(["boot", "--rtc-base", "2026-01-31T12:00:00+02:00"])
    assert asked(fake)["rtc_base"] == datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_serial_input_comes_from_a_file(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "typed").write_bytes(b"ls\r\x00")
    main(["boot", "--serial-input", str(tmp_path / "typed")])
    assert fake.made[-1].serial.received == b"ls\r\x00"


def test_the_reports_of_the_machine_go_to_standard_error(fake: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    main(["boot"])
    asked(fake)["report"]("the guest programs a DMA controller, which is not modelled")
    assert capfd.readouterr().err.endswith("hillemu: the guest programs a DMA controller, which is not modelled\n")


def test_the_formats_offered_are_those_the_loader_knows() -> None:
    from hillemu.boot.loader import FORMATS

    assert IMAGE_FORMATS == FORMATS


def test_the_processors_offered_are_those_that_there_are() -> None:
    from hillemu.emu.cpu.models import MODELS

    assert tuple(MODELS) == CPU_MODELS


# Mistakes

MISTAKES = {
    "boot --serial-input-after $": "--serial-input-after: there is no --serial-input to hold back",
    "boot --serial-input x --serial-input-after [": "--serial-input-after: '[' is not a regular expression",
    "": "no command; 'hillemu boot' boots the built-in kernel, 'hillemu --help' lists the rest",
    "bot": "argument COMMAND: invalid choice: 'bot'",
    "boot --mem lots": "--mem: 'lots' is not a size; write it like 512M, 4G or 65536K",
    "boot --mem 1M": "--mem: 1M is too little",
    "boot --mem": "argument --mem: expected one argument",
    "boot --cpu z80": "argument --cpu: invalid choice: 'z80'",
    "boot --display sdl": "--display: 'sdl' is neither 'none' nor 'text' nor the name of a .png file",
    "boot --display nowhere/x.png": "--display: nowhere is not a folder",
    "boot --format tape": "argument --format: invalid choice: 'tape'",
    "boot --device tpm": "argument --device: invalid choice: 'tpm'",
    "boot --initrd x": "--initrd: needs an IMAGE",
    "boot --until (": "--until: '(' is not a regular expression: missing ), unterminated subpattern at position 0",
    "boot --max-insns ten": "--max-insns: 'ten' is not a number of instructions; write it like 10_000_000 or 10M",
    "boot --max-insns -5": "--max-insns: '-5' is not a number of instructions",
    "boot --keys-at 1.5": "--keys-at: '1.5' is not a number of instructions",
    "boot --keys a --keys-at 1 --keys-at 2": "--keys-at: is given more often than --keys",
    "boot --replay /nowhere": "/nowhere: cannot read the run to replay: No such file or directory",
    "boot --live mouse": "argument --live: invalid choice: 'mouse'",
    "boot --rtc-base yesterday": "--rtc-base: 'yesterday' is not a date; write it like 2026-01-31T12:00:00",
    "boot k.elf --module :args": "--module: ':args' names no file",
    "boot --append x --disk y": "--append: needs an IMAGE",
    "boot --module x --bios y": "--module: needs an IMAGE",
    "boot k.elf --check": "--check: is for the built-in kernel",
    "boot --disk y --kernel-module x.py": "--kernel-module: is for the built-in kernel",
    "kernel-trace": "kernel-trace needs the FILE of a trace, or --paging",
    "kernel-trace /nowhere": "/nowhere: no such file",
    "boot --format multiboot": "--format: needs an IMAGE",
    "boot a b": "unrecognized arguments: b",
    "boot --nonsense": "unrecognized arguments: --nonsense",
    "boot --max 5": "unrecognized arguments: --max",
    "boot --json /nowhere/run.json": "/nowhere/run.json: cannot write the --json file: No such file or directory",
    "boot --serial /nowhere/log": "/nowhere/log: cannot write the serial output there: No such file or directory",
    "boot --serial-input /nowhere": "/nowhere: cannot read the serial input: No such file or directory",
    "boot --serial /": "/: cannot write the serial output there: Is a directory",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_and_status_125_before_anything_runs(
    line: str, fake: Fake, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 125
    out, err = capfd.readouterr()
    assert err.startswith(f"hillemu: {MISTAKES[line]}")
    assert err.count("\n") == 1
    assert out == ""
    assert fake.made == []


@pytest.mark.parametrize(
    "error", [ImageError("kernel.elf", "is empty"), OptionError("--cpu", "cannot"), InternalError("layout differs")]
)
def test_what_the_machine_refuses_is_one_line_too(
    error: Exception, fake: Fake, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.LOAD = error
    assert main(["boot", "kernel.elf"]) == 125
    assert capfd.readouterr().err == f"hillemu: {error}\n"


def test_a_bug_of_ours_shows_its_traceback_and_never_looks_like_a_guests_exit_code(
    fake: Fake, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.STOP = ZeroDivisionError("a bug")
    assert main(["boot"]) == 125
    out, err = capfd.readouterr()
    assert out == "hello\n"
    assert "ZeroDivisionError: a bug" in err
    assert err.endswith("hillemu: this is a bug in hillemu, please report it with the lines above\n")


# Start-up


def test_help_loads_no_processor_no_disassembler_and_no_elf_library() -> None:
    program = (
        "import sys\n"
        "from hillemu.cli import main\n"
        "try: main(['boot', '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'unicorn', 'capstone', 'keystone', 'elftools', 'numpy', 'dataclasses', 'inspect', 'json'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "--max-insns" in done.stdout
    assert done.stdout.endswith("loaded: []\n")


def test_a_kernel_starts_without_what_only_drives_debuggers_and_reports_need(root: Path) -> None:
    program = (
        "import sys\n"
        "from hillemu.cli import main\n"
        "main(['boot', sys.argv[1], '--max-insns', '1', '--quiet', '--display', 'none'])\n"
        "print(*sys.modules, sep='\\n')\n"
    )
    command = [sys.executable, "-c", program, str(root / "images" / "demo.elf")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = done.stdout.split()
    assert "hillemu.boot.multiboot1" in loaded
    libraries = {"shutil", "bz2", "lzma", "json", "numpy", "dataclasses", "inspect", "elftools", "capstone", "keystone"}
    others_parts = re.compile(
        r"hillemu\.(kernel|report|inspection|debugging|emu\.gdb|boot\.(drive_plan|disk_boot|el_torito|linux|multiboot2))\b"
        r"|hillemu\.(watched|emu\.cpu\.observers)\b"
        r"|hillemu\.emu\.devices\.(storage\.(floppy|atapi|ata_disk)|video\.picture)\b"
    )
    assert [name for name in loaded if name in libraries or others_parts.match(name)] == []


def test_python_m_hillemu_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hillemu", "boot", "--mem", "1M"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 125
    assert done.stderr == "hillemu: --mem: 1M is too little; the smallest machine has 4M\n"


COMMANDS_THAT_PRINT = ("--version", "profiles", "profiles --json", "gdbinit", "kernel-trace --paging 1,2,3 --frames 2")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("command", COMMANDS_THAT_PRINT)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_does_not_fit_on_the_disk_is_told_in_one_line(command: str, unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hillemu", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.stderr == "hillemu: standard output: cannot be written: No space left on device\n"
    assert done.returncode == 125


def test_a_closed_standard_output_is_no_mistake_and_a_closed_standard_error_is_silent() -> None:
    run = f"{shlex.quote(sys.executable)} -m hillemu"
    shell = f"{run} profiles >&-; echo $?; {run} boot --no-such-option 2>&-; echo $?"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n125\n", "")


@pytest.mark.parametrize(
    ("encoding", "corner"), [("utf-8", "\u2514\u2500 PDE"), ("latin-1", "?? PDE"), ("ascii", "?? PDE")]
)
def test_characters_that_the_output_cannot_have_are_question_marks(encoding: str, corner: str, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hillemu", "inspect", root / "images" / "demo.elf", "pt", "0x100000"],
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert corner in done.stdout.decode(encoding)


def test_a_name_that_is_no_text_is_told_as_it_is() -> None:
    done = subprocess.run([sys.executable, "-m", "hillemu", "boot", b"no\xff.elf"], capture_output=True, timeout=60)
    assert done.stderr == b"hillemu: no\xff.elf: no such file\n"
