"""Loads a Linux kernel, and what uses its boot protocol: memtest86+, iPXE, and others.

Two ways in:

- **real mode** (``linux16``, and what ``auto`` takes): the image's setup code starts, calls the BIOS for the memory
  map, the screen and the rest, and enters 32-bit code itself.  Every image can be started so, and QEMU's ``-kernel``
  starts all of them so.  Some have no other way: iPXE's 32-bit part is not code but data.
- **32-bit code** (``linux``): the setup code is skipped, and the loader tells in the zero page what it would have
  asked.  This needs no BIOS service, as GRUB's ``linux`` command.

Where things go::

                real mode                                       32-bit code
    0x010000    setup code, its heap and stack                  zero page, GDT (the stack is below)
    0x020000    command line                                    command line
    0x100000    32-bit part                                     32-bit part, if it is not relocatable
    elsewhere   (it moves itself to pref_address)               32-bit part at pref_address, or the first place aligned
    top of RAM  initial RAM disk, below initrd_addr_max         the same

Old images (zImage, or a protocol before 2.02) have their setup at 0x90000 and a command line below 0x9A000; the 32-bit
part of a zImage goes to 0x10000.

Several initial RAM disks are put one behind the other, each at a multiple of 4 bytes, as the kernel unpacks them.

Source: Linux Documentation/arch/x86/boot.rst; QEMU 7.2 for the addresses in real mode, GRUB 2 for those of 32-bit code.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from hillemu.boot import linux_header as at
from hillemu.boot.detect import Kind
from hillemu.boot.firmware import NO_FIRMWARE, Firmware
from hillemu.boot.image import BootOptions, Image, Loaded
from hillemu.boot.linux_cmdline import is_quiet, video_mode
from hillemu.boot.linux_entry import GDT, enter_kernel, enter_setup
from hillemu.boot.linux_header import Header, read_header
from hillemu.boot.linux_places import Places, find_places
from hillemu.boot.linux_zero_page import VESA_MODES, build_zero_page
from hillemu.boot.memory_map import memory_map
from hillemu.boot.placing import encode_string, placed
from hillemu.boot.space import Space
from hillemu.emu.errors import OptionError
from hillemu.emu.i386.address import PAGE_SIZE, PhysAddr

if TYPE_CHECKING:
    from hillemu.boot.video_mode import Framebuffer
    from hillemu.emu.guest import Guest, GuestMemory

_UNKNOWN_LOADER = 0xFF
"""type_of_loader of one that has no number assigned."""
_OLD_CMD_LINE_MAGIC = 0xA33F
_OLDEST_FOR_32_BIT_ENTRY = 0x203
"""Before, the zero page was not a protocol; GRUB's limit."""


class _Fields(NamedTuple):
    """What the loader writes into the setup header, wherever that lies."""

    places: Places
    code32_start: int
    alignment: int
    vid_mode: int | None
    quiet: bool


def load_linux(
    guest: Guest, image: Image, options: BootOptions, firmware: Firmware = NO_FIRMWARE, *, real_mode: bool = True
) -> Loaded:
    """Put the kernel `image` into `guest` and make it ready to start, in `real_mode` or in 32-bit code.

    Raises `ImageError` for an image or initial RAM disk that cannot be loaded into this machine, `OptionError` for an
    option that makes no sense with it.
    """
    header = read_header(image)
    if not real_mode:
        _check_32_bit_entry(image, header)
    cmdline = _command_line(header, options)
    vid_mode = video_mode(options.cmdline)
    entries = memory_map(guest.memory)
    space = Space(guest.memory, entries)
    places = find_places(image, header, len(cmdline) + 1, options, space, real_mode=real_mode)

    kernel = image.data[header.setup_bytes :]
    moved_by = places.kernel - (at.HIGH_KERNEL_BASE if header.is_high else at.LOW_KERNEL_BASE)
    fields = _Fields(places, header.code32_start + moved_by, places.alignment, vid_mode, is_quiet(options.cmdline))
    memory, registers = guest.memory, guest.registers
    setup = PhysAddr(places.setup)
    framebuffer = None
    if real_mode:
        page = bytearray(image.data[: header.setup_bytes])
    else:
        framebuffer = _set_mode(vid_mode, firmware)
        page = build_zero_page(image, header, memory, entries, framebuffer)
        memory.write(PhysAddr(setup + PAGE_SIZE), GDT)
    _fill_in(page, header, fields, real_mode=real_mode)
    memory.write(setup, page)
    memory.write(PhysAddr(places.cmdline), cmdline + b"\0")
    memory.write(PhysAddr(places.kernel), kernel)
    _write_initrds(memory, options, places)
    if real_mode:
        entry = enter_setup(registers, setup, places.heap_end - 16)
    else:
        entry = PhysAddr(fields.code32_start)
        enter_kernel(registers, PhysAddr(setup + PAGE_SIZE), entry, setup)

    segments = (
        placed("setup" if real_mode else "zero page", setup, len(page)),
        placed("kernel", places.kernel, kernel.nbytes),
    )
    initrds = (placed("initial RAM disk", places.initrd, places.initrd_bytes),) if places.initrd_bytes else ()
    description = (
        f"Linux {header.name or 'image'} (boot protocol {header.protocol}), "
        f"started in {'real mode' if real_mode else '32-bit code'} at {entry:#x}",
        *(str(place) for place in (*segments, *initrds)),
        f"command line at {places.cmdline:#x}",
    )
    return Loaded(Kind.LINUX, entry, segments, initrds, setup, description, _notes(vid_mode, framebuffer, real_mode))


