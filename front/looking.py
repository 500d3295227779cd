"""The part of `hillemu.Machine` that shows what is in memory as what it is: tables, boot information, C structures.

::

    m.read(0xC0100000, 16)                  bytes
    m.read("struct task", 0xC0101000)       a structure of the guest; `m.structs` knows the types
    m.walk_list("struct task", head, "next")  the structures of a linked list
    m.paging                                the address space
    m.gdt  m.ldt  m.idt                     DescriptorTable: a sequence of TableEntry
    m.tss                                   Tss
    m.multiboot                             MultibootInfo

All of them have `problems`, `as_dict()` for JSON, `str()`, and a table in a notebook.  Everything only peeks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.address import VirtAddr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hillemu.boot.image import Loaded
    from hillemu.emu.pc import Pc
    from hillemu.inspection.multiboot.values import MultibootInfo
    from hillemu.inspection.sight import Sight
    from hillemu.inspection.spaces import AddressSpace, Paging
    from hillemu.inspection.structs.reading import Source
    from hillemu.inspection.structs.type_library import Structs
    from hillemu.inspection.structs.types import CType
    from hillemu.inspection.tables import DescriptorTable
    from hillemu.inspection.tables_tss import Tss
    from hillemu.symbols import SymbolTable


class Looking:
    """What can be looked at, beside registers and devices."""

    OUTSIDE_STATE = frozenset({"_structs", "_paging"})
    """What is known of the guest's types is not the guest's, nor is who looks: restoring a snapshot leaves them."""

    _pc: Pc
    _structs: Structs | None = None
    _paging: Paging | None = None
    loaded: Loaded | None
    symbols: SymbolTable

    # ---- structures ---------------------------------------------------------------------------------------------

    @property
    def structs(self) -> Structs:
        """The types that are known: define() them, or have them from the image's debugging information."""
        if self._structs is None:
            from hillemu.inspection.structs.type_library import Structs

            self._structs = Structs(lambda: (self.symbols.elf, self.symbols.name))
        return self._structs

    @overload
    def read(self, what: int, at: int) -> bytes: ...
    @overload
    def read(self, what: str | CType, at: int, *, phys: bool = False, space: AddressSpace | None = None) -> Any: ...
    def read(self, what: int | str | CType, at: int, *, phys: bool = False, space: AddressSpace | None = None) -> Any:
        """Guest memory: ``read(address, count)`` is bytes, ``read("struct task", address)`` a value of that type.

        Bytes are read through the current page tables, and are fewer at the first hole.  Values are too, or at a
        physical address (`phys`), or through `space`, such as ``m.paging.at(cr3=...)``.

        Raises `UnknownType`; `Unreadable`, which shows the walk; `IncompleteType` for a type only declared.
        """
        if isinstance(what, int):
            from hillemu.emu.i386.control import ControlState
            from hillemu.emu.i386.paging import read_virtual

            return read_virtual(self._pc.memory, VirtAddr(what & 0xFFFFFFFF), at, ControlState.read(self._pc.processor))
        from hillemu.inspection.structs.values import read_value

        return read_value(self._source(phys, space), self._type(what), at)

    def walk_list(
        self,
        what: str | CType,
        head: int,
        link: str,
        *,
        limit: int = 100_000,
        phys: bool = False,
        space: AddressSpace | None = None,
    ) -> Iterator[Any]:
        """The structures of a linked list, by its member `link`: ``next``, ``links.next``, or a ``list_head``'s name.

        `head` is the first structure's address, or that of the ``list_head`` outside of all structures.
        Raises `BrokenList` where the list bites its tail, leads nowhere or is longer than `limit`.
        """
        from hillemu.inspection.structs.chains import walk_list

        return walk_list(self._source(phys, space), self._type(what), head, link, limit)

    def container_of(
        self, at: int, what: str | CType, member: str, *, phys: bool = False, space: AddressSpace | None = None
    ) -> Any:
        """The structure whose `member` lies at `at`."""
        from hillemu.inspection.structs.chains import container_of

        return container_of(self._source(phys, space), at, self._type(what), member)

    def _type(self, what: str | CType) -> CType:
        return self.structs[what] if isinstance(what, str) else what

    def _source(self, phys: bool, space: AddressSpace | None) -> Source:
        from hillemu.inspection.structs.sources import PhysicalSource, VirtualSource

        if phys and space is not None:
            raise UserMistake("phys=True and space= contradict each other: a physical address has no space")
        if phys:
            return PhysicalSource(self._pc.memory, self.structs, self.symbols)
        control = (space or self.paging).control
        return VirtualSource(self._pc.memory, self.structs, self.symbols, control)

    # ---- what the processor uses --------------------------------------------------------------------------------

    @property
    def paging(self) -> Paging:
        """The address space that the processor uses now, to look at; ``paging.at(cr3=...)`` is another."""
        if self._paging is None:
            from hillemu.inspection.spaces import Paging

            self._paging = Paging.of_pc(self._pc)
        return self._paging

    @property
    def gdt(self) -> DescriptorTable:
        """The global descriptor table that the processor uses now, with what is wrong with it."""
        from hillemu.inspection.tables import read_gdt

        return read_gdt(self._sight)

    @property
    def ldt(self) -> DescriptorTable:
        """The local descriptor table; empty while LDTR is null."""
        from hillemu.inspection.tables import read_ldt

        return read_ldt(self._sight)

    @property
    def idt(self) -> DescriptorTable:
        """The interrupt descriptor table; in real mode it has no entries."""
        from hillemu.inspection.tables import read_idt

        return read_idt(self._sight)

    @property
    def tss(self) -> Tss:
        """The task-state segment; `is_loaded` is False while TR is null."""
        from hillemu.inspection.tables_tss import read_tss

        return read_tss(self._sight)

    @property
    def multiboot(self) -> MultibootInfo:
        """What the loader told a Multiboot kernel, as it is in memory now.

        Raises `UserMistake` for another image, such as a disk whose own loader made the structure: `multiboot_at` reads
        that.
        """
        from hillemu.boot.detect import Kind

        versions = {Kind.MULTIBOOT1: 1, Kind.MULTIBOOT2: 2}
        if self.loaded is None or self.loaded.kind not in versions:
            what = "no image is loaded" if self.loaded is None else f"a {self.loaded.kind} image is loaded"
            raise UserMistake(
                f"{what}, no Multiboot kernel; if a boot loader on a disk made the structure, use "
                "multiboot_at(address), with what the kernel found in EBX"
            )
        return self.multiboot_at(self.loaded.info_address, version=versions[self.loaded.kind])

    def multiboot_at(self, address: int, *, version: int = 1) -> MultibootInfo:
        """The Multiboot information of `version` 1 or 2 at physical `address`; `UserMistake` for another version."""
        from hillemu.inspection.multiboot.information import read_multiboot

        if version not in (1, 2):
            raise UserMistake(f"version={version}: Multiboot has versions 1 and 2")
        kernel = [(part.base, part.end) for part in self.loaded.segments] if self.loaded is not None else []
        return read_multiboot(self._pc.memory, address, version, kernel)

    @property
    def _sight(self) -> Sight:
        from hillemu.inspection.sight import Sight

        return Sight.of_pc(self._pc)
