"""The 256 words with which a drive introduces itself.

::

    word    disk                                    CD drive
    0       fixed                                   packets of 12 bytes, removable, CD-ROM, DRQ within 50 us
    1 3 6   default cylinders, heads, sectors       -
    10-19   serial number, 23-26 firmware revision, 27-46 model, as text with the bytes of each word swapped
    47 59   sectors per block of READ/WRITE MULTIPLE: at most, and now
    49      IORDY, LBA, DMA
    53      which of 54-58, 64-70 and 88 are valid
    54-58   current cylinders, heads, sectors, and how many sectors that makes
    60-61   sectors for 28-bit commands, 100-103 for 48-bit commands
    63 88   multiword and Ultra DMA modes: known in bits 7-0, selected in bits 15-8
    64-68   PIO modes 3 and 4, and cycle times in nanoseconds
    80      ATA/ATAPI-4 to 6
    82-87   command sets that are there and enabled
    93      what the reset found on the cable: 80 conductors, how many drives
    255     A5h, and a byte that makes the sum of all 512 zero

Source: ATA/ATAPI-6 (T13 1410D), "IDENTIFY DEVICE" and "IDENTIFY PACKET DEVICE".
"""

from __future__ import annotations

import struct

from hillemu.emu.geometry import Geometry

FIRMWARE = "1.0"
MAX_LBA28 = 0x0FFF_FFFF

_FIXED_DISK = 0x0040
_PACKET_CD = 2 << 14 | 5 << 8 | 1 << 7 | 2 << 5
_CAPABILITIES = 1 << 11 | 1 << 9 | 1 << 8  # IORDY, LBA, DMA
_ALWAYS = 1 << 14  # so that a host can tell the words 83, 84, 87 and 93 from empty ones
_NOP, _DEVICE_RESET, _LOOK_AHEAD, _WRITE_CACHE, _PACKETS, _POWER = 1 << 14, 1 << 9, 1 << 6, 1 << 5, 1 << 4, 1 << 3
_FLUSH_EXT, _FLUSH, _LBA48 = 1 << 13, 1 << 12, 1 << 10
_VERSIONS = 1 << 4 | 1 << 5 | 1 << 6


def identify_disk(
    *,
    serial: str,
    model: str,
    default: Geometry,
    current: Geometry,
    sector_count: int,
    most_multiple: int,
    multiple: int,
    write_cache: bool,
    look_ahead: bool,
    multiword_mode: int | None,
    ultra_mode: int | None,
    number: int,
    is_alone: bool,
) -> bytes:
    """The answer to IDENTIFY DEVICE; drive `number` 0 or 1 of a cable `is_alone` or not."""
    words = _common(serial, model, multiword_mode, ultra_mode, number, is_alone)
    words[0] = _FIXED_DISK
    words[1], words[3], words[6] = default
    words[47] = 0x8000 | most_multiple
    words[53] = 7
    words[54:57] = current
    words[57:59] = _dwords(current.sector_count)
    words[59] = 0x100 | multiple if multiple else 0
    words[60:62] = _dwords(min(sector_count, MAX_LBA28))
    words[82] = _NOP | _LOOK_AHEAD | _WRITE_CACHE | _POWER
    words[83] |= _FLUSH_EXT | _FLUSH | _LBA48
    words[85] = _NOP | _POWER | (_WRITE_CACHE if write_cache else 0) | (_LOOK_AHEAD if look_ahead else 0)
    words[86] = _FLUSH_EXT | _FLUSH | _LBA48
    words[100:104] = [*_dwords(sector_count), sector_count >> 32 & 0xFFFF, sector_count >> 48]
    return _sealed(words)


def identify_cd(
    *, serial: str, model: str, multiword_mode: int | None, ultra_mode: int | None, number: int, is_alone: bool
) -> bytes:
    """The answer to IDENTIFY PACKET DEVICE."""
    words = _common(serial, model, multiword_mode, ultra_mode, number, is_alone)
    words[0] = _PACKET_CD
    words[53] = 6
    words[82] = words[85] = _NOP | _DEVICE_RESET | _PACKETS | _POWER
    return _sealed(words)


def _common(
    serial: str, model: str, multiword_mode: int | None, ultra_mode: int | None, number: int, is_alone: bool
) -> list[int]:
    words = [0] * 256
    words[10:20] = _text(serial, 10)
    words[23:27] = _text(FIRMWARE, 4)
    words[27:47] = _text(model, 20)
    words[49] = _CAPABILITIES
    words[50] = _ALWAYS
    words[51] = 2 << 8
    words[63] = 0x07 | (0 if multiword_mode is None else 0x100 << multiword_mode)
    words[64] = 3
    words[65:69] = [120] * 4
    words[80] = _VERSIONS
    words[83] = words[84] = words[87] = _ALWAYS
    words[88] = 0x3F | (0 if ultra_mode is None else 0x100 << ultra_mode)
    words[93] = _ALWAYS | 1 << 13 | _reset_result(number, is_alone)
    return words


def _reset_result(number: int, is_alone: bool) -> int:
    """Word 93, bits 12-0: each drive tells of itself; both know their number from a jumper."""
    if number:
        return 1 << 11 | 1 << 9 | 1 << 8  # PDIAG- asserted
    return (1 << 6 if is_alone else 1 << 5 | 1 << 4) | 1 << 3 | 1 << 1 | 1  # DASP- and PDIAG- seen; passed


def _dwords(value: int) -> list[int]:
    return [value & 0xFFFF, value >> 16 & 0xFFFF]


def _text(text: str, count: int) -> list[int]:
    """`count` words of text, filled up with blanks; the first letter of each pair is the high byte."""
    padded = text.encode("ascii").ljust(2 * count)[: 2 * count]
    return list(struct.unpack(f">{count}H", padded))


def _sealed(words: list[int]) -> bytes:
    data = struct.pack("<256H", *words)[:-2] + b"\xa5"
    return data + bytes([-sum(data) & 0xFF])
