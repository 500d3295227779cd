"""The page walk against Unicorn's own: random tables, every kind of access, the same fates.

Every word of RAM holds its own physical address, so a load tells where it really went.  Unicorn is used stock, without
hillemu's core.  What it does not check, the low reserved bits of PDPTEs, stays out of the draw; `tests/unit/emu/i386`
has them from the manual.

A drawn set of tables is walked once for each kind of access, from the same state.  There are 2,400 translations in all;
`HILLEMU_WALKS=100000 pytest tests/property/test_paging_walk.py` makes so many, in a minute or two.
"""

from __future__ import annotations

import ctypes
import os
import struct
from array import array
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_32, UC_PROT_ALL, Uc, UcError
from unicorn import x86_const as x86
from unicorn.unicorn_const import (
    UC_CTL_IO_WRITE,
    UC_CTL_TLB_FLUSH,
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_READ_UNMAPPED,
    UC_ERR_WRITE_UNMAPPED,
)

from hillemu.emu.guest import FakeMemory
from hillemu.emu.i386.address import PhysAddr, VirtAddr
from hillemu.emu.i386.control import Access, ControlState
from hillemu.emu.i386.entries import RightsEntry
from hillemu.emu.i386.outcomes import Mapped, PageFault
from hillemu.emu.i386.paging import translate
from hillemu.emu.i386.registers import Cr0, Cr4, Efer
from hillemu.emu.word import Bit

TRANSLATIONS = int(os.environ.get("HILLEMU_WALKS", "2400"))
RAM_BYTES = 16 << 20
GDT, CODE, PROGRAM, STACK = 0x1000, 0x2000, 0x3000, 0x4000
"""All in the first 2 MiB, which every table maps one to one, for all modes.  `PROGRAM` is ring 3's page of code, the
only one that is a user's: SMEP and SMAP forbid the supervisor to use those."""
ENTRY, FINISH = 0x100, 0x200
DIRECTORY_POINTERS, STUB_DIRECTORY, STUB_TABLE, DIRECTORY, TABLE = 0x10000, 0x11000, 0x12000, 0x13000, 0x14000
PRESENT_USER, PRESENT_SUPERVISOR = 0x67, 0x63
FIRST_PAGE_FRAME = 0x200000
KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA = 0x08, 0x10, 0x1B, 0x23
EFER_MSR = 0xC0000080
STORED = 0x5A5A5A5A
JMP_ESI = b"\xff\xe6"
ERROR_CODE_IN_CONTEXT = 5384
"""Where `uc_context_save` of Unicorn 2.1.4 keeps the error code, counted from the start of the register block."""


def stub_entries(size: int) -> bytes:
    """The table of `size`-byte entries that maps the stub's pages one to one, up to where drawn pages begin."""
    pages = range(0, FIRST_PAGE_FRAME, 0x1000)
    entries = (at | (PRESENT_USER if at == PROGRAM else PRESENT_SUPERVISOR) for at in pages)
    return b"".join(entry.to_bytes(size, "little") for entry in entries).ljust(0x1000, b"\0")


STUB_ENTRIES = {size: stub_entries(size) for size in (4, 8)}


@dataclass
class Fate:
    """What the processor did: a #PF with its error code, a loaded value, or an access beyond RAM."""

    error_code: int | None = None
    cr2: int | None = None
    eax: int = 0
    beyond_ram: bool = False


