"""Values and lists in a plain memory with paging: members, pointers, text, and what cannot be read."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.control import ControlState
from hillemu.inspection.structs.chains import BrokenList, container_of, walk_list
from hillemu.inspection.structs.for_json import for_json
from hillemu.inspection.structs.reading import Unreadable
from hillemu.inspection.structs.sources import PhysicalSource, VirtualSource
from hillemu.inspection.structs.type_library import Structs
from hillemu.inspection.structs.types import UnknownMember
from hillemu.inspection.structs.values import read_value
from hillemu.symbols import Symbol, SymbolTable

TYPES = """
enum state { READY, RUNNING };
struct list_head { struct list_head *next, *prev; };
struct task {
    int pid;
    char name[8];
    enum state state;
    struct task *next;
    struct list_head links;
    char *why;
    struct task **others;
    unsigned address : 5, high : 3;
    unsigned char data[];
};
struct entry { short key; struct { struct entry *le_next, **le_prev; } link; };
"""
NEXT, LINKS = 16, 20
TASK_BYTES = 40
FIRST, SECOND, THIRD = 0xC0000100, 0xC0000200, 0xC0000300
HEAD = 0xC0000800
HOLE = 0xC0001000


class Room:
    """One page at 0xC0000000 on physical 0x3000, and nothing behind it."""

    def __init__(self) -> None:
        self.memory = FakeMemory(0x4000)
        self.memory.set_u32(PhysAddr(0x1000 + 4 * 0x300), 0x2003)
        self.memory.set_u32(PhysAddr(0x2000), 0x3003)
        self.structs = Structs()
        self.structs.define(TYPES)
        self.symbols = SymbolTable.of([Symbol("tasks", FIRST, 0x100)])
        self.source = VirtualSource(self.memory, self.structs, self.symbols, ControlState(cr0=0x80000001, cr3=0x1000))

    def put(self, at: int, *words: int) -> None:
        self.memory.write(PhysAddr(at - 0xC0000000 + 0x3000), struct.pack(f"<{len(words)}I", *words))

    def put_task(self, at: int, pid: int, *, next_task: int = 0, links: tuple[int, int] = (0, 0), why: int = 0) -> None:
        name = int.from_bytes(b"ta\0\0", "little")
        self.put(at, pid & 0xFFFFFFFF, name + 0x310000 + (pid << 16), 0, 1, next_task, *links, why, FIRST + 0xF0, 0x65)

    def read(self, kind: str, at: int) -> Any:
        return read_value(self.source, self.structs[kind], at)

    def walk(self, head: int, link: str, kind: str = "struct task", **options: Any) -> list[Any]:
        return list(walk_list(self.source, self.structs[kind], head, link, **options))


@pytest.fixture
def room() -> Room:
    made = Room()
    for at, pid, following in ((FIRST, 1, SECOND), (SECOND, 2, THIRD), (THIRD, 3, 0)):
        made.put_task(at, pid, next_task=following)
    made.put(FIRST + 0xF0, SECOND, THIRD)
    return made


def test_members_are_attributes(room: Room) -> None:
    task = room.read("struct task", FIRST)
    assert (task.pid, task.name, task.name.text, task.state) == (1, "ta2", "ta2", "RUNNING")
    assert task.state == 1
    assert task["pid"] == 1
    assert (task.high, task.address) == (3, 5)  # a member called address wins
    assert task.address_ == FIRST
    assert task.field_address("links.prev") == FIRST + LINKS + 4
    assert room.read("struct list_head", FIRST).address == FIRST


def test_pointers_lead_on(room: Room) -> None:
    task = room.read("struct task", FIRST)
    assert task.next == SECOND
    assert task.next.pid == 2
    assert task.next.next.deref().pid == 3
    assert task.next[1].pid == room.read("struct task", SECOND + TASK_BYTES).pid
    assert task.others.deref().pid == 2
    assert task.others[1].pid == 3
    assert (str(task.next), repr(task.next)) == ("0xc0000200", "(struct task *) 0xc0000200")
    assert str(room.read("struct task *", FIRST + 0xF0)) == "0xc0000200"
    assert f"{task.next:#010x}" == "0xc0000200"


def test_a_null_pointer_is_told(room: Room) -> None:
    with pytest.raises(UserMistake, match=r"this struct task \* is null"):
        room.read("struct task", THIRD).next.deref()
    with pytest.raises(AttributeError, match="has no 'pid'"):
        _ = room.read("char *", FIRST).pid


def test_a_pointer_to_nowhere_shows_the_walk(room: Room) -> None:
    room.put_task(FIRST, 1, next_task=HOLE)
    with pytest.raises(Unreadable) as caught:
        room.read("struct task", FIRST).next.deref()
    lines = str(caught.value).splitlines()
    assert lines[0] == "struct task at 0xC0001000 (40 bytes) cannot be read at 0xC0001000:"
    assert lines[1] == "CR3 0x00001000"
    assert lines[3] == "PTE[0x001] @0x00002004 = not present"


def test_a_structure_that_reaches_into_a_hole_is_told(room: Room) -> None:
    with pytest.raises(Unreadable, match="at 0xC0001000, 16 bytes behind its start"):
        room.read("struct task", HOLE - 16)


def test_text_is_read_up_to_its_end(room: Room) -> None:
    room.memory.write(PhysAddr(0x3FFB), b"last\0")
    room.put_task(FIRST, 1, why=HOLE - 5)
    task = room.read("struct task", FIRST)
    assert task.why.string() == "last"
    assert str(task.why) == '0xc0000ffb "last"'
    room.memory.write(PhysAddr(0x3FFF), b"!")
    with pytest.raises(Unreadable):
        task.why.string()


def test_a_flexible_array_goes_on_as_far_as_one_likes(room: Room) -> None:
    task = room.read("struct task", FIRST)
    room.memory.write(PhysAddr(0x3100 + 37), bytes(range(1, 6)))
    assert len(task.data) == 0
    assert task.data.address == task.field_address("data")
    offset = task.field_address("data") - FIRST
    first = room.memory.data[0x3100 + offset : 0x3100 + offset + 3]
    assert task.data.first(3) == bytes(first)
    assert task.data[1] == first[1]


def test_values_are_json(room: Room) -> None:
    task = json.loads(json.dumps(room.read("struct task", FIRST).as_dict()))
    assert (task["pid"], task["state"], task["next"], task["links"]) == (1, "RUNNING", SECOND, {"next": 0, "prev": 0})


def test_json_has_as_numbers_only_what_javascript_can_hold(room: Room) -> None:
    room.structs.define(
        "struct wide { unsigned long long bits : 40; unsigned long long big; long long low; long long few[1];"
        " _Bool yes; float no; double more;"
        " unsigned small; char text[4]; enum state state; };"
    )
    kind = room.structs["struct wide"]
    data = struct.pack("<QQqqB3xf", 5, 0xFFFF_FFFF_FFFF_FFFF, -3, 1, 1, float("nan"))
    data += struct.pack("<dI4sI", float("-inf"), 7, b"hi", 1)
    room.memory.write(PhysAddr(0x3900), data)
    value = for_json(room.read("struct wide", 0xC0000900), kind)
    assert value == {
        "big": "0xffffffffffffffff",
        "low": "-0x3",
        "few": ["0x1"],
        "yes": True,
        "no": "nan",
        "more": "-inf",
        "small": 7,
        "bits": "0x5",
        "text": "hi",
        "state": "RUNNING",
    }
    json.dumps(value, allow_nan=False)


def test_values_compare(room: Room) -> None:
    first, second = (room.read("struct list_head", at + LINKS) for at in (FIRST, SECOND))
    assert first == second
    room.put(SECOND + LINKS, 7)
    changed = room.read("struct list_head", SECOND + LINKS)
    assert changed != first
    assert second == first  # a value stays what it was
    assert changed == {"next": 7, "prev": 0}


def test_a_notebook_gets_a_table(room: Room) -> None:
    html = room.read("struct task", FIRST)._repr_html_()
    assert html.count("<tr>") == 10
    assert "<td>0x10</td><td>struct task *next</td>" in html


def test_guests_are_not_changed(room: Room) -> None:
    task = room.read("struct task", FIRST)
    with pytest.raises(UserMistake, match="only looked at"):
        task.pid = 7


def test_an_unknown_member_is_told_with_its_like(room: Room) -> None:
    with pytest.raises(UnknownMember, match="struct task has no member 'nxt'; did you mean 'next'"):
        _ = room.read("struct task", FIRST).nxt


def test_types_without_a_value_are_told(room: Room) -> None:
    for kind, message in (("void", "a void has no value"), ("int [0x2000000]", "at most 67,108,864 are read at once")):
        with pytest.raises(UserMistake, match=message):
            room.read(kind, FIRST)


def test_physical_memory_is_read_without_page_tables(room: Room) -> None:
    source = PhysicalSource(room.memory, room.structs, room.symbols)
    assert read_value(source, room.structs["struct task"], 0x3100).pid == 1
    with pytest.raises(Unreadable, match="neither RAM nor ROM is at physical 0x00004000"):
        read_value(source, room.structs["int"], 0x4000)


# ---- lists ----------------------------------------------------------------------------------------------------------


def test_a_list_ends_at_null(room: Room) -> None:
    assert [task.pid for task in room.walk(FIRST, "next")] == [1, 2, 3]
    assert room.walk(0, "next") == []


def test_a_ring_ends_where_it_began(room: Room) -> None:
    room.put(THIRD + NEXT, FIRST)
    assert [task.pid for task in room.walk(SECOND, "next")] == [2, 3, 1]


def test_a_list_that_bites_its_tail_is_told(room: Room) -> None:
    room.put(THIRD + NEXT, SECOND)
    found = []
    with pytest.raises(BrokenList, match="element 2 leads back to element 1, at 0xC0000200"):
        found.extend(task.pid for task in walk_list(room.source, room.structs["struct task"], FIRST, "next"))
    walker = walk_list(room.source, room.structs["struct task"], FIRST, "next")
    assert [next(walker).pid for _ in range(3)] == [1, 2, 3]


def test_a_list_that_is_too_long_is_told(room: Room) -> None:
    with pytest.raises(BrokenList, match="has more than 2 elements"):
        room.walk(FIRST, "next", limit=2)


def test_a_list_that_leads_nowhere_shows_the_walk(room: Room) -> None:
    room.put(SECOND + NEXT, HOLE)
    with pytest.raises(BrokenList, match=r"(?s)element 2 of the list .* is not there: .*PTE\[0x001\] .* not present"):
        room.walk(FIRST, "next")


@pytest.mark.parametrize("link", ["links", "links.next"])
def test_a_list_of_nodes_starts_at_a_head_outside(room: Room, link: str) -> None:
    room.put(HEAD, SECOND + LINKS, FIRST + LINKS)
    room.put(SECOND + LINKS, FIRST + LINKS, HEAD)
    room.put(FIRST + LINKS, HEAD, SECOND + LINKS)
    assert [task.pid for task in room.walk(HEAD, link)] == [2, 1]
    assert [task.pid for task in room.walk(HEAD, "links.prev")] == [1, 2]
    room.put(HEAD, HEAD, HEAD)
    assert room.walk(HEAD, link) == []


def test_a_head_that_is_not_mapped_shows_the_walk(room: Room) -> None:
    with pytest.raises(BrokenList, match="the list's head at 0xC0001000 cannot be read"):
        room.walk(HOLE, "links")


def test_a_bsd_list_leads_from_structure_to_structure(room: Room) -> None:
    room.put(FIRST, 11, SECOND, 0)
    room.put(SECOND, 22, 0, FIRST + 4)
    assert [entry.key for entry in room.walk(FIRST, "link.le_next", "struct entry")] == [11, 22]


def test_the_structure_around_a_member_is_found(room: Room) -> None:
    task = container_of(room.source, SECOND + LINKS, room.structs["struct task"], "links")
    assert (task.address_, task.pid) == (SECOND, 2)


@pytest.mark.parametrize(
    ("kind", "link", "message"),
    [
        ("struct task", "pid", "'pid' of struct task is int: a list goes on by a pointer"),
        ("struct task", "nexd", "did you mean 'next'"),
        ("int", "next", "int is no structure"),
    ],
)
def test_a_link_that_is_none_is_told(room: Room, kind: str, link: str, message: str) -> None:
    with pytest.raises(UserMistake, match=message):
        room.walk(FIRST, link, kind)
