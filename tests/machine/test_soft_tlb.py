"""How many pages the soft TLB holds is the guest's doing alone, and what it holds is not lost when it grows.

What it holds can be seen: who walks the page tables sets accessed bits, so a bit that was cleared without a flush and
is set again tells of a walk (Intel SDM Vol. 3A, "Accessed and Dirty Flags").
"""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any

from laboratory import PROBE
from paged_lab import PAGED

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.observers import Watch
from hillemu.emu.i386.address import PhysAddr

MANY = range(0x110, 0x400)
"""Pages; many more than the 256 entries of the beginning."""
SOME = range(0x220, 0x2C8)
"""Less than 70 % of 256 entries, and more than 64; for other places of 256 than code and tables."""
QEMU_LOOKS_BACK_S = 0.1
TABLE = 0x11000
RELOAD = "mov eax, cr3; mov cr3, eax;"


def for_each(pages: range, what: str) -> str:
    """Code that does `what` with ESI as each page's number; changes EAX and ESI."""
    return f"mov esi, {pages.start}; 9: {what}; inc esi; cmp esi, {pages.stop}; jne 9b;"


def touch(pages: range) -> str:
    return for_each(pages, "mov eax, esi; shl eax, 12; mov eax, [eax]")


def clear_accessed(pages: range) -> str:
    return for_each(pages, "and dword ptr [TABLE + esi * 4], ~0x20")


RIVALS = [range(first, first + 16) for first in (0x1D0, 0x2D0, 0x3D0)]
"""Pages for the same 16 places of 256; two of three for the same of 512."""
LOSE = "".join(map(touch, RIVALS)) * 30


def walked(machine: Any, pages: range) -> int:
    """How many of the pages have been walked to since their accessed bits were cleared."""
    return sum(machine.memory.u32(PhysAddr(TABLE + page * 4)) >> 5 & 1 for page in pages)


def run(lab: Callable[..., Any], *body: str) -> Any:
    made = lab(PAGED + "".join(body) + "hlt")
    assert made.run() is CoreStop.HALT
    return made


def test_a_guest_that_uses_more_pages_than_fit_gets_a_larger_table(lab: Callable[..., Any]) -> None:
    assert walked(run(lab, touch(MANY), clear_accessed(MANY), touch(MANY)), MANY) > 100
    assert walked(run(lab, touch(MANY) * 6, clear_accessed(MANY), touch(MANY)), MANY) == 0


def test_a_table_that_grows_forgets_nothing(lab: Callable[..., Any]) -> None:
    cleared = "".join(map(clear_accessed, (SOME, *RIVALS)))
    ran = run(lab, touch(SOME), LOSE, cleared, touch(SOME), LOSE)
    assert [walked(ran, pages) for pages in (SOME, *RIVALS)] == [0, 0, 0, 0]


def test_a_stale_translation_outlives_it(lab: Callable[..., Any]) -> None:
    """As it would have lived on in the small table; hardware may do either."""
    change = "mov dword ptr [0x240000], 1; mov dword ptr [0x241000], 2; mov dword ptr [TABLE + 0x240 * 4], 0x241027;"
    assert run(lab, change, LOSE, "mov ebx, [0x240000];").get("ebx") == 1
    assert run(lab, change, LOSE, "invlpg [0x240000]; mov ebx, [0x240000];").get("ebx") == 2


def test_a_table_shrinks_again_where_few_pages_are_used_between_flushes(lab: Callable[..., Any]) -> None:
    large = touch(MANY) * 6
    few = f"mov ebp, 200; 8: {RELOAD} {touch(range(0x200, 0x203))} dec ebp; jnz 8b;"
    then = clear_accessed(SOME) + touch(SOME)
    assert walked(run(lab, large, RELOAD, touch(SOME), then), SOME) == 0
    assert walked(run(lab, large, few, RELOAD, touch(SOME), then), SOME) > 50


def test_how_long_the_host_takes_changes_nothing(lab: Callable[..., Any]) -> None:
    wait = f"{RELOAD} mov dx, {PROBE}; out dx, al;" * 2
    body = PAGED + wait + touch(SOME) + clear_accessed(SOME) + touch(SOME) + "hlt"
    quick, slow = lab(body), lab(body)
    slow.probe.on_access = lambda: sleep(1.2 * QEMU_LOOKS_BACK_S)
    assert quick.run() is slow.run() is CoreStop.HALT
    assert slow.outcome() == quick.outcome()
    assert walked(slow, SOME) == 0


def test_a_restored_machine_does_not_know_how_large_its_table_was(core: str, boot: Callable[..., Any]) -> None:
    """Or two runs from one snapshot would differ."""
    machine = boot(PAGED + touch(MANY) + clear_accessed(MANY) + touch(MANY) * 5 + "cli; hlt")
    start = machine.snapshot()
    for _ in range(2):
        machine.restore(start)
        machine.run()
        assert walked(machine, MANY) > 100


