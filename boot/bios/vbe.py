"""INT 10h AH=4Fh: the VESA BIOS extension 3.0, on top of the card's own registers.

::

    AL  00 controller      04 save, restore state    08 DAC width      15 monitor (DDC: BL=0 can it, 1 read EDID)
        01 mode            05 window                 09 palette
        02 set a mode      06 length of a line
        03 current mode    07 start of the screen

AL=4Fh says that the function is there, AH how it went: 0 done, 1 failed, 3 not in this mode.  Everything about the
current mode is in the hardware and in the BIOS data area; the service itself remembers nothing.

Source: VESA BIOS Extension (VBE) Core Functions Standard 3.0; VBE/DDC Standard 1.1.
Not modelled: the protected-mode interface (0Ah and 3.0's) and power management (10h), which answer as absent; scheduled
starts of the screen and stereo (07h, BL 2-6); a mode's own timing (02h, BX bit 11: the standard one is used); the
secondary palette (09h, BL 2 and 3).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from hillemu.boot.bios import bda, vbe_state, video_card, video_rom
from hillemu.boot.bios.call import BiosCall
from hillemu.boot.bios.mode_table import MODES as VGA_MODES
from hillemu.boot.bios.modes import KEEP_MEMORY, SHOW, load_dac, set_mode, write_registers
from hillemu.boot.bios.vbe_modes import BY_NUMBER, GRANULE_BYTES, VbeMode, mode_info
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr

FUNCTION = 0x4F
"""In AH, of INT 10h."""

DONE, FAILED, WRONG_MODE = 0x004F, 0x014F, 0x034F
ABSENT = 0x0100

CURRENT_MODE = 0x4BA
"""Word of the BIOS data area: the VBE mode that was set, with its flags."""
LINEAR, KEEP = 0x4000, 0x8000
_MODE_NUMBER = 0x01FF
_NO_BIOS_MODE = 0xFF

_VERSION = 0x0300
_DAC_SWITCHES, _REVISION = 0x01, 0x0100
_INFO_BYTES, _LONG_INFO_BYTES = 256, 512
_MODE_POINTER, _OEM_FIELDS, _RESERVED = 14, 20, 34
"""Offsets in the controller's information."""
_END_OF_LIST = 0xFFFF

_PLANAR_SETUP, _PACKED_SETUP = 0x12, 0x13
"""The VGA modes whose registers lie beneath the card's own."""
_DAC_READ, _DAC_WRITE, _DAC_DATA = 0x3C7, 0x3C8, 0x3C9
_ATTRIBUTE, _STATUS_1 = 0x3C0, 0x3DA
_EDID_BYTES = 128
MAX_WIDTH = 16000
"""Pixels from one line to the next; more the card cannot count."""


def controller_info(guest: Guest) -> bytes:
    """The 512 bytes that function 00h returns to a caller who knows VBE 2.0."""
    names = {name: video_rom.SEGMENT << 16 | offset for name, offset in video_rom.name_offsets().items()}
    info = struct.pack(
        "<4sHIIIHHIII",
        b"VESA",
        _VERSION,
        names[video_rom.OEM],
        _DAC_SWITCHES,
        video_rom.SEGMENT << 16 | video_rom.MODE_LIST,
        video_card.memory_bytes(guest) // video_card.MEMORY_UNIT,
        _REVISION,
        names[video_rom.VENDOR],
        names[video_rom.PRODUCT],
        names[video_rom.REVISION],
    )
    return info.ljust(_LONG_INFO_BYTES, b"\0")


def info_of(guest: Guest, mode: VbeMode) -> bytes:
    """The 256 bytes that function 01h returns."""
    return mode_info(
        mode,
        memory_bytes=video_card.memory_bytes(guest),
        framebuffer=video_card.framebuffer_address(guest),
        window_function=video_rom.SEGMENT << 16 | video_rom.WINDOW_FUNCTION,
    )


def enter(guest: Guest, mode: VbeMode, *, linear: bool, keep: bool) -> None:
    """Set a mode of the card's own."""
    below = VGA_MODES[_PLANAR_SETUP if mode.is_planar else _PACKED_SETUP]
    video_card.switch_off(guest)
    write_registers(guest, below)
    load_dac(guest, below.dac())
    put = video_card.put
    put(guest, video_card.BPP, mode.depth)
    put(guest, video_card.XRES, mode.width)
    put(guest, video_card.YRES, mode.height)
    flags = (video_card.LINEAR if linear else 0) | (video_card.KEEP_MEMORY if keep else 0)
    put(guest, video_card.ENABLE, video_card.ENABLED | flags)
    put(guest, video_card.BANK, 0)
    guest.read_port(_STATUS_1)
    guest.write_port(_ATTRIBUTE, SHOW)
    stored = mode.number | (LINEAR if linear else 0) | (KEEP if keep else 0)
    guest.memory.write(PhysAddr(CURRENT_MODE), struct.pack("<H", stored))
    guest.memory.write(PhysAddr(bda.VIDEO_MODE), bytes([_NO_BIOS_MODE]))


