"""The part of `hillemu.Machine` that shows what is in memory as what it is: tables, boot information, C structures.

::

    m.read(0xC0100000, 16)                  bytes
    m.read("struct task", 0xC0101000)       a structure of the guest; `m.structs` knows the types
    m.paging                                the address space
    m.gdt  m.ldt  m.idt                     DescriptorTable: a sequence of TableEntry
    m.tss                                   Tss
    m.multiboot                             MultibootInfo

All of them have `problems`, `as_dict()` for JSON, `str()`, and a table in a notebook.  Everything only peeks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.emu.errors import UserMistake

if TYPE_CHECKING:
    from hillemu.boot.image import Loaded
    from hillemu.emu.pc import Pc
    from hillemu.inspection.sight import Sight
    from hillemu.inspection.spaces import Paging
    from hillemu.inspection.tables import DescriptorTable
    from hillemu.inspection.tables_multiboot import MultibootInfo
    from hillemu.inspection.tables_tss import Tss


class Looking:
    """What can be looked at, beside registers and devices."""

    _pc: Pc
    loaded: Loaded | None

    @property
    def paging(self) -> Paging:
        """The address space that the processor uses now, to look at; ``paging.at(cr3=...)`` is another."""
        from hillemu.inspection.spaces import Paging

        return Paging.of_pc(self._pc)

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
        from hillemu.inspection.tables_multiboot import read_multiboot

        if version not in (1, 2):
            raise UserMistake(f"version={version}: Multiboot has versions 1 and 2")
        kernel = [(part.base, part.end) for part in self.loaded.segments] if self.loaded is not None else []
        return read_multiboot(self._pc.memory, address, version, kernel)

    @property
    def _sight(self) -> Sight:
        from hillemu.inspection.sight import Sight

        return Sight.of_pc(self._pc)