def test_setting_a_watch_forgets_no_translation(lab_of: Callable[..., Any]) -> None:
    """Who looks changes nothing, not even for a guest that lacks its INVLPG."""
    change = "mov dword ptr [0x240000], 1; mov dword ptr [0x241000], 2; mov dword ptr [TABLE + 0x240 * 4], 0x241027;"
    made = lab_of("native", PAGED + change + "watched: mov ebx, [0x240000]; mov [0x250000], ebx; hlt")
    made.processor.add_breakpoint(made["watched"])
    assert made.run() is CoreStop.BREAKPOINT
    made.processor.observers.add_watch(0x250000, 4, Watch.WRITE)
    assert made.run() is CoreStop.WATCHPOINT
    assert made.word(0x250000) == 1


NO_EXECUTE = """
    .equ DIRECTORIES, 0x20000
    .equ ALIAS, 0x40000000                  # of physical 0, by a page that cannot be executed
    .equ FUNCTION, 0x180000
    mov dword ptr [DIRECTORIES], 0x21001
    mov dword ptr [DIRECTORIES + 8], 0x22001
    mov dword ptr [0x21000], 0x83
    mov dword ptr [0x22000], 0x83
    mov dword ptr [0x22004], 0x80000000
    mov ecx, 0xC0000080; rdmsr; or eax, 0x800; wrmsr
    mov eax, cr4; or eax, 0x20; mov cr4, eax
    mov eax, DIRECTORIES; mov cr3, eax
    mov eax, cr0; or eax, 0x80010000; mov cr0, eax
    mov edi, ALIAS + FUNCTION
    mov byte ptr [edi], 0xB8                # mov eax, ...
    mov byte ptr [edi + 5], 0xC3            # ret
    mov esi, FUNCTION
    mov edx, 1; xor ebx, ebx
1:  mov [edi + 1], edx
    call esi
    imul ebx, ebx, 10; add ebx, eax
    inc edx
    cmp edx, 6
    jne 1b
    hlt
"""


def test_code_that_changes_through_a_page_without_execute_rights_is_new(lab: Callable[..., Any]) -> None:
    ran = lab(NO_EXECUTE)
    assert ran.run() is CoreStop.HALT
    assert ran.get("ebx") == 12345


def test_a_table_that_grows_knows_its_large_pages(lab: Callable[..., Any]) -> None:
    """INVLPG ends all of a 4 MiB page's translation: Intel SDM Vol. 3A, "Operations that Invalidate TLBs"."""
    enable = "mov eax, cr4; or eax, 0x10; mov cr4, eax; mov dword ptr [DIRECTORY + 8], 0x800087;"
    touched = "mov dword ptr [0x8E0000], 1; mov ecx, [0x9E4000];"
    remap = "mov dword ptr [DIRECTORY + 8], 0xC00087;"
    then = "mov ebx, [0x8E0000];"
    assert run(lab, enable, touched, LOSE, remap, then).get("ebx") == 1
    assert run(lab, enable, touched, LOSE, remap, "invlpg [0x9E4000];", then).get("ebx") == 0


def test_a_table_that_grows_knows_devices_and_code_as_before(lab: Callable[..., Any]) -> None:
    """What is on the slow path has its other half in a second table: where the device, or the code's frame, is."""
    mapped = (
        "mov dword ptr [TABLE + 0x2E1 * 4], 0xFEE00017; mov dword ptr [TABLE + 0x2E2 * 4], 0x200007;"
        "mov dword ptr [TABLE + 0x2E3 * 4], 0x200007; mov eax, cr3; mov cr3, eax;"
    )
    made = "mov dword ptr [0x2E2000], 0xC34343; mov edx, 0x2E3000; xor ebx, ebx; call edx;"  # inc ebx; inc ebx; ret
    changed = "mov ecx, [0x2E1030]; mov byte ptr [0x2E2000], 0x43;"
    cleared = clear_accessed(range(0x2E1, 0x2E3))
    again = "mov ebp, [0x2E1030]; mov byte ptr [0x2E2000], 0x4B; mov edx, 0x2E3000; call edx;"  # dec ebx; inc ebx; ret
    ran = run(lab, mapped, made, changed, LOSE, cleared, again)
    assert walked(ran, range(0x2E1, 0x2E3)) == 0
    assert ran.get("ecx") == ran.get("ebp") != 0
    assert ran.get("ebx") == 2


def test_how_long_the_host_takes_changes_nothing_where_a_large_page_is_flushed(lab: Callable[..., Any]) -> None:
    """Then QEMU flushes everything, and looks at its clock whether the table was larger than needed for long."""
    enable = (
        "mov eax, cr4; or eax, 0x10; mov cr4, eax; mov dword ptr [DIRECTORY + 8], 0x800087; mov eax, cr3; mov cr3, eax;"
    )
    flush = "mov ecx, [0x8E0000]; invlpg [0x8E0000];"
    wait = f"mov dx, {PROBE}; out dx, al;"
    full, then = touch(range(0x110, 0x1F4)), touch(SOME) + clear_accessed(SOME) + touch(SOME)
    body = PAGED + enable + full + flush + wait + flush + wait + flush + then + "hlt"
    quick, slow = lab(body), lab(body)
    slow.probe.on_access = lambda: sleep(1.2 * QEMU_LOOKS_BACK_S)
    assert quick.run() is slow.run() is CoreStop.HALT
    assert slow.outcome() == quick.outcome()
    assert walked(slow, SOME) == 0
