"""`hillemu vscode`: what it writes, and that hillemu and GDB do with it what Visual Studio Code would have them do."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gdb_session import run_gdb

from hillemu.cli import main

GUIDE = Path(__file__).parents[2] / "docs" / "debugging.md"


@pytest.fixture
def folder(tmp_path: Path, c_kernel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "disk.img").write_bytes(bytes(512))
    shutil.copy(c_kernel, tmp_path / "build" / "kernel.elf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def documents(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    launch, tasks = (json.loads((folder / ".vscode" / f"{name}.json").read_text()) for name in ("launch", "tasks"))
    return launch, tasks


def takewhile_not(pattern: str, lines: Iterable[str]) -> Iterator[str]:
    """Up to the line that matches, with it."""
    for line in lines:
        yield line
        if re.search(pattern, line):
            return
    raise AssertionError(f"no line has {pattern!r}")


DOCUMENTED = {
    *("name", "type", "request", "program", "cwd", "MIMode", "miDebuggerServerAddress", "stopAtConnect"),
    *("setupCommands", "preLaunchTask", "postDebugTask"),
}
"""Of the extension's `CppdbgLaunchOptions` and Visual Studio Code's own; each must be known, or is ignored silently."""


def test_the_configuration_has_documented_words_only_and_what_they_want(folder: Path) -> None:
    assert main(["vscode", "build/kernel.elf"]) == 0
    launch, tasks = documents(folder)
    (configuration,) = launch["configurations"]
    assert set(configuration) == DOCUMENTED
    assert (configuration["type"], configuration["request"], configuration["MIMode"]) == ("cppdbg", "launch", "gdb")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", configuration["miDebuggerServerAddress"])
    assert all(set(setup) <= {"text", "description", "ignoreFailures"} for setup in configuration["setupCommands"])
    boot, end = tasks["tasks"]
    assert (boot["type"], boot["isBackground"], end["label"]) == ("process", True, configuration["postDebugTask"])
    assert set(boot["problemMatcher"]) == {"owner", "pattern", "background"}
    assert set(boot["problemMatcher"]["background"]) == {"activeOnStart", "beginsPattern", "endsPattern"}
    assert {"regexp", "file", "message"} <= set(boot["problemMatcher"]["pattern"])
    assert [one["args"] for one in tasks["inputs"]] == [boot["label"]]


def test_f5_boots_the_kernel_and_gdb_stops_at_its_entry(folder: Path, need_tool: Callable[[str], str]) -> None:
    """As the C/C++ extension does it: the task, until its end pattern; then GDB, the set-up commands, the address."""
    gdb = need_tool("gdb")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    assert main(["vscode", "build/kernel.elf", "--port", str(port)]) == 0
    launch, tasks = documents(folder)
    (configuration,) = launch["configurations"]
    (task,) = (one for one in tasks["tasks"] if one["label"] == configuration["preLaunchTask"])
    assert configuration["postDebugTask"] in [one["label"] for one in tasks["tasks"]]
    words = [word.replace("${workspaceFolder}", str(folder)) for word in task["args"]]
    assert task["command"] == "hillemu"
    machine = subprocess.Popen(
        [sys.executable, "-m", "hillemu", *words], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    watchdog = threading.Timer(60, machine.kill)
    watchdog.start()
    try:
        assert machine.stderr is not None
        background = task["problemMatcher"]["background"]
        first = next(line for line in machine.stderr if re.search(background["beginsPattern"], line))
        said = [first, *takewhile_not(background["endsPattern"], machine.stderr)]
        assert not any(re.search(task["problemMatcher"]["pattern"]["regexp"], line) for line in said)
        setup = [one["text"] for one in configuration["setupCommands"]]
        commands = [
            *setup,
            f"target remote {configuration['miDebuggerServerAddress']}",
            "info symbol $pc",
            "pt 0",
            "kill",
        ]
        program = configuration["program"].replace("${workspaceFolder}", str(folder))
        done = subprocess.run(
            [gdb, "-nx", "-batch", "-ex", "set confirm off", *(f"-ex={one}" for one in commands), program],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        watchdog.cancel()
        machine.kill()
        machine.communicate()
    assert "_start in section .text" in done.stdout
    assert "paging is off" in done.stdout + done.stderr, "pt is a command of the script"


def test_what_is_in_the_files_stays_and_the_same_kernel_is_replaced_by_force_only(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".vscode").mkdir()
    theirs = {"version": "0.2.0", "configurations": [{"name": "mine", "type": "python"}], "compounds": []}
    (folder / ".vscode" / "launch.json").write_text(json.dumps(theirs))
    assert main(["vscode", "build/kernel.elf"]) == 0
    before = documents(folder)
    assert [one["name"] for one in before[0]["configurations"]] == ["mine", "hillemu: build/kernel.elf"]
    assert "compounds" in before[0]
    assert main(["vscode", "build/kernel.elf", "--port", "2345"]) == 125
    assert "--force" in capsys.readouterr().err
    assert documents(folder) == before
    assert main(["vscode", "build/kernel.elf", "--port", "2345", "--force"]) == 0
    launch, tasks = documents(folder)
    assert launch["configurations"][1]["miDebuggerServerAddress"] == "127.0.0.1:2345"
    assert (len(launch["configurations"]), len(tasks["tasks"]), len(tasks["inputs"])) == (2, 2, 1)


@pytest.mark.parametrize("text", ["// my own\n{}", "[]", '{"tasks": 3}', '{"tasks": [3]}', "\udcff"])
def test_a_file_with_comments_or_nonsense_is_left_alone_and_so_is_the_other(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (folder / ".vscode").mkdir()
    tasks = folder / ".vscode" / "tasks.json"
    tasks.write_bytes(text.encode(errors="surrogateescape"))
    before = tasks.read_bytes()
    assert main(["vscode", "build/kernel.elf"]) == 125
    assert "tasks.json" in capsys.readouterr().err
    assert [tasks.read_bytes(), list(tasks.parent.iterdir())] == [before, [tasks]]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nosuch.elf"], "nosuch.elf"),
        (["build"], "build"),
        (["build/disk.img"], "build/disk.img: this is no ELF file"),
        (["build/kernel.elf", "--port", "0"], "--port"),
    ],
)
def test_mistakes_are_one_line(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], why: str) -> None:
    assert main(["vscode", *words]) == 125
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not (folder / ".vscode").exists()


def test_gdbinit_prints_the_scripts_path_or_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gdbinit"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert main(["gdbinit", "--text"]) == 0
    assert capsys.readouterr().out == path.read_text()
    assert "define who-wrote" in path.read_text()


def test_the_documented_configuration_of_another_adapter_starts_a_machine_that_gdb_finds(
    gdb: str, folder: Path
) -> None:
    """The adapter runs the server, and takes the port from what it says."""
    (block,) = re.findall(r"```json\n(.*?\"gdbtarget\".*?)```", GUIDE.read_text(), re.DOTALL)
    configuration = json.loads(block.replace("${workspaceFolder}", str(folder / "build")))
    target = configuration["target"]
    assert target["server"] == "hillemu"
    command = [sys.executable, "-m", "hillemu", *target["serverParameters"]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as machine:
        try:
            assert machine.stderr is not None
            said = "".join(takewhile_not(target["serverPortRegExp"], machine.stderr))
            port = re.search(target["serverPortRegExp"], said)[1]  # type: ignore[index]
            text = run_gdb(gdb, f"localhost:{port}", "break kernel_main", "continue", symbols=configuration["program"])
            assert "Breakpoint 1, kernel_main" in text
        finally:
            machine.kill()
