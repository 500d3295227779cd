"""The record of what was typed, and what is said about files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hillemu.emu.errors import UserMistake
from hillemu.input_record import Typed, as_json, read_record, serial_bytes, serial_text

GOOD = {"to": "keyboard", "text": "ls{enter}", "virtual_ns": 5, "instructions": 3}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    record = [Typed(**GOOD), Typed("serial", serial_text(b"ls\r\xff\x00"), 1 << 40, 0)]  # type: ignore[arg-type]
    (tmp_path / "run.json").write_text(json.dumps({"stop": "halt", "live_input": as_json(record)}))
    assert read_record(str(tmp_path / "run.json")) == record


@given(st.lists(st.binary(max_size=8)))
def test_serial_bytes_survive_as_text_however_they_were_split(pieces: list[bytes]) -> None:
    text = "".join(map(serial_text, pieces))
    assert serial_bytes(json.loads(json.dumps(text))) == b"".join(pieces)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("no json", "this is not a file that --json wrote"),
        ("[" * 100_000, "this is not a file that --json wrote"),
        ([1], "this is not a file that --json wrote: it has no list 'live_input'"),
        ({"live_input": 5}, "this is not a file that --json wrote: it has no list 'live_input'"),
        ({"live_input": [GOOD, 5]}, "live_input[1]: must have to, text, virtual_ns, instructions, and nothing else"),
        ({"live_input": [GOOD | {"x": 1}]}, "live_input[0]: must have to, text, virtual_ns, instructions, and nothing"),
        (
            {"live_input": [GOOD | {"to": "mouse"}]},
            "live_input[0]: 'to' is 'mouse', but must be one of keyboard, serial",
        ),
        ({"live_input": [GOOD | {"to": []}]}, "live_input[0]: 'to' is []"),
        ({"live_input": [GOOD | {"virtual_ns": -1}]}, "live_input[0]: 'virtual_ns' is -1, but must be nanoseconds"),
        ({"live_input": [GOOD | {"virtual_ns": 1.5}]}, "live_input[0]: 'virtual_ns' is 1.5"),
        ({"live_input": [GOOD | {"text": 5}]}, "live_input[0]: 'text' is 5, but must be text"),
        ({"live_input": [GOOD | {"text": "{entr}"}]}, "live_input[0]: there is no key 'entr'"),
        ({"live_input": [GOOD | {"to": "serial", "text": "\ud800"}]}, "live_input[0]: 'text' has characters that no"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(document: Any, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(UserMistake) as told:
        read_record(str(path))
    assert str(told.value).startswith(f"{path}: {complaint}")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(UserMistake, match=r"No such file|not a file that --json wrote"):
        read_record(str(tmp_path / "run.json"))
