"""INT 15h's functions for memory above 1 MiB: how much there is, where it is, and copying it.

::

    E820  EAX=E820h  EBX continuation  ECX bytes of buffer  EDX 'SMAP'  ES:DI buffer
          EAX='SMAP' EBX next, or 0    ECX bytes written                one entry: base (8), size (8), kind (4)
    E801  AX, CX KiB from 1 MiB to 16 MiB    BX, DX units of 64 KiB from 16 MiB on    E881 in EAX...
    88    AX KiB above 1 MiB, at most 63 MiB
    87    CX words from descriptor 10h to descriptor 18h of the table at ES:SI

Like SeaBIOS, E820 writes 20 bytes whatever the buffer has room for: ACPI 3.0's attribute word is left to its meaning
when absent.

Source: ACPI specification, "INT 15H, E820H - Query System Address Map"; Ralf Brown's Interrupt List, INT 15/AX=E801h,
E820h, AH=87h, 88h.
"""

from __future__ import annotations

import struct

from hillemu.boot.bios.call import BiosCall
from hillemu.boot.memory_map import memory_map, upper_kib

SMAP = 0x534D4150
ENTRY_BYTES = 20

_MIB_KIB = 1024
_UNIT_KIB = 64
_MOST_KIB = 63 * _MIB_KIB
_UNSUPPORTED = 0x86
_BAD_DESCRIPTOR = 2
"""Status of a block move: the processor would have raised an exception."""
_MOST_WORDS = 0x8000
_PRESENT, _CODE, _WRITABLE = 0x80, 0x08, 0x02
_PAGE_GRANULAR = 0x80


def large_memory(call: BiosCall) -> None:
    """AX=E820h, E801h and E881h."""
    function = call.al
    if function == 0x20:
        _address_map(call)
    elif function in (0x01, 0x81):
        kib = upper_kib(memory_map(call.guest.memory))
        low, units = min(kib, 15 * _MIB_KIB), max(kib - 15 * _MIB_KIB, 0) // _UNIT_KIB
        if function == 0x01:
            call.ax = call.cx = low
            call.bx = call.dx = units
        else:
            call.eax = call.ecx = low
            call.ebx = call.edx = units
        call.carry = False
    else:
        call.refuse(_UNSUPPORTED)


def _address_map(call: BiosCall) -> None:
    entries = memory_map(call.guest.memory)
    index = call.ebx
    if call.edx != SMAP or call.ecx < ENTRY_BYTES or index >= len(entries):
        call.ah = _UNSUPPORTED
        call.carry = True
        return
    entry = entries[index]
    call.write("es", call.di, struct.pack("<QQI", entry.base, entry.size_bytes, entry.kind))
    call.eax = SMAP
    call.ebx = index + 1 if index + 1 < len(entries) else 0
    call.ecx = ENTRY_BYTES
    call.carry = False


def extended_memory(call: BiosCall) -> None:
    """AH=88h."""
    call.ax = min(upper_kib(memory_map(call.guest.memory)), _MOST_KIB)
    call.carry = False


def block_move(call: BiosCall) -> None:
    """AH=87h.  The processor would check limits and rights; then it fails with AH=02h."""
    if call.in_virtual_8086:
        call.refuse(_UNSUPPORTED, what="in virtual-8086 mode")
        return
    words = call.cx
    table = call.read("es", call.si, 0x30)
    source, target = table[0x10:0x18], table[0x18:0x20]
    count = 2 * words
    good = words <= _MOST_WORDS and _allows(source, count, write=False) and _allows(target, count, write=True)
    if good:
        _move_words(call, _base(source), _base(target), count)
    call.ah = 0 if good else _BAD_DESCRIPTOR
    call.carry = not good
    call.zero = good


def _base(descriptor: bytes) -> int:
    return int.from_bytes(descriptor[2:5], "little") | descriptor[7] << 24


def _allows(descriptor: bytes, count: int, *, write: bool) -> bool:
    limit = int.from_bytes(descriptor[0:2], "little") | (descriptor[6] & 0x0F) << 16
    if descriptor[6] & _PAGE_GRANULAR:
        limit = limit << 12 | 0xFFF
    access = descriptor[5]
    if not access & _PRESENT or count > limit + 1:
        return False
    return not write or access & (_CODE | _WRITABLE) == _WRITABLE


def _move_words(call: BiosCall, source: int, target: int, count: int) -> None:
    """Copy upwards word by word, as MOVSW does: a target inside the source repeats its beginning."""
    step = count
    if source < target < source + count:
        step = max(target - source & ~1, 2)
    for done in range(0, count, step or 1):
        part = min(step, count - done)
        call.write_linear(target + done, call.read_linear(source + done, part))
