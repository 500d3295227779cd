"""Linked lists of structures.

Three kinds are told apart by the types:

* a member that points to the next structure (``struct task *next``), to the end at null or at the first one again;
* a node inside the structure whose pointer leads to the next node (Linux's ``struct list_head``, ``hlist_node``): the
  walk starts at the list's head, which is a node of its own, and ends there or at null;
* a node inside the structure whose pointer leads to the next structure (BSD's ``LIST_ENTRY``, ``TAILQ_ENTRY``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hillemu.emu.errors import UserMistake
from hillemu.inspection.structs.reading import Source, Unreadable
from hillemu.inspection.structs.types import CType, Member, Pointer, Record
from hillemu.inspection.structs.values import read_value

MOST_ELEMENTS = 100_000
"""A list that is longer is taken for garbage, unless the caller says otherwise."""
_NODE_POINTER = "next"


class BrokenList(UserMistake):
    """The list cannot be followed to its end: it bites its tail, leads nowhere, or has too many elements."""


def walk_list(source: Source, kind: CType, head: int, link: str, limit: int = MOST_ELEMENTS) -> Iterator[Any]:
    """Give the structures of a list, one after the other.

    `head` is the address of the first structure, or of the list's head if `link` is a node in the structure that leads
    to nodes.  `link` names the pointer: ``next``, ``links.next``, or only the node (``links``), for its ``next``.

    Raises `BrokenList`, after the elements in front of the trouble; `UnknownMember`, `UserMistake` for a `link` that
    cannot be one.
    """
    kind = source.completed(kind)
    record = kind.bare
    if not isinstance(record, Record):
        raise UserMistake(f"{kind} is no structure: it cannot be in a linked list")
    path, pointer, node = _link(source, record, link)
    offset = record.offset_of(path)
    if node is not None:
        node_path = path.rpartition(".")[0]
        inside = node.offset_of(path.rpartition(".")[2])
        start = _pointer_at(source, head + inside, "the list's head", 0)
        yield from _follow(source, kind, start, head, record.offset_of(node_path), inside, limit, path)
    else:
        yield from _follow(source, kind, head, None, 0, offset, limit, path)
    assert isinstance(pointer.type.bare, Pointer)


def container_of(source: Source, at: int, kind: CType, path: str) -> Any:
    """The `kind` whose member `path` lies at `at`: Linux's ``container_of``.  Raises as `read_value`."""
    kind = source.completed(kind)
    record = kind.bare
    if not isinstance(record, Record):
        raise UserMistake(f"{kind} is no structure: nothing is inside it")
    return read_value(source, kind, at - record.offset_of(path))


def _follow(
    source: Source, kind: CType, at: int, head: int | None, base: int, offset: int, limit: int, path: str
) -> Iterator[Any]:
    """Elements from the link at `at`, `base` bytes inside its structure; the pointer is `offset` behind it."""
    seen: dict[int, int] = {}
    first = at if head is None else head
    while at and not (seen and at == first) and at != head:
        number = len(seen)
        if at in seen:
            raise BrokenList(
                f"the list of {kind} by {path!r} bites its tail: element {number - 1} leads back to element "
                f"{seen[at]}, at 0x{at - base & 0xFFFFFFFF:08X}, and never to its end"
            )
        if number >= limit:
            raise BrokenList(
                f"the list of {kind} by {path!r} has more than {limit:,} elements; is that right? (limit=)"
            )
        seen[at] = number
        try:
            value = read_value(source, kind, at - base)
        except Unreadable as error:
            raise BrokenList(f"element {number} of the list of {kind} by {path!r} is not there: {error}") from None
        yield value
        at = _pointer_at(source, at + offset, f"{path!r} of element {number}", number)


def _pointer_at(source: Source, at: int, what: str, number: int) -> int:
    data = source.read(at & 0xFFFFFFFF, 4)
    if len(data) < 4:
        raise BrokenList(f"{what} at 0x{at & 0xFFFFFFFF:08X} cannot be read:\n{source.why_unreadable(at + len(data))}")
    return int.from_bytes(data, "little")


def _link(source: Source, record: Record, link: str) -> tuple[str, Member, Record | None]:
    """The whole path of the pointer, its member, and the node's type if the pointer leads to nodes."""
    owner, member = _owner(source, record, link)
    inner = source.completed(member.type).bare
    if isinstance(inner, Record):
        link, owner = f"{link}.{_NODE_POINTER}", inner
        member = inner.member(_NODE_POINTER)
    target = member.type.bare
    if not isinstance(target, Pointer):
        raise UserMistake(f"{link!r} of {record} is {member.type}: a list goes on by a pointer")
    leads_to = source.completed(target.target).bare
    return link, member, owner if owner is not record and str(leads_to) == str(owner) else None


def _owner(source: Source, record: Record, path: str) -> tuple[Record, Member]:
    """The structure that the last name of `path` is directly in, and the member."""
    owner = record
    *outer, last = path.split(".")
    record.offset_of(path)  # complains about names that are not there
    for name in outer:
        inner = source.completed(owner.member(name).type).bare
        assert isinstance(inner, Record)
        owner = inner
    return owner, owner.member(last)
