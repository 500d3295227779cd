"""Saving and restoring the video state: INT 10h AX=4F04h and AH=1Ch.

::

    parts   0 the VGA's registers | 1 the BIOS data area's video fields and vectors | 2 the DAC | 3 the card's registers

Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h, Return/Save/Restore Video State"; VESA BIOS
Extension 3.0, "Function 04h".
"""

from __future__ import annotations

import struct

from hillemu.boot.bios import bda, video_card
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr

REGISTERS, DATA_AREA, DAC, CARD = 1, 2, 4, 8

_MISC_READ, _MISC_WRITE, _PIXEL_MASK, _ATTRIBUTE, _ATTRIBUTE_READ = 0x3CC, 0x3C2, 0x3C6, 0x3C0, 0x3C1
_SEQUENCER, _GRAPHICS, _DAC_READ, _DAC_WRITE, _DAC_DATA = 0x3C4, 0x3CE, 0x3C7, 0x3C8, 0x3C9
_COLOR_CRTC, _MONO_CRTC, _STATUS_FROM_CRTC, _PROTECTING = 0x3D4, 0x3B4, 6, 0x11
_COUNTS = {_SEQUENCER: 5, _GRAPHICS: 9}
_CRTC_REGISTERS, _ATTRIBUTE_REGISTERS, _DAC_BYTES, _SHOW = 25, 21, 768, 0x20

_FIELDS = ((bda.VIDEO_MODE, bda.CGA_PALETTE + 1), (bda.LAST_ROW, bda.DISPLAY_CODE + 1), (0x4A8, 0x4AC), (0x4BA, 0x4BC))
"""Ranges of the BIOS data area: mode and cursors, rows and characters, the save pointer, the VBE mode."""
_VECTORS = (0x10, 0x1D, 0x1F, 0x43)

_CARD_ORDER = (
    video_card.XRES, video_card.YRES, video_card.BPP, video_card.ENABLE, video_card.BANK, video_card.VIRT_WIDTH,
    video_card.X_OFFSET, video_card.Y_OFFSET,
)  # fmt: skip


def size_of(parts: int) -> int:
    """Bytes that `save` returns for these parts."""
    size = 0
    if parts & REGISTERS:
        size += 4 + sum(_COUNTS.values()) + _CRTC_REGISTERS + _ATTRIBUTE_REGISTERS
    if parts & DATA_AREA:
        size += sum(end - start for start, end in _FIELDS) + 4 * len(_VECTORS)
    if parts & DAC:
        size += 1 + _DAC_BYTES
    if parts & CARD:
        size += 2 * len(_CARD_ORDER)
    return size


def save(guest: Guest, parts: int) -> bytes:
    """The state of these parts; nothing changes."""
    state = b""
    if parts & REGISTERS:
        state += _save_registers(guest)
    if parts & DATA_AREA:
        state += b"".join(guest.memory.read(PhysAddr(start), end - start) for start, end in _FIELDS)
        state += b"".join(guest.memory.read(PhysAddr(4 * vector), 4) for vector in _VECTORS)
    if parts & DAC:
        guest.write_port(_DAC_READ, 0)
        state += bytes([guest.read_port(_PIXEL_MASK), *(guest.read_port(_DAC_DATA) for _ in range(_DAC_BYTES))])
    if parts & CARD:
        state += struct.pack(f"<{len(_CARD_ORDER)}H", *(video_card.get(guest, register) for register in _CARD_ORDER))
    return state


def restore(guest: Guest, parts: int, state: bytes) -> None:
    """Put back what `save` returned for the same parts."""
    done = 0

    def take(count: int) -> bytes:
        nonlocal done
        done += count
        return state[done - count : done]

    if parts & REGISTERS:
        _restore_registers(guest, take(size_of(REGISTERS)))
    if parts & DATA_AREA:
        for start, end in _FIELDS:
            guest.memory.write(PhysAddr(start), take(end - start))
        for vector in _VECTORS:
            guest.memory.write(PhysAddr(4 * vector), take(4))
    if parts & DAC:
        mask, *colors = take(size_of(DAC))
        guest.write_port(_PIXEL_MASK, mask)
        guest.write_port(_DAC_WRITE, 0)
        for value in colors:
            guest.write_port(_DAC_DATA, value)
    if parts & CARD:
        _restore_card(guest, take(size_of(CARD)))


def _crtc_port(misc: int) -> int:
    return _COLOR_CRTC if misc & 1 else _MONO_CRTC


def _indexed(guest: Guest, port: int, count: int) -> bytes:
    before = guest.read_port(port)
    values = []
    for index in range(count):
        guest.write_port(port, index)
        values.append(guest.read_port(port + 1))
    guest.write_port(port, before)
    return bytes(values)


def _save_registers(guest: Guest) -> bytes:
    misc = guest.read_port(_MISC_READ)
    crtc = _crtc_port(misc)
    state = bytes([misc, guest.read_port(_SEQUENCER), guest.read_port(crtc), guest.read_port(_GRAPHICS)])
    state += _indexed(guest, _SEQUENCER, _COUNTS[_SEQUENCER])
    state += _indexed(guest, crtc, _CRTC_REGISTERS)
    state += _indexed(guest, _GRAPHICS, _COUNTS[_GRAPHICS])
    palette = []
    for index in range(_ATTRIBUTE_REGISTERS):
        guest.read_port(crtc + _STATUS_FROM_CRTC)
        guest.write_port(_ATTRIBUTE, index | _SHOW)
        palette.append(guest.read_port(_ATTRIBUTE_READ))
    guest.read_port(crtc + _STATUS_FROM_CRTC)
    return state + bytes(palette)


def _restore_registers(guest: Guest, state: bytes) -> None:
    misc, indexes, values = state[0], state[1:4], state[4:]
    crtc = _crtc_port(misc)
    guest.write_port(_MISC_WRITE, misc)
    guest.write_port(crtc, _PROTECTING)
    guest.write_port(crtc + 1, 0)
    done = 0
    for port, count in ((_SEQUENCER, _COUNTS[_SEQUENCER]), (crtc, _CRTC_REGISTERS), (_GRAPHICS, _COUNTS[_GRAPHICS])):
        for index in range(count):
            guest.write_port(port, index)
            guest.write_port(port + 1, values[done + index])
        done += count
    guest.read_port(crtc + _STATUS_FROM_CRTC)
    for index in range(_ATTRIBUTE_REGISTERS):
        guest.write_port(_ATTRIBUTE, index)
        guest.write_port(_ATTRIBUTE, values[done + index])
    guest.write_port(_ATTRIBUTE, _SHOW)
    for port, index in zip((_SEQUENCER, crtc, _GRAPHICS), indexes, strict=True):
        guest.write_port(port, index)


def _restore_card(guest: Guest, state: bytes) -> None:
    values = dict(zip(_CARD_ORDER, struct.unpack(f"<{len(_CARD_ORDER)}H", state), strict=True))
    video_card.put(guest, video_card.ENABLE, 0)
    for register in (video_card.BPP, video_card.XRES, video_card.YRES):
        video_card.put(guest, register, values[register])
    if values[video_card.ENABLE] & video_card.ENABLED:
        video_card.put(guest, video_card.ENABLE, values[video_card.ENABLE] | video_card.KEEP_MEMORY)
        video_card.put(guest, video_card.ENABLE, values[video_card.ENABLE])
    for register in (video_card.VIRT_WIDTH, video_card.X_OFFSET, video_card.Y_OFFSET, video_card.BANK):
        video_card.put(guest, register, values[register])
