"""QEMU's machine protocol: commands and answers, one line of JSON each.

Source: QEMU's docs/interop/qmp-spec.txt.
"""

from __future__ import annotations

import json
from typing import Any, TextIO


class Qmp:
    """A conversation with a QEMU that has just been connected to, over `answers` and `commands`."""

    def __init__(self, answers: TextIO, commands: TextIO) -> None:
        self._answers, self._commands = answers, commands
        self._hear()  # its greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """What `command` returns; `AssertionError` if QEMU refuses it or is gone."""
        self._commands.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._commands.flush()
        while "event" in (answer := self._hear()):
            pass
        assert "return" in answer, answer
        return answer["return"]

    def human(self, line: str) -> str:
        """What the human monitor prints for `line`, with plain line ends."""
        return str(self.ask("human-monitor-command", **{"command-line": line})).replace("\r\n", "\n")

    def _hear(self) -> dict[str, Any]:
        line = self._answers.readline()
        assert line.startswith("{"), f"QEMU says: {line or 'nothing'}"
        answer: dict[str, Any] = json.loads(line)
        return answer
