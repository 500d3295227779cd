"""GDB's own sessions with a machine, and how long one of its commands takes: with hillemu, with QEMU, with nobody.

"Nobody" answers each packet at once with what hillemu answered in an earlier session of the same commands: what GDB
takes then it takes for itself, and for the way through the host.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from machines import QEMU
from processes import BenchError, running

from hillemu.debugging.listening import parse_address
from hillemu.debugging.server import Event, Server

TIMEOUT_S = 300
_PACKET = re.compile(rb"\$[^#]*#..", re.DOTALL)
_KILL = b"$k#6b"
_START, _END = "<measured>", "</measured>"
Address = tuple[str, int]


def seconds_of(command: str, image: Path, address: Address, *, before: Sequence[str] = ()) -> float:
    """How long GDB takes for `command`, behind others, at the machine that listens at `address`; ends the machine."""
    gdb = shutil.which("gdb")
    if gdb is None:
        raise BenchError("gdb is not installed")
    attach = ("set confirm off", f"target remote {address[0]}:{address[1]}")
    return _seconds([gdb, *_BATCH, *_executing(*attach, *before, *_marked(command)), str(image)])


def seconds_in_one_command(command: str, image: Path, *, before: Sequence[str] = ()) -> float:
    """How long GDB takes for `command`, behind others, where `hillemu gdb` has started it."""
    ours = [sys.executable, "-m", "hillemu", "gdb", str(image), "--quiet"]
    return _seconds([*ours, "--", *_BATCH, *_executing("set confirm off", *before, *_marked(command))])


_BATCH = ("-nx", "-batch")


def _marked(command: str) -> tuple[str, ...]:
    # The shell's words come at once; GDB's own wait in its buffer.
    return "set pagination off", f"shell echo '{_START}'", command, f"shell echo '{_END}'", "kill"


def _executing(*script: str) -> list[str]:
    return [f"-ex={one}" for one in script]


def _seconds(session: Sequence[str]) -> float:
    """How long lies between the two marks in what `session` writes."""
    with running(list(session)) as process:
        assert process.stdout is not None
        said = b""
        started = ended = 0.0
        while piece := os.read(process.stdout.fileno(), 1 << 16):
            said += piece
            started = started or (perf_counter() if _START.encode() in said else 0.0)
            ended = ended or (perf_counter() if _END.encode() in said else 0.0)
        if process.wait(TIMEOUT_S) or b"killed" not in said:
            assert process.stderr is not None
            raise BenchError(f"gdb: {said[-300:].decode()}{process.stderr.read()[-300:].decode()}")
    return ended - started


@contextmanager
def hillemu_waiting(image: Path) -> Iterator[Address]:
    """Where hillemu waits for GDB before the first instruction of `image`."""
    command = [sys.executable, "-m", "hillemu", "boot", str(image), "--gdb", "0", "--wait", "--display", "none"]
    with running(command) as process:
        assert process.stderr is not None
        said = b""
        while b"waiting" not in said:
            line = process.stderr.readline()
            if not line:
                raise BenchError(f"{' '.join(command)}: {said.decode()}")
            said += line
        found = re.search(rb"target remote ([^']+):([0-9]+)'", said)
        assert found is not None
        yield found[1].decode(), int(found[2])


@contextmanager
def qemu_waiting(image: Path) -> Iterator[Address]:
    """Where QEMU will wait for GDB before its first instruction; GDB asks again until it does."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    options = ["-m", "64M", "-display", "none", "-no-reboot", "-S", "-gdb", f"tcp:127.0.0.1:{port}"]
    with running([QEMU, *options, "-kernel", str(image)]):
        yield "127.0.0.1", port


def recorded(command: str, image: Path, *, before: Sequence[str] = ()) -> list[bytes]:
    """What hillemu answers, packet by packet, in a session of these commands."""
    answers: list[bytes] = []
    with hillemu_waiting(image) as machine, socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_relay, args=(listener, machine, answers), daemon=True)
        thread.start()
        seconds_of(command, image, listener.getsockname(), before=before)
        thread.join(TIMEOUT_S)
    return answers


@contextmanager
def nobody_waiting(answers: Sequence[bytes]) -> Iterator[Address]:
    """Where somebody without a machine says `answers`, in a process of its own; waits for GDB as hillemu does."""
    with running([sys.executable, __file__], stdin=subprocess.PIPE) as player:
        assert player.stdin is not None
        assert player.stdout is not None
        player.stdin.write(b"\n".join(one.hex().encode() for one in answers))
        player.stdin.close()
        host, port = player.stdout.readline().split()
        yield host.decode(), int(port)


def _relay(listener: socket.socket, machine: Address, answers: list[bytes]) -> None:
    """Pass packets on, and note what is answered to each."""
    with _caller(listener) as gdb, socket.create_connection(machine) as stub:
        asked = b""
        while piece := gdb.recv(1 << 16):
            stub.sendall(piece)
            asked += piece
            while packet := _PACKET.search(asked):
                asked = asked[packet.end() :]
                if packet[0] == _KILL:  # which has no answer
                    return
                answer = b""
                while not _PACKET.search(answer):
                    answer += stub.recv(1 << 16)
                answers.append(answer)
                gdb.sendall(answer)


def _play(answers: Sequence[bytes]) -> None:
    with Server(parse_address("0")) as server:
        print(*server.address, flush=True)
        for answer in answers:
            while b"#" not in _heard(server):  # acknowledgements
                pass
            server.send(answer)
        while server.next(None) is not Event.GONE:
            pass


def _heard(server: Server) -> bytes:
    event = server.next(None)
    return event if isinstance(event, bytes) else b""


def _caller(listener: socket.socket) -> socket.socket:
    caller, _ = listener.accept()
    caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return caller


if __name__ == "__main__":
    _play([bytes.fromhex(line) for line in sys.stdin])