def current_mode(guest: Guest) -> int:
    """What function 03h returns: the mode's number and its flags."""
    if video_card.is_enabled(guest):
        return int.from_bytes(guest.memory.read(PhysAddr(CURRENT_MODE), 2), "little")
    return guest.memory.read(PhysAddr(bda.VIDEO_MODE), 1)[0]


class VbeService:
    """The service.  `edid` is the monitor's block of 128 bytes; without one there is no monitor that tells."""

    def __init__(self, edid: bytes = b"") -> None:
        self._edid = edid
        self._functions: dict[int, Callable[[BiosCall], int]] = {
            0x00: _tell_controller,
            0x01: _tell_mode,
            0x02: _set_mode,
            0x03: _tell_current_mode,
            0x04: _keep_state,
            0x05: _move_window,
            0x06: _set_line_length,
            0x07: _set_start,
            0x08: _set_dac_width,
            0x09: _load_palette,
            0x15: self._tell_monitor,
        }

    def __call__(self, call: BiosCall) -> None:
        function = self._functions.get(call.al)
        present = function is not None and video_card.is_there(call.guest)
        call.ax = function(call) if function is not None and present else ABSENT

    def _tell_monitor(self, call: BiosCall) -> int:
        if len(self._edid) != _EDID_BYTES:
            return FAILED
        if call.bl == 0:
            call.bx = 0x0103  # a block takes about a second; DDC1 and DDC2
            return DONE
        if call.bl == 1 and call.dx == 0:
            call.write("es", call.di, self._edid)
            return DONE
        return FAILED


def _tell_controller(call: BiosCall) -> int:
    knows_vbe_2 = call.read("es", call.di, 4) == b"VBE2"
    told = controller_info(call.guest)
    info = bytearray(told if knows_vbe_2 else told[:_OEM_FIELDS].ljust(_INFO_BYTES, b"\0"))
    # The standard lets the list be in the block, and SeaBIOS has it there: a 32-bit caller who takes the far pointer
    # for a linear address finds it all the same if its ES was 0, but would not find a list in the ROM.
    numbers = [number for number in BY_NUMBER if _offered(call.guest, number)]
    struct.pack_into(f"<{len(numbers) + 1}H", info, _RESERVED, *numbers, _END_OF_LIST)
    segment = call.guest.registers.segment("es").selector
    struct.pack_into("<HH", info, _MODE_POINTER, call.di + _RESERVED & 0xFFFF, segment)
    call.write("es", call.di, bytes(info))
    return DONE


def _tell_mode(call: BiosCall) -> int:
    mode = _offered(call.guest, call.cx & _MODE_NUMBER)
    if mode is None:
        return FAILED
    call.write("es", call.di, info_of(call.guest, mode))
    return DONE


def _offered(guest: Guest, number: int) -> VbeMode | None:
    mode = BY_NUMBER.get(number)
    return mode if mode is not None and mode.pages(video_card.memory_bytes(guest)) else None


def _set_mode(call: BiosCall) -> int:
    wanted = call.bx
    number, keep = wanted & _MODE_NUMBER, bool(wanted & KEEP)
    if number < 0x100:
        return DONE if set_mode(call.guest, number | (KEEP_MEMORY if keep else 0)) else FAILED
    mode, linear = _offered(call.guest, number), bool(wanted & LINEAR)
    if mode is None or (linear and (mode.is_planar or not video_card.framebuffer_address(call.guest))):
        return FAILED
    enter(call.guest, mode, linear=linear, keep=keep)
    return DONE


def _tell_current_mode(call: BiosCall) -> int:
    call.bx = current_mode(call.guest)
    return DONE