def _check_32_bit_entry(image: Image, header: Header) -> None:
    what = None
    if header.version < _OLDEST_FOR_32_BIT_ENTRY:
        what = f"follows version {header.protocol} of the Linux boot protocol, too old for"
    elif not header.is_high:
        what = "is a zImage, which has no"
    elif not 0 <= header.code32_start - at.HIGH_KERNEL_BASE < image.size_bytes - header.setup_bytes:
        what = f"says that its 32-bit code starts at {header.code32_start:#x}, outside what is loaded: it has no"
    if what:
        raise image.fault(f"{what} entry in 32-bit code; start it in real mode, --format linux16")


def _command_line(header: Header, options: BootOptions) -> bytes:
    cmdline = encode_string(options.cmdline, "--append")
    if len(cmdline) > header.cmdline_size:
        raise OptionError("--append", f"has {len(cmdline)} bytes, and this kernel takes at most {header.cmdline_size}")
    return cmdline


def _fill_in(page: bytearray, header: Header, fields: _Fields, *, real_mode: bool) -> None:
    """Write the loader's fields, those that the image's version of the protocol has, into `page`."""
    places = fields.places

    def put(form: str, offset: int, value: int, since: int = 0x200) -> None:
        if header.version >= since:
            struct.pack_into(form, page, offset, value)

    put("<B", at.TYPE_OF_LOADER, _UNKNOWN_LOADER)
    loadflags = header.loadflags | (at.CAN_USE_HEAP if header.version >= 0x201 else 0)
    # The setup code looks for "quiet" itself.
    put("<B", at.LOADFLAGS, loadflags | (at.QUIET if fields.quiet and not real_mode else 0))
    put("<H", at.HEAP_END_PTR, places.heap_end - 0x200, since=0x201)
    put("<I", at.CMD_LINE_PTR, places.cmdline, since=0x202)
    if header.version < 0x202:
        put("<H", at.CMD_LINE_MAGIC, _OLD_CMD_LINE_MAGIC)
        put("<H", at.CMD_LINE_OFFSET, places.cmdline - places.setup)
        put("<H", at.SETUP_MOVE_SIZE, places.heap_end)
    put("<I", at.RAMDISK_IMAGE, places.initrd)
    put("<I", at.RAMDISK_SIZE, places.initrd_bytes)
    if fields.vid_mode is not None:
        put("<H", at.VID_MODE, fields.vid_mode)
    if not real_mode:
        put("<I", at.CODE32_START, fields.code32_start)
        if fields.alignment:
            put("<I", at.KERNEL_ALIGNMENT, fields.alignment, since=0x20A)


def _write_initrds(memory: GuestMemory, options: BootOptions, places: Places) -> None:
    for initrd, offset in zip(options.initrds, places.initrd_offsets, strict=True):
        memory.write(PhysAddr(places.initrd + offset), initrd.data)


def _set_mode(vid_mode: int | None, firmware: Firmware) -> Framebuffer | None:
    if vid_mode not in VESA_MODES or firmware.set_mode is None:
        return None
    return firmware.set_mode(*VESA_MODES[vid_mode])


def _notes(vid_mode: int | None, framebuffer: Framebuffer | None, real_mode: bool) -> tuple[str, ...]:
    if real_mode or vid_mode not in VESA_MODES or framebuffer:
        return ()
    width, height, depth = VESA_MODES[vid_mode]
    return (f"vga={vid_mode:#x} asks for {width}x{height} with {depth} bits per pixel; the screen stays 80x25 text",)
