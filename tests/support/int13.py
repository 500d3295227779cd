"""INT 13h calls as data: a boot sector that makes them on a PC, and what our service answers to the same calls.

The boot sector loads the rest of its 4 KiB, makes each call of a table and sends what comes back to the debug console.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hillemu.boot.assembler import Layout, assemble_text
from hillemu.boot.bios.call import fake_call
from hillemu.boot.bios.disk import DiskService
from hillemu.boot.bios.disk_tables import write_disk_tables
from hillemu.boot.bios.drives import Drives
from hillemu.emu.guest import FakeGuest
from hillemu.emu.i386.address import PhysAddr

BUFFER = 0x9000
PROGRAM_BYTES = 4096
_BASE, _TABLE = 0x7C00, 0x7E00
_QEMU_TIMEOUT_S = 60

_PROGRAM = """
.code16
.text
start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7C00
    cld
    cmp dl, 0xE0                # a CD's image is loaded as a whole
    jae loaded
    mov ax, 0x0207
    mov bx, 0x7E00
    mov cx, 2
    mov dh, 0
    int 0x13
loaded:
    mov bp, 0x7E00
next_call:
    mov ax, ds:[bp]
    cmp ax, 0xFFFF
    je done
    mov bx, ds:[bp+2]
    mov cx, ds:[bp+4]
    mov dx, ds:[bp+6]
    mov si, ds:[bp+8]
    push bp
    int 0x13
    pop bp
    pushf
    push dx
    push cx
    push bx
    push ax
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov si, sp
    mov cx, 10
    call send
    add sp, 10
    mov si, ds:[bp+10]
    mov cx, ds:[bp+12]
    call send
    add bp, 14
    jmp next_call
done:
    mov dx, 0xF4                # isa-debug-exit
    out dx, al
    cli
    hlt
send:
    jcxz 1f
    mov dx, 0xE9
    rep outsb
1:  ret
.org 510
.word 0xAA55
"""


class Ask(NamedTuple):
    """A call, and the memory that shows what it did."""

    ax: int
    bx: int = 0
    cx: int = 0
    dx: int = 0
    si: int = 0
    dump_at: int = 0
    dump_bytes: int = 0


class Answer(NamedTuple):
    """AX, BX, CX, DX, the carry flag, and the memory asked for in hexadecimal."""

    ax: int
    bx: int
    cx: int
    dx: int
    carry: int
    memory: str


def packet(count: int, lba: int, *, offset: int = BUFFER, segment: int = 0, size: int = 16) -> bytes:
    """A disk address packet."""
    return struct.pack("<BBHHHQ", size, 0, count, offset, segment, lba)


def program(asks: Sequence[Ask], memory: Mapping[int, bytes]) -> bytes:
    """The boot sector with its table, and `memory` where it will be loaded to (0x7C00-0x8BFF)."""
    image = bytearray(_code().ljust(PROGRAM_BYTES, b"\0"))
    table = b"".join(struct.pack("<7H", *ask) for ask in asks) + b"\xff\xff"
    places = {_TABLE: table, **memory}
    for at, data in places.items():
        assert not any(image[at - _BASE : at - _BASE + len(data)]), f"{at:#x} is taken"
        image[at - _BASE : at - _BASE + len(data)] = data
    assert len(image) == PROGRAM_BYTES
    return bytes(image)


@cache
def _code() -> bytes:
    return assemble_text(_PROGRAM, layout=Layout(flat=True, base=_BASE)).data


def answers_on_qemu(qemu: str, arguments: Sequence[str], asks: Sequence[Ask], folder: Path) -> list[Answer]:
    """What QEMU's BIOS answers to a program that `arguments` have it boot."""
    log = folder / "sent"
    machine = [qemu, "-accel", "tcg", "-m", "32", "-display", "none", "-no-reboot", "-debugcon", f"file:{log}"]
    exit_port = ["-device", "isa-debug-exit,iobase=0xf4"]
    subprocess.run([*machine, *exit_port, *arguments], timeout=_QEMU_TIMEOUT_S, check=False, capture_output=True)
    return cut(log.read_bytes(), asks)


def cut(sent: bytes, asks: Sequence[Ask]) -> list[Answer]:
    """The answers in what the program sent."""
    answers, at = [], 0
    for ask in asks:
        *registers, flags = struct.unpack_from("<5H", sent, at)
        at += 10
        answers.append(Answer(*registers, flags & 1, sent[at : at + ask.dump_bytes].hex()))
        at += ask.dump_bytes
    assert at == len(sent)
    return answers


def our_answers(drives: Drives, asks: Sequence[Ask], loaded: bytes) -> list[Answer]:
    """What our service answers, with the program `loaded` in memory as on a PC."""
    guest = FakeGuest(1 << 20)
    guest.memory.write(PhysAddr(_BASE), loaded)
    write_disk_tables(guest.memory, drives)
    service = DiskService(drives)
    answers = []
    for ask in asks:
        call = fake_call(0x13, guest, eax=ask.ax, ebx=ask.bx, ecx=ask.cx, edx=ask.dx, esi=ask.si)
        service(call)
        memory = guest.memory.read(PhysAddr(ask.dump_at), ask.dump_bytes).hex()
        answers.append(Answer(call.ax, call.bx, call.cx, call.dx, call.carry, memory))
    return answers