def _keep_state(call: BiosCall) -> int:
    parts = call.cx & 0x0F
    if call.dl == 0:
        call.bx = -(-vbe_state.size_of(parts) // 64)
    elif call.dl == 1:
        call.write("es", call.bx, vbe_state.save(call.guest, parts))
    elif call.dl == 2:
        vbe_state.restore(call.guest, parts, call.read("es", call.bx, vbe_state.size_of(parts)))
    else:
        return FAILED
    return DONE


def _move_window(call: BiosCall) -> int:
    guest = call.guest
    if not video_card.is_enabled(guest) or current_mode(guest) & LINEAR:
        return WRONG_MODE
    if call.bl:
        return FAILED
    if call.bh == 0:
        if call.dx >= video_card.memory_bytes(guest) // GRANULE_BYTES:
            return FAILED
        video_card.put(guest, video_card.BANK, call.dx)
    elif call.bh == 1:
        call.dx = video_card.get(guest, video_card.BANK)
    else:
        return FAILED
    return DONE


def _set_line_length(call: BiosCall) -> int:
    guest = call.guest
    mode = _mode_that_is_set(guest)
    if mode is None:
        return WRONG_MODE
    per_byte, per_pixel = (8, 1) if mode.is_planar else (1, mode.pixel_bytes)
    get, put = video_card.get, video_card.put
    if call.bl in (0, 2):
        wanted = call.cx if call.bl == 0 else call.cx * per_byte // per_pixel
        width = max(-(-wanted // 8) * 8, mode.width)
        lines = _lines_that_fit(guest, mode, width)
        if lines < mode.height:
            return FAILED
        put(guest, video_card.VIRT_WIDTH, width)
    elif call.bl == 3:
        width = video_card.memory_bytes(guest) // (4 if mode.is_planar else 1) // mode.height * per_byte // per_pixel
        width = min(width & ~7, 0xFFF8 * per_byte // per_pixel & ~7, MAX_WIDTH)
        lines = _lines_that_fit(guest, mode, width)
    elif call.bl == 1:
        width = get(guest, video_card.VIRT_WIDTH)
        lines = _lines_that_fit(guest, mode, width)
    else:
        return FAILED
    call.bx, call.cx, call.dx = width * per_pixel // per_byte, width, min(lines, 0xFFFF)
    return DONE


def _lines_that_fit(guest: Guest, mode: VbeMode, width: int) -> int:
    line_bytes = width // 2 if mode.is_planar else width * mode.pixel_bytes
    return video_card.memory_bytes(guest) // line_bytes


def _set_start(call: BiosCall) -> int:
    guest = call.guest
    mode = _mode_that_is_set(guest)
    if mode is None:
        return WRONG_MODE
    if call.bl in (0x00, 0x80):
        width = video_card.get(guest, video_card.VIRT_WIDTH)
        if call.cx + mode.width > width or call.dx + mode.height > _lines_that_fit(guest, mode, width):
            return FAILED
        video_card.put(guest, video_card.X_OFFSET, call.cx)
        video_card.put(guest, video_card.Y_OFFSET, call.dx)
    elif call.bl == 1:
        call.bh = 0
        call.cx = video_card.get(guest, video_card.X_OFFSET)
        call.dx = video_card.get(guest, video_card.Y_OFFSET)
    else:
        return FAILED
    return DONE


def _set_dac_width(call: BiosCall) -> int:
    guest = call.guest
    mode = _mode_that_is_set(guest)
    if mode is not None and mode.depth > 8:
        return WRONG_MODE
    enable = video_card.get(guest, video_card.ENABLE)
    if call.bl == 0 and mode is not None:
        bit = video_card.DAC_8_BITS
        enable = enable | bit if call.bh >= 8 else enable & ~bit
        bank = video_card.get(guest, video_card.BANK)
        video_card.put(guest, video_card.ENABLE, enable)
        video_card.put(guest, video_card.BANK, bank)  # a write to ENABLE forgets it
    elif call.bl not in (0, 1):
        return FAILED
    call.bh = 8 if enable & video_card.DAC_8_BITS else 6
    return DONE


def _load_palette(call: BiosCall) -> int:
    guest = call.guest
    mode = _mode_that_is_set(guest)
    if mode is not None and mode.depth > 8:
        return WRONG_MODE
    first, count = call.dx, call.cx
    if first + count > 256:
        return FAILED
    if call.bl in (0x00, 0x80):
        entries = call.read("es", call.di, 4 * count)
        guest.write_port(_DAC_WRITE, first)
        for at in range(0, len(entries), 4):
            for part in (2, 1, 0):
                guest.write_port(_DAC_DATA, entries[at + part])
    elif call.bl == 1:
        guest.write_port(_DAC_READ, first)
        colors = [[guest.read_port(_DAC_DATA) for _ in range(3)] for _ in range(count)]
        call.write("es", call.di, b"".join(bytes([blue, green, red, 0]) for red, green, blue in colors))
    else:
        return FAILED
    return DONE


def _mode_that_is_set(guest: Guest) -> VbeMode | None:
    """The mode of the card's own that is set."""
    return BY_NUMBER.get(current_mode(guest) & _MODE_NUMBER) if video_card.is_enabled(guest) else None
