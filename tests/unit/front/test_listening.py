"""Where a debugger may come from, and what is refused in one line."""

from __future__ import annotations

import json
import signal
import socket
import threading
from pathlib import Path

import pytest

from hillemu.cli import main
from hillemu.commands import boot
from hillemu.debugging import prompt_waiting
from hillemu.debugging.listening import Address, SocketFile, parse_address
from hillemu.debugging.server import EVERYBODY_EVERY, Event, Server
from hillemu.emu.errors import OptionError


@pytest.mark.parametrize(
    ("text", "expected", "is_local"),
    [
        ("1234", Address("127.0.0.1", 1234), True),
        (":1234", Address("127.0.0.1", 1234), True),
        ("localhost:0", Address("localhost", 0), True),
        ("0.0.0.0:65535", Address("0.0.0.0", 65535), False),
        ("[::1]:1234", Address("::1", 1234), True),
        ("[::]:1234", Address("::", 1234), False),
    ],
)
def test_an_address_is_this_hosts_own_unless_another_is_given(text: str, expected: Address, is_local: bool) -> None:
    assert parse_address(text) == expected
    assert parse_address(text).is_local is is_local


@pytest.mark.parametrize("text", ["", "host", "host:", "65536", "-1", "12 34", "1234:", "x:y", "١٢"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"--gdb: .* is not \[HOST:\]PORT"):
        parse_address(text)


@pytest.mark.parametrize("text", ["unix:", "unix:a\0b"])
def test_a_socket_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--gdb: unix: names no file"):
        parse_address(text)


def test_a_host_without_socket_files_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(OptionError, match="has no Unix domain sockets"):
        parse_address("unix:gdb")


def answer_at(path: Path, server: Server) -> bytes | Event | None:
    """What `server` hears from who connects at `path` and says one word."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert server.next(60) is Event.ATTACHED
        client.sendall(b"word")
        return server.next(60)


def test_a_socket_file_is_the_users_own_and_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "a socket"
    with Server(parse_address(f"unix:{path}")) as server:
        assert server.address == SocketFile(str(path))
        assert path.stat().st_mode & 0o777 == 0o600
        assert answer_at(path, server) == b"word"
        lines = server.greeting(wait=False)
        assert len(lines) == 1  # no warning
        assert f"target remote {path}'" in lines[0]
    assert not path.exists()


def test_a_socket_file_is_taken_over_from_the_dead_only(tmp_path: Path) -> None:
    path = tmp_path / "gdb"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Server(SocketFile(str(path))) as server:
        assert answer_at(path, server) == b"word"
        with pytest.raises(OptionError, match="Address already in use; choose another"):
            Server(SocketFile(str(path)))
        assert path.exists()
    path.write_text("mine")
    with pytest.raises(OptionError, match="Address already in use"):
        Server(SocketFile(str(path)))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["no folder/gdb", "x" * 200])
def test_a_socket_file_that_cannot_be_is_one_clear_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["boot", "--gdb", f"unix:{tmp_path / name}"]) == 125
    told = capfd.readouterr().err
    assert told.startswith(f"hillemu: --gdb: cannot listen at {tmp_path / name}: ")
    assert told.count("\n") == 1


def test_a_port_in_use_is_one_clear_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["boot", "--gdb", str(port)]) == 125
    line = f"hillemu: --gdb: cannot listen at 127.0.0.1:{port}: Address already in use; choose another\n"
    assert capfd.readouterr().err == line


def test_an_unknown_host_is_one_clear_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--gdb", "256.0.0.1.:1"]) == 125
    assert capfd.readouterr().err.startswith("hillemu: --gdb: cannot listen at 256.0.0.1.:1: ")


def test_there_is_nothing_to_wait_for_without_a_debugger(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "--wait"]) == 125
    assert capfd.readouterr().err == "hillemu: --wait: needs --gdb: it is a debugger that is waited for\n"


def test_who_listens_to_the_world_is_warned() -> None:
    with Server(Address("0.0.0.0", 0)) as server:
        assert any("warning" in line for line in server.greeting(wait=False))
    with Server(parse_address("0")) as server:
        assert not any("warning" in line for line in server.greeting(wait=True))


def test_a_client_that_leaves_makes_room_for_another_and_nobody_else_can_come_meanwhile() -> None:
    with Server(parse_address("0")) as server:
        first = socket.create_connection(server.address)
        assert server.next(5) is Event.ATTACHED
        first.sendall(b"$g#67")
        assert server.next(5) == b"$g#67"
        with socket.create_connection(server.address, 5) as second:
            second.sendall(b"$?#3f")
            assert server.next(0.2) is None
            assert b"another debugger is attached" in second.recv(200)
            first.close()
            assert server.next(5) is Event.GONE
        with socket.create_connection(server.address, 5):
            assert server.next(5) is Event.ATTACHED


def test_waking_ends_the_waiting_and_sending_to_nobody_is_harmless() -> None:
    with Server(parse_address("0")) as server:
        server.send(b"lost")
        server.wake()
        assert server.next(None) is Event.WOKEN
        assert server.next(0) is None


@pytest.fixture
def always_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client is a prompt one, and waited for awake until the test is over."""
    monkeypatch.setattr(prompt_waiting, "AWAKE_S", 3600.0)
    monkeypatch.setattr(prompt_waiting, "processors", lambda: 2)


@pytest.mark.usefixtures("always_awake")
def test_who_waits_awake_hears_the_client_and_everybody_else_as_well() -> None:
    with Server(parse_address("0")) as server, socket.create_connection(server.address, 5) as client:
        assert server.next(None) is Event.ATTACHED
        for packet in (b"$g#67", b"$?#3f"):
            server.send(b"+")
            client.sendall(packet)
            assert server.next(None) == packet
        server.send(b"+")
        threading.Timer(0.01, server.wake).start()
        assert server.next(None) is Event.WOKEN
        with socket.create_connection(server.address, 5) as second:
            second.sendall(b"$?#3f")
            answered = threading.Thread(target=lambda: (second.recv(200), client.sendall(b"\x03")))
            answered.start()
            assert server.next(None) == b"\x03"
            answered.join()
        client.close()
        assert server.next(None) is Event.GONE


def test_who_calls_when_the_client_has_just_gone_takes_its_place() -> None:
    with Server(parse_address("0")) as server:
        for _ in range(3):
            with socket.create_connection(server.address, 5):
                assert server.next(None) is Event.ATTACHED
            with socket.create_connection(server.address, 5) as second:
                assert server.next(None) is Event.GONE
                assert server.next(None) is Event.ATTACHED
                second.sendall(b"+")
                assert server.next(None) == b"+"
            assert server.next(None) is Event.GONE


def test_a_client_that_never_pauses_keeps_nobody_else_waiting_for_long() -> None:
    with Server(parse_address("0")) as server, socket.create_connection(server.address, 5) as client:
        assert server.next(None) is Event.ATTACHED
        second = socket.create_connection(server.address, 5)
        second.sendall(b"$?#3f")
        for _ in range(3 * EVERYBODY_EVERY):
            client.sendall(b"$g#67")
            assert server.next(None) == b"$g#67"
            server.send(b"+")
        second.settimeout(0)
        assert b"another debugger" in second.recv(200)
        second.close()
        server.wake()
        client.sendall(b"$g#67" * EVERYBODY_EVERY)
        heard = [server.next(None) for _ in range(2)]
        assert Event.WOKEN in heard or server.next(0) is Event.WOKEN


@pytest.mark.parametrize("options", [[], ["--wait"]])
def test_who_ends_us_as_soon_as_we_say_that_we_listen_gets_the_record_of_a_run_without_an_instruction(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def say(line: str) -> None:
        said.append(line)
        if "listening" in line:
            signal.raise_signal(signal.SIGTERM)

    def was_not_handled(number: int, frame: object) -> None:
        raise AssertionError("SIGTERM would have ended us the hard way")

    monkeypatch.setattr(boot, "say", say)
    before = signal.signal(signal.SIGTERM, was_not_handled)
    try:
        assert main(["boot", "--gdb", "0", "--json", str(tmp_path / "run.json"), *options]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["stop"], run["instructions"]) == ("interrupted", 0)
    assert any("listening" in line for line in said)
