"""QEMU's fw_cfg: a box of items that the host gives firmware and kernels, read by number.

::

    510  selector, write 16 bits: the item's key; reading starts at its first byte
    511  data: the next byte; 0 behind the item's end
    514  DMA address, 8 bytes, big-endian: high dword, then the low one, which starts the transfer.  Reads "QEMU CFG"

    DMA control block, big-endian   control (4): 31-16 key | 4 write | 3 select | 2 skip | 1 read | 0 error
                                    length (4), address (8);  control becomes 0, or 1 after an error

Items below `FILE_FIRST` have fixed keys; files have names, and item `FILE_DIR` lists them: a count, then for each its
size, key, two zero bytes and 56 bytes of name, big-endian.

Source: QEMU, docs/specs/fw_cfg.rst; the keys of the PC's items: include/standard-headers/linux/qemu_fw_cfg.h and
hw/i386/fw_cfg.h.
Not modelled: items that a guest may write (a DMA write ends with the error bit, as QEMU's does for read-only items).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from hillemu.emu.errors import OptionError

PORT, PORT_COUNT = 0x510, 2
DMA_PORT, DMA_PORT_COUNT = 0x514, 8

SIGNATURE, ID, UUID, RAM_SIZE, NOGRAPHIC, NB_CPUS, MACHINE_ID = range(7)
KERNEL_ADDR, KERNEL_SIZE, KERNEL_CMDLINE, INITRD_ADDR, INITRD_SIZE, BOOT_DEVICE, NUMA, BOOT_MENU = range(7, 15)
MAX_CPUS, KERNEL_ENTRY, KERNEL_DATA, INITRD_DATA, CMDLINE_ADDR, CMDLINE_SIZE, CMDLINE_DATA = range(15, 22)
SETUP_ADDR, SETUP_SIZE, SETUP_DATA, FILE_DIR = range(22, 26)
FILE_FIRST, FILE_SLOTS = 0x20, 0x20
ARCH_LOCAL = 0x8000
IRQ0_OVERRIDE = ARCH_LOCAL + 2
NAME_BYTES = 56
DMA_SIGNATURE = b"QEMU CFG"

_ID_TRADITIONAL, _ID_DMA = 1, 2
_PART_BYTES = 1 << 20
_ERROR, _READ, _SKIP, _SELECT, _WRITE = 1, 2, 4, 8, 16

ReadMemory = Callable[[int, int], bytes]
WriteMemory = Callable[[int, bytes], None]


class FwCfg:
    """The box.  Attach it at `PORT` with ``width=2`` and its `dma` at `DMA_PORT` with ``width=4``.

    DMA uses `read_memory(at, count)` and `write_memory(at, data)`, which raise `IndexError` outside RAM.
    """

    def __init__(self, *, read_memory: ReadMemory, write_memory: WriteMemory) -> None:
        self._items: dict[int, bytes] = {
            SIGNATURE: b"QEMU",
            ID: struct.pack("<I", _ID_TRADITIONAL | _ID_DMA),
        }
        self._files: dict[str, bytes] = {}
        self.dma = _Dma(self, read_memory, write_memory)
        self._list_files()
        self.reset()

    # ---- the host's side ----------------------------------------------------------------------------------------

    def set_item(self, key: int, data: bytes) -> None:
        """Put `data` under a fixed key, which may replace an item."""
        self._items[key] = data

    def add_file(self, name: str, data: bytes) -> None:
        """Put a file in; the same name replaces it.

        Raises `OptionError` for a name of more than 55 bytes or when the directory is full.
        """
        if len(name.encode()) >= NAME_BYTES or not name:
            raise OptionError("fw_cfg", f"the file name {name!r} has not 1 to {NAME_BYTES - 1} bytes")
        if name not in self._files and len(self._files) >= FILE_SLOTS:
            raise OptionError("fw_cfg", f"no room for {name!r}: there are {FILE_SLOTS} files already")
        self._files[name] = data
        self._list_files()

    def reset(self) -> None:
        """Forget the selection; the items stay."""
        self.select(SIGNATURE)
        self.dma.reset()

    # ---- BusDevice ----------------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        # Either port gives the next byte, as in QEMU.
        return int.from_bytes(self.take(size), "little")

    def peek(self, offset: int, size: int) -> int:
        return int.from_bytes(self._data[self._position : self._position + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        if size == 2:
            self.select(value)

    # ---- inside -------------------------------------------------------------------------------------------------

    def select(self, key: int) -> None:
        """Start at the first byte of item `key`; a key without an item is an empty one."""
        self._data = self._items.get(key, b"")
        self._position = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes, with zeros behind the item's end."""
        data = self._data[self._position : self._position + count]
        self._position += len(data)
        return data.ljust(count, b"\0")

    def skip(self, count: int) -> None:
        """Go on `count` bytes, at most to the item's end."""
        self._position = min(self._position + count, len(self._data))

    def _list_files(self) -> None:
        """Give every file its key, in order of names, and write the directory."""
        for key in range(FILE_FIRST, FILE_FIRST + FILE_SLOTS):
            self._items.pop(key, None)
        directory = struct.pack(">I", len(self._files))
        for key, name in enumerate(sorted(self._files), FILE_FIRST):
            data = self._items[key] = self._files[name]
            directory += struct.pack(f">IHH{NAME_BYTES}s", len(data), key, 0, name.encode())
        self._items[FILE_DIR] = directory