class Processor:
    """A stock engine whose RAM is `memory.data`."""

    def __init__(self) -> None:
        self.memory = FakeMemory(RAM_BYTES)
        self.pattern = array("I", range(0, RAM_BYTES, 4)).tobytes()
        self.memory.data[:] = self.pattern
        self._write_stub()
        self.uc = Uc(UC_ARCH_X86, UC_MODE_32, x86.UC_CPU_X86_SKYLAKE_CLIENT)
        pointer = ctypes.addressof((ctypes.c_char * RAM_BYTES).from_buffer(self.memory.data))
        self.uc.mem_map_ptr(0, RAM_BYTES, UC_PROT_ALL, pointer)
        self.vectors: list[int] = []
        self.uc.hook_add(UC_HOOK_INTR, self._on_exception)
        self.uc.reg_write(x86.UC_X86_REG_GDTR, (0, GDT, 5 * 8 - 1, 0))
        for register in (x86.UC_X86_REG_CS, x86.UC_X86_REG_SS, x86.UC_X86_REG_DS):
            self.uc.reg_write(register, KERNEL_CODE if register == x86.UC_X86_REG_CS else KERNEL_DATA)
        self.supervisor = self.uc.context_save()
        self._registers_in_context = self._find_registers()

    def _write_stub(self) -> None:
        flat = [0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF]
        self.memory.write(PhysAddr(GDT), struct.pack("<5Q", *flat))
        self.memory.write(PhysAddr(CODE), b"\xcf")  # iretd
        for name, code in (("read", b"\x8b\x03"), ("write", b"\x89\x03"), ("fetch", b"\xff\xe3")):
            # mov eax, [ebx]; mov [ebx], eax; jmp ebx: then jmp esi
            for page in (CODE, PROGRAM):
                self.memory.write(PhysAddr(page + self.entry(name)), code + JMP_ESI)

    @staticmethod
    def entry(name: str) -> int:
        return ENTRY + 0x10 * ("read", "write", "fetch").index(name)

    def _find_registers(self) -> int:
        """The register block begins with EAX and ECX: find it by values that only we can have put there."""
        marks = (0x11223344, 0x55667788)
        self.uc.reg_write(x86.UC_X86_REG_EAX, marks[0])
        self.uc.reg_write(x86.UC_X86_REG_ECX, marks[1])
        return bytes(self.uc.context_save()).index(struct.pack("<QQ", *marks))

    def _on_exception(self, uc: Uc, vector: int, _data: object) -> None:
        self.vectors.append(vector)
        uc.emu_stop()

    def run(self, at: int, access: Access, control: ControlState) -> Fate:
        """Make one access of four bytes (a fetch: two) at `at`."""
        uc = self.uc
        uc.context_restore(self.supervisor)
        uc.reg_write(x86.UC_X86_REG_MSR, (EFER_MSR, control.efer))
        uc.reg_write(x86.UC_X86_REG_CR3, control.cr3)
        uc.reg_write(x86.UC_X86_REG_CR4, control.cr4)
        uc.reg_write(x86.UC_X86_REG_CR0, control.cr0)
        uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)
        code, data = (USER_CODE, USER_DATA) if access.user else (KERNEL_CODE, KERNEL_DATA)
        entry = self.entry("fetch" if access.fetch else "write" if access.write else "read")
        page = PROGRAM if access.user else CODE
        frame = struct.pack("<5I", page + entry, code, 0x40002 if access.smap_override else 2, STACK, data)
        self.memory.write(PhysAddr(STACK), frame)
        uc.reg_write(x86.UC_X86_REG_ESP, STACK)
        uc.reg_write(x86.UC_X86_REG_EBX, at)
        uc.reg_write(x86.UC_X86_REG_ESI, page + FINISH)
        uc.reg_write(x86.UC_X86_REG_EAX, STORED)
        self.vectors.clear()
        try:
            uc.emu_start(CODE, page + FINISH)
        except UcError as error:
            if error.errno not in (UC_ERR_READ_UNMAPPED, UC_ERR_WRITE_UNMAPPED, UC_ERR_FETCH_UNMAPPED):
                raise
            return Fate(beyond_ram=True)
        if not self.vectors:
            assert uc.reg_read(x86.UC_X86_REG_EIP) == page + FINISH
            return Fate(eax=uc.reg_read(x86.UC_X86_REG_EAX))
        assert self.vectors == [14]
        offset = self._registers_in_context + ERROR_CODE_IN_CONTEXT
        (error_code,) = struct.unpack_from("<I", bytes(uc.context_save()), offset)
        return Fate(error_code, uc.reg_read(x86.UC_X86_REG_CR2))


@dataclass
class Tables:
    """Control registers, and one entry of each level on the way to `at`."""

    control: ControlState
    at: VirtAddr
    pdpte: int
    pde: int
    pte: int

    def write(self, memory: FakeMemory) -> None:
        pae = bool(self.control.cr4 & Cr4.PAE.mask)
        size = 8 if pae else 4
        for table in (DIRECTORY_POINTERS, STUB_DIRECTORY, DIRECTORY, TABLE):
            memory.fill(PhysAddr(table), 0x1000)

        def put(table: int, index: int, entry: int) -> None:
            memory.write(PhysAddr(table + index * size), entry.to_bytes(size, "little"))

        memory.write(PhysAddr(STUB_TABLE), STUB_ENTRIES[size])
        if pae:
            put(DIRECTORY_POINTERS, 0, STUB_DIRECTORY | 1)
            put(STUB_DIRECTORY, 0, STUB_TABLE | PRESENT_USER)
            put(DIRECTORY_POINTERS, self.at >> 30, self.pdpte)
            put(DIRECTORY, self.at >> 21 & 0x1FF, self.pde)
            put(TABLE, self.at >> 12 & 0x1FF, self.pte)
        else:
            put(DIRECTORY, 0, STUB_TABLE | PRESENT_USER)
            put(DIRECTORY, self.at >> 22, self.pde)
            put(TABLE, self.at >> 12 & 0x3FF, self.pte)


def bit(field: Bit) -> st.SearchStrategy[int]:
    return st.sampled_from((0, field.mask))


