"""The view ``struct TYPE ADDRESS``: memory as a C type, as GDB's ``p`` prints it.

Types come from the image's debugging information, and from the C files that ``--types`` names.  Pointers are shown with
the symbol that they lead to; `struct` on their value follows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hillemu.emu.errors import UserMistake
from hillemu.inspection.views.addresses import Address
from hillemu.inspection.views.shown import Shown, Text

if TYPE_CHECKING:
    from hillemu.inspection.views.scene import Scene
    from hillemu.machine import Machine


class Struct:
    """A value of type `type_name`, as C writes types, at `address`."""

    moments: tuple[str, ...] = ()

    def __init__(self, type_name: str, address: str) -> None:
        self.type_name = type_name
        self.address = Address(address)

    def check(self, machine: Machine) -> None:
        """Raise `UnknownType`, `UnknownSymbol`."""
        self.address.check(machine)
        machine.structs[self.type_name]

    def show(self, scene: Scene) -> Shown:
        from hillemu.inspection.structs.for_json import for_json

        at = scene.virtual(self.address)
        kind = scene.machine.structs[self.type_name]
        value: Any = scene.machine.read(kind, at)
        data = {"type": self.type_name, "virtual": at, "size": kind.size_bytes, "value": for_json(value, kind)}
        head = f"{self.type_name} at 0x{at:08X} {scene.named(at)}".rstrip()
        return Shown(data, (Text(head), Text(str(value))))


def learn_types(machine: Machine, paths: list[str]) -> None:
    """Let `machine` know the types that the C files at `paths` declare; raises `UserMistake` with the file's name."""
    from hillemu.boot.image import read_file

    for path in paths:
        text = bytes(read_file(path)).decode("utf-8", "replace")
        try:
            machine.structs.define(text)
        except UserMistake as mistake:
            raise UserMistake(f"{path}: {mistake}") from None
