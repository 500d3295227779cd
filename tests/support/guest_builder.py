"""Compiles the guests of tests/guest: `name.c` or `name.S`, with `lib/`, becomes a multiboot ELF.

Built images are kept by a hash of everything that goes into them, so an unchanged guest is compiled once.  Two test
processes may build at once: each works in a folder of its own and moves the result into place.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

GUESTS = Path(__file__).resolve().parents[1] / "guest"
LIBRARY = GUESTS / "lib"
SCRIPT = LIBRARY / "guest.ld"

FLAGS = [
    *("-m32", "-march=pentium3", "-masm=intel", "-mgeneral-regs-only", "-std=gnu11", "-O2"),
    *("-ffreestanding", "-fno-pic", "-fno-pie", "-fno-stack-protector", "-fcf-protection=none"),
    *("-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns", "-Wall", "-Wextra", "-Werror"),
]
LINK_FLAGS = [
    *("-m32", "-static", "-nostdlib", "-no-pie"),
    *("-Wl,--build-id=none", "-Wl,-z,max-page-size=4096", "-Wl,-z,noexecstack"),
]


@cache
def missing_compiler() -> str | None:
    """Why guests cannot be compiled here, or `None` if they can."""
    if shutil.which("gcc") is None:
        return "gcc is not installed"
    # Linked, not only compiled: gcc alone has no 32-bit libgcc.
    trial = ["gcc", *FLAGS, *LINK_FLAGS, "-Wl,-e,0", "-xc", os.devnull, "-lgcc", "-o", os.devnull]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        return "gcc cannot build for i386 (on Debian: apt install gcc-multilib)"
    return None


def guests() -> list[str]:
    """The names of all guests, in alphabetical order."""
    return sorted(path.stem for path in GUESTS.iterdir() if path.suffix in {".c", ".S"})


def source_of(name: str) -> Path:
    """The file that guest `name` is written in; `FileNotFoundError` if there is none."""
    for suffix in (".c", ".S"):
        if (path := GUESTS / (name + suffix)).exists():
            return path
    raise FileNotFoundError(f"no guest {name!r} in {GUESTS}")


def build(name: str, into: Path) -> Path:
    """Return the image of guest `name`, compiled into the folder `into` if it is not there already.

    Raises `AssertionError` with the compiler's words when the guest does not compile.
    """
    source = source_of(name)
    image = into / f"{name}-{_key([source, *_library()])}.elf"
    if not image.exists():
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into) as folder:
            linked = Path(folder) / "guest.elf"
            parts = [_compile(path, into) for path in _library() if path.suffix in {".c", ".S"}]
            # -lgcc: 64-bit arithmetic.
            _run(["gcc", *LINK_FLAGS, "-T", SCRIPT, "-o", linked, _compile(source, into), *parts, "-lgcc"])
            linked.replace(image)
    return image


def _library() -> list[Path]:
    return sorted(LIBRARY.iterdir())


def _key(sources: list[Path]) -> str:
    digest = hashlib.sha256(" ".join([*FLAGS, *LINK_FLAGS]).encode())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _compile(source: Path, into: Path) -> Path:
    headers = [path for path in _library() if path.suffix in {".h", ".inc"}]
    compiled = into / f"{source.stem}-{_key([source, *headers])}.o"
    if not compiled.exists():
        with tempfile.TemporaryDirectory(dir=into) as folder:
            output = Path(folder) / "part.o"
            _run(["gcc", *FLAGS, "-I", LIBRARY, "-c", source, "-o", output])
            output.replace(compiled)
    return compiled


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
