"""`hillemu vscode KERNEL`: has F5 in Visual Studio Code boot the kernel and stop at its entry.

Writes what Microsoft's C/C++ extension (``cppdbg``) needs into the folder's ``.vscode``: in ``launch.json`` how to
attach GDB, in ``tasks.json`` how to start hillemu, and how to end it.  What is in these files already stays; entries
of the same name are replaced only with ``--force``.

Source: Visual Studio Code's documentation, "Configure launch.json for C/C++ debugging", "Tasks" ("Background / watching
tasks", "Custom tasks").
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hillemu.boot.elf import begins_as_elf
from hillemu.debugging.listening import LOCALHOST
from hillemu.debugging.server import SCRIPT
from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine

FOLDER = ".vscode"
READY = "waiting for GDB before the first instruction"
"""What `Server.greeting` says when GDB may attach."""


def vscode(options: CommandLine) -> int:
    """Carry the command out; raises `UserMistake` for what cannot be read, written or kept."""
    kernel = Path(options.kernel)
    if not kernel.is_file():
        raise UserMistake(f"{kernel}: there is no such kernel; give the ELF file that has its symbols")
    if not _is_elf(kernel):
        raise UserMistake(
            f"{kernel}: this is no ELF file, so GDB finds no symbols in it; give the one that has them, and where "
            f"another file is booted, put that into the arguments in {FOLDER}/tasks.json"
        )
    for path in write_configuration(Path.cwd(), kernel, options.port, force=options.force):
        print(path)
    return 0


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return begins_as_elf(file.read(4))
    except OSError as error:
        raise UserMistake(f"{path}: cannot read it: {error.strerror or error}") from None


def write_configuration(folder: Path, kernel: Path, port: int, *, force: bool = False) -> list[Path]:
    """Write both files for `kernel` into `folder`'s ``.vscode``; return their paths.

    Raises `UserMistake`, and writes nothing, where one has such an entry already or cannot be understood.
    """
    inside = kernel.resolve().is_relative_to(folder.resolve())
    name = kernel.resolve().relative_to(folder.resolve()).as_posix() if inside else str(kernel.resolve())
    program = f"${{workspaceFolder}}/{name}" if inside else name
    additions = (
        (folder / FOLDER / "launch.json", launch_of(name, program, port)),
        (folder / FOLDER / "tasks.json", tasks_of(name, program, port)),
    )
    merged = [(path, _merged(path, added, force=force)) for path, added in additions]
    for path, document in merged:
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(document, indent=4) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserMistake(f"{path}: cannot write it: {error.strerror or error}") from None
    return [path for path, _ in merged]


def launch_of(name: str, program: str, port: int) -> dict[str, Any]:
    """``launch.json``: GDB attaches, and shows the first instruction."""
    return {
        "version": "0.2.0",
        "configurations": [
            {
                "name": f"hillemu: {name}",
                "type": "cppdbg",
                "request": "launch",
                "program": program,
                "cwd": "${workspaceFolder}",
                "MIMode": "gdb",
                "miDebuggerServerAddress": f"{LOCALHOST}:{port}",
                "stopAtConnect": True,
                "setupCommands": [
                    {"description": "follow 16-bit and 32-bit code; pt, who-wrote", "text": f"source {SCRIPT}"}
                ],
                "preLaunchTask": _boot_task(name),
                "postDebugTask": _end_task(name),
            }
        ],
    }


def tasks_of(name: str, program: str, port: int) -> dict[str, Any]:
    """``tasks.json``: hillemu runs in the background, and debugging begins when it says that it waits."""
    # A background task must have a pattern for problems, and each that is found would have F5 ask whether to go on.
    # What keeps hillemu from booting is in the terminal, and ends the task with a status that stops F5, too.
    no_line = {"kind": "file", "regexp": "(?!)(.*)(.*)", "file": 1, "message": 2}
    return {
        "version": "2.0.0",
        "tasks": [
            {
                "label": _boot_task(name),
                "type": "process",
                "command": "hillemu",
                "args": ["boot", program, "--gdb", str(port), "--wait"],
                "isBackground": True,
                "problemMatcher": {
                    "owner": "hillemu",
                    "pattern": no_line,
                    "background": {"activeOnStart": True, "beginsPattern": "listening", "endsPattern": READY},
                },
            },
            # A debugger that leaves lets the machine run on: it has to be ended before it can be booted again.
            {
                "label": _end_task(name),
                "type": "shell",
                "command": f"echo ${{input:{_end_task(name)}}}",
                "problemMatcher": [],
                "presentation": {"reveal": "never"},
            },
        ],
        "inputs": [
            {
                "id": _end_task(name),
                "type": "command",
                "command": "workbench.action.tasks.terminate",
                "args": _boot_task(name),
            }
        ],
    }


def _boot_task(name: str) -> str:
    return f"hillemu: boot {name}"


def _end_task(name: str) -> str:
    return f"hillemu: end {name}"


_KEYS = {"configurations": "name", "tasks": "label", "inputs": "id"}
"""The lists of both files, and what their entries are known by."""


def _merged(path: Path, added: dict[str, Any], *, force: bool) -> dict[str, Any]:
    """What is in the file, with `added`."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return added
    except (OSError, UnicodeDecodeError) as error:
        raise UserMistake(f"{path}: cannot read it: {getattr(error, 'strerror', None) or error}") from None
    document = _parsed(text)
    if document is None:
        if force:
            return added
        raise UserMistake(
            f"{path}: this is not plain JSON (it may have comments, which would be lost); add to it by hand, "
            "or have it overwritten with --force"
        )
    for list_name, key in _KEYS.items():
        ours = added.get(list_name, [])
        names = {entry[key] for entry in ours}
        theirs = document.get(list_name, [])
        clash = [entry for entry in theirs if entry.get(key) in names]
        if clash and not force:
            raise UserMistake(f"{path}: has {clash[0][key]!r} already; --force replaces it")
        if ours:
            document[list_name] = [entry for entry in theirs if entry not in clash] + ours
    return document


def _parsed(text: str) -> dict[str, Any] | None:
    """The document; `None` where it is not what these files hold."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    lists = [document.get(name, []) for name in _KEYS]
    if not all(isinstance(one, list) and all(isinstance(entry, dict) for entry in one) for one in lists):
        return None
    return document
