"""A PC on QEMU that is typed at and looked at while it runs: the second opinion on boot loaders and firmware."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from qmp import Qmp

TEXT_AT, COLUMNS, ROWS = 0xB8000, 80, 25
TIMEOUT_S = 40
"""For anything that is waited for; nothing takes ten seconds on an idle host."""
_POLL_S = 0.02
_REST_S = 0.25

Seen = TypeVar("Seen")


class QemuSession:
    """`program` is QEMU; `folder` takes its output; `arguments` say what is in the drives.  Use it in a ``with``."""

    def __init__(self, program: str, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        devices = ["-nodefaults", "-display", "none", "-device", "VGA", "-serial", "null"]
        self._process = subprocess.Popen(
            [program, "-accel", "tcg", "-m", "64", *devices, "-qmp", "stdio", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._qmp = Qmp(self._process.stdout, self._process.stdin)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def wait_for_screen(self, pattern: str) -> None:
        """Return as soon as the text screen matches; `AssertionError` if it never does."""
        end = time.monotonic() + TIMEOUT_S
        while not re.search(pattern, shown := "\n".join(self.screen())):
            assert time.monotonic() < end, f"QEMU never showed {pattern!r}, but:\n{shown}"
            time.sleep(_POLL_S)

    def settled_text_memory(self) -> bytes:
        """`text_memory` as soon as nothing has been written for a quarter of a second."""
        return self._settled(self.text_memory, lambda text: True)

    def settled_picture(self, width: int, height: int) -> tuple[int, int, bytes]:
        """`picture` as soon as it has this size, and nothing has been drawn for a quarter of a second."""
        return self._settled(self.picture, lambda picture: picture[:2] == (width, height))

    def type(self, *keys: str) -> None:
        """Press and release keys by QEMU's names, as ``ret`` and ``ctrl-b``."""
        for key in keys:
            self._qmp.human(f"sendkey {key} 10")
            time.sleep(0.1)  # they are pressed one after another only so

    def memory(self, at: int, count: int) -> bytes:
        """`count` bytes at physical address `at`."""
        file = self._folder / "memory.bin"
        self._qmp.ask("pmemsave", val=at, size=count, filename=str(file))
        return file.read_bytes()

    def text_memory(self) -> bytes:
        """Characters and attributes of the text screen."""
        return self.memory(TEXT_AT, 2 * COLUMNS * ROWS)

    def screen(self) -> list[str]:
        """The rows of the text screen."""
        text = self.text_memory()[::2].decode("cp437").replace("\0", " ")
        return [text[at : at + COLUMNS].rstrip() for at in range(0, COLUMNS * ROWS, COLUMNS)]

    def picture(self) -> tuple[int, int, bytes]:
        """Width, height and pixels, three bytes each, of what the screen shows."""
        file = self._folder / "screen.ppm"
        self._qmp.ask("screendump", filename=str(file))
        found = re.match(rb"P6\n(\d+) (\d+)\n255\n", data := file.read_bytes())
        assert found, data[:20]
        return int(found[1]), int(found[2]), data[found.end() :]

    # ---- inside -------------------------------------------------------------------------------------------------

    def _settled(self, look: Callable[[], Seen], is_wanted: Callable[[Seen], bool]) -> Seen:
        end, before = time.monotonic() + TIMEOUT_S, look()
        while True:
            time.sleep(_REST_S)
            if is_wanted(now := look()) and now == before:
                return now
            assert time.monotonic() < end, "QEMU's screen never shows what is wanted, or never rests:\n" + "\n".join(
                self.screen()
            )
            before = now

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()