def mostly(common: st.SearchStrategy[int], rare: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    return st.sampled_from((common,) * 7 + (rare,)).flatmap(lambda chosen: chosen)


present = mostly(st.just(1), st.just(0))
flags = st.integers(0, 0xFFF).map(lambda raw: raw & ~0x81)
"""Every flag but P and PS."""
high_bits = mostly(st.just(0), st.integers(40, 62).map(lambda number: 1 << number))
no_execute = st.sampled_from((0, 0, 1 << 63))
frames = mostly(st.integers(FIRST_PAGE_FRAME >> 12, (RAM_BYTES >> 12) - 1), st.integers(RAM_BYTES >> 12, 0xFFFFF))


@st.composite
def tables(draw: st.DrawFn, pae: bool, large: bool) -> Tables:
    control = ControlState(
        cr0=Cr0.of(PG=1, ET=1, PE=1) | draw(bit(Cr0.WP)),
        cr3=DIRECTORY_POINTERS if pae else DIRECTORY,
        cr4=Cr4.of(PAE=int(pae)) | draw(bit(Cr4.PSE)) | draw(bit(Cr4.PGE)) | draw(bit(Cr4.SMEP)) | draw(bit(Cr4.SMAP)),
        efer=draw(bit(Efer.NXE)),
    )
    at = VirtAddr(draw(st.integers(0x10000000, 0x3FFFFFFF)) << 2)
    pte = draw(frames) << 12 | draw(flags) | draw(present) | draw(st.sampled_from((0, 0x80)))
    pde = TABLE | draw(flags) | draw(present)
    if not pae:
        if large:
            reserved_and_high = draw(
                mostly(st.just(0), st.sampled_from((13, 20, 21, 21)).map(lambda number: 1 << number))
            )
            block = draw(mostly(st.integers(1, (RAM_BYTES >> 22) - 1), st.integers(RAM_BYTES >> 22, 0x3FF)))
            # Without CR4.PSE this is a pointer to a page table, which has to lie in RAM.
            pointer = block << 22 | reserved_and_high if control.cr4 & Cr4.PSE.mask else TABLE
            pde = pointer | draw(flags) | draw(present) | 0x80
        return Tables(control, at, 0, pde, pte)
    if large:
        reserved = draw(mostly(st.just(0), st.sampled_from((1 << 13, 1 << 13, 1 << 17, 1 << 20))))
        block = draw(mostly(st.integers(1, (RAM_BYTES >> 21) - 1), st.integers(RAM_BYTES >> 21, 0x7FFFF)))
        pde = block << 21 | reserved | draw(flags) | draw(present) | 0x80
    pde |= draw(no_execute) | draw(high_bits)
    pte |= draw(no_execute) | draw(high_bits)
    pointer_flags = draw(st.integers(0, 0x1F)) << 7 & ~0x1E6 | draw(st.sampled_from((0, 0x8, 0x10)))
    pdpte = DIRECTORY | pointer_flags | draw(present) | draw(mostly(st.just(0), st.one_of(high_bits, no_execute)))
    return Tables(control, at, pdpte, pde, pte)


ACCESSES = [
    Access(write=kind == "write", fetch=kind == "fetch", user=user, smap_override=override)
    for kind in ("read", "write", "fetch")
    for user in (False, True)
    for override in (False, True)
]


@pytest.fixture(scope="module")
def processor() -> Processor:
    return Processor()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("pae", [False, True])
def test_the_walk_and_the_processor_agree(processor: Processor, pae: bool, large: bool) -> None:
    @settings(max_examples=max(TRANSLATIONS // (4 * len(ACCESSES)), 1), deadline=None)
    @given(tables(pae, large))
    def agree(drawn: Tables) -> None:
        for access in ACCESSES:
            check_agreement(processor, drawn, access)

    agree()


def check_agreement(processor: Processor, tables: Tables, access: Access) -> None:
    memory = processor.memory
    tables.write(memory)
    walked = translate(memory, tables.at, tables.control, access)
    in_ram = isinstance(walked, Mapped) and walked.phys < RAM_BYTES
    if isinstance(walked, Mapped) and in_ram and access.fetch:
        memory.write(walked.phys, JMP_ESI)

    fate = processor.run(tables.at, access, tables.control)

    after = translate(memory, tables.at, tables.control, access)
    stored = memory.u32(walked.phys) if isinstance(walked, Mapped) and in_ram else None
    if isinstance(walked, Mapped) and in_ram:
        memory.set_u32(walked.phys, walked.phys)
    if isinstance(walked, PageFault):
        assert (fate.error_code, fate.cr2) == (walked.error_code, tables.at), walked.explain()
        return
    assert isinstance(walked, Mapped), walked.explain()
    assert fate.error_code is None, walked.explain()
    assert fate.beyond_ram == (not in_ram), walked.explain()
    assert isinstance(after, Mapped)
    assert after.accessed
    assert all(step.entry.accessed for step in after.steps if isinstance(step.entry, RightsEntry))
    if not in_ram:
        return
    if access.write:
        assert stored == STORED
        assert after.dirty
    elif not access.fetch:
        assert fate.eax == walked.phys, walked.explain()