class _Dma:
    """The DMA address register."""

    def __init__(self, box: FwCfg, read_memory: ReadMemory, write_memory: WriteMemory) -> None:
        self._box = box
        self._read_memory = read_memory
        self._write_memory = write_memory
        self._high = 0

    def reset(self) -> None:
        self._high = 0

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(DMA_SIGNATURE[offset : offset + size], "little")

    peek = read

    def write(self, offset: int, size: int, value: int) -> None:
        if size != 4 or offset % 4:
            return  # no such access, QEMU ignores it
        value = int.from_bytes(value.to_bytes(4, "little"), "big")
        if offset == 0:
            self._high = value
        else:
            block, self._high = self._high << 32 | value, 0
            self._transfer(block)

    def _transfer(self, block: int) -> None:
        try:
            control, length, address = struct.unpack(">IIQ", self._read_memory(block, 16))
        except IndexError:
            return  # no memory to write the error to
        if control & _SELECT:
            self._box.select(control >> 16)
        status = 0
        try:
            if control & _READ:
                self._fill(address, length)
            elif control & _WRITE:
                status = _ERROR if length else 0
            elif control & _SKIP:
                self._box.skip(length)
        except IndexError:
            status = _ERROR
        self._write_memory(block, struct.pack(">I", status))

    def _fill(self, address: int, length: int) -> None:
        """Copy the item's next `length` bytes to memory, a part at a time: a guest may ask for 4 GiB of zeros."""
        while length:
            count = min(length, _PART_BYTES)
            self._write_memory(address, self._box.take(count))
            address += count
            length -= count


def pc_items(
    box: FwCfg, *, ram_bytes: int, e820: tuple[tuple[int, int, int], ...], boot_order: tuple[str, ...] = ()
) -> None:
    """Put in what QEMU's PC tells its firmware: RAM, processors, the memory map and the order of boot devices.

    `e820` has (base, bytes, type) of all RAM (type 1), as QEMU's ``etc/e820``; `boot_order` has Open Firmware paths.
    """
    for key, kind, value in (
        (UUID, "16s", bytes(16)),
        (RAM_SIZE, "Q", ram_bytes),
        (NOGRAPHIC, "H", 0),
        (NB_CPUS, "H", 1),
        (MAX_CPUS, "H", 1),
        (BOOT_MENU, "H", 0),
        (IRQ0_OVERRIDE, "I", 1),
    ):
        box.set_item(key, struct.pack("<" + kind, value))
    box.set_item(NUMA, struct.pack("<QQ", 0, 0))
    box.add_file("etc/e820", b"".join(struct.pack("<QQI", *entry) for entry in e820))
    box.add_file("bootorder", "\n".join(boot_order).encode() + b"\0" if boot_order else b"")
    box.add_file("etc/boot-fail-wait", struct.pack("<i", -1))
