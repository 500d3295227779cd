"""How far TLBs and caches reach: chases through pages and lines, with the misses of a round worked out by hand.

A chase is one loop in one line of code, ``mov eax, [eax]`` from node to node, so nothing but that line and the nodes is
touched; its misses are counted from one round to the next when everything has come round often enough.

What pseudo-LRU does, on paper.  A set's ways are L0 to L3; B0 is 1 if L0 or L1 was used last, B1 if L0 before L1, B2 if
L2 before L3; the victim is in the other pair, and there the other way.

- At most 4 nodes in a set: each has a way; no misses.
- 5 nodes in turn: of the first round L0 to L3 have nodes 0 to 3, and node 4 takes L0.  Then 0 takes L2, 1 hits in L1,
  2 takes L3, 3 L0, 4 L2; then 0 takes L1, and from there on each takes what the next one needs: 5 misses a round.
- 8 nodes in turn: a way is taken every fourth miss, and a node comes again after eight: 8 misses a round.
- The code's page or line in the set of k > 3 nodes: it is used between any two of them, so its pair is the one used
  last whenever a node misses, and the victim is in the other pair.  The node beside the code stays, the k - 1 others
  take turns in two ways, and miss: k - 1 misses a round.

True LRU of two ways (the Pentium's caches): 3 nodes in turn all miss.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.i386.address import PhysAddr

NODES, DIRECTORY = 0x400000, 0x10000
ROUNDS = 8
CHASE = """
    mov eax, NODES
    mov ecx, 100000000
    {prepare}
    jmp chase
.balign 64
chase: mov eax, [eax]; dec ecx; jnz chase
    hlt
"""
PAGING = "mov edx, DIRECTORY; mov cr3, edx; mov ebx, cr0; or ebx, 0x80000000; mov cr0, ebx; mov cr3, edx"
MIB_16 = 4


def round_of(lab_of: Callable[..., Any], processor: str, stride: int, count: int, *, paging: bool) -> dict[str, int]:
    """What a round through `count` nodes, `stride` bytes apart, adds to the memory model's counters and the clock."""
    source = CHASE.format(prepare=PAGING if paging else "wbinvd" if processor != "i386" else "nop")
    lab = lab_of("native", f".equ NODES, {NODES}; .equ DIRECTORY, {DIRECTORY}\n{source}", timing=processor)
    for number in range(count):
        following = NODES + (number + 1) % count * stride
        lab.memory.set_u32(PhysAddr(NODES + number * stride), following)
    for table in range(MIB_16):
        lab.memory.set_u32(PhysAddr(DIRECTORY + 4 * table), DIRECTORY + 0x1000 * (table + 1) + 7)
        entries = ((table << 22 | page << 12) + 0x67 for page in range(1024))
        lab.memory.write(PhysAddr(DIRECTORY + 0x1000 * (table + 1)), struct.pack("<1024I", *entries))
    lab.processor.add_breakpoint(lab["chase"])
    assert lab.run() is CoreStop.BREAKPOINT
    lab.processor.remove_breakpoint(lab["chase"])
    lab.run(instructions=3 * count * ROUNDS)
    before, ticks = lab.pc.cycles.memory.counters(), lab.processor.ticks()
    lab.run(instructions=3 * count)
    after = lab.pc.cycles.memory.counters()
    return {name: after[name] - before[name] for name in after} | {"cycles": lab.processor.ticks() - ticks}


# The i386 and the i486 have 8 sets of 4 entries for code and data; page NODES >> 12 is in set 0, and so is the code's.
# The Pentium has 16 sets of 4 for data alone.
TLB = {
    ("i486", 16): (0, "2 in every set"),
    ("i486", 31): (3, "4 in every set but one; in set 0 with the code's, 4 - 1"),
    ("i486", 32): (3, "4 in every set; set 0: 4 - 1"),
    ("i486", 33): (4, "set 0 has 5: 5 - 1"),
    ("i486", 64): (63, "8 in each of 7 sets: 56; set 0: 8 - 1"),
    ("i386", 16): (0, "as the i486, D36"),
    ("i386", 33): (4, "as the i486, D36"),
    ("i386", 64): (63, "as the i486, D36"),
    ("pentium", 16): (0, "1 in every set"),
    ("pentium", 32): (0, "2 in every set"),
    ("pentium", 33): (0, "3 in set 0"),
    ("pentium", 64): (0, "4 in every set"),
    ("pentium", 65): (5, "5 in set 0"),
    ("pentium", 128): (128, "8 in every set"),
}


@pytest.mark.parametrize(("processor", "pages"), TLB)
def test_a_chase_through_pages_misses_the_tlb_as_its_sets_say(
    processor: str, pages: int, lab_of: Callable[..., Any]
) -> None:
    # Another line in every page, so that the caches do not matter.
    found = round_of(lab_of, processor, 4096 + 64, pages, paging=True)
    assert (found["data_tlb_misses"], found["code_tlb_misses"]) == (TLB[processor, pages][0], 0)


# The i486 has 128 sets of 4 lines of 16 bytes for code and data; the node at NODES is in set 0, the code's line is in
# set 4.  The Pentium has 128 sets of 2 lines of 32 bytes for data alone.
CACHE = {
    ("i486", 16, 256): (0, "4 KiB: 2 lines in every set"),
    ("i486", 16, 508): (3, "in the code's set 4 - 1; the last 4 sets have 3"),
    ("i486", 16, 512): (3, "8 KiB: 4 in every set, and the code's line in one: 4 - 1"),
    ("i486", 16, 1024): (127 * 8 + 7, "16 KiB: 8 in every set; 8 - 1 in the code's"),
    ("i486", 2048, 4): (0, "4 in set 0"),
    ("i486", 2048, 5): (5, "5 in set 0"),
    ("i486", 2064, 5): (0, "in five sets, one of them the code's"),
    ("i486", 2048, 8): (8, "8 in set 0"),
    ("pentium", 32, 128): (0, "4 KiB: 1 line in every set"),
    ("pentium", 32, 256): (0, "8 KiB: 2 in every set, and the code has a cache of its own"),
    ("pentium", 32, 257): (3, "3 in set 0"),
    ("pentium", 32, 384): (384, "3 in every set"),
    ("pentium", 4096, 2): (0, "2 in set 0"),
    ("pentium", 4096, 3): (3, "3 in set 0"),
    ("pentium", 4128, 3): (0, "in three sets"),
}


@pytest.mark.parametrize(("processor", "stride", "lines"), CACHE)
def test_a_chase_through_lines_misses_the_cache_as_its_sets_say(
    processor: str, stride: int, lines: int, lab_of: Callable[..., Any]
) -> None:
    found = round_of(lab_of, processor, stride, lines, paging=False)
    assert (found["data_cache_misses"], found["code_cache_misses"]) == (CACHE[processor, stride, lines][0], 0)


# A turn of the chase: MOV from a base that the one before the last has not written, DEC, JNZ.  i486: 1 + 1 + 3, and an
# index or interlock there is none, since DEC and JNZ stand between.  A read that misses goes on with the first
# transfer, 2 clocks later; the line is there after 5, when the next turn begins.
def test_a_miss_of_the_i486_takes_two_clocks_and_a_hit_none(lab_of: Callable[..., Any]) -> None:
    hits = round_of(lab_of, "i486", 16, 256, paging=False)
    misses = round_of(lab_of, "i486", 2048, 8, paging=False)
    assert hits["cycles"] == 256 * 5
    assert misses["cycles"] == 8 * (5 + 2)


# AP-500: a miss of the Pentium takes at least 3 clocks.
def test_a_miss_of_the_pentium_takes_three_clocks_more(lab_of: Callable[..., Any]) -> None:
    hits = round_of(lab_of, "pentium", 32, 256, paging=False)
    misses = round_of(lab_of, "pentium", 4096, 3, paging=False)
    assert misses["stall_clocks"] - hits["stall_clocks"] >= 3 * 3
    assert misses["cycles"] - 3 * hits["cycles"] // 256 == misses["stall_clocks"]


# AP-500, "Alignment": a word lies in an aligned dword, a dword is aligned; else 3 clocks more on the i486 and Pentium.
# The i386 takes one more bus cycle, which without wait states is 2 clocks (PRM s2.2).  Offsets of an aligned line.
ALIGNMENT = {
    "mov eax, [ebx + 0]": (0, 0),
    "mov eax, [ebx + 1]": (2, 3),
    "mov eax, [ebx + 2]": (2, 3),
    "mov eax, [ebx + 3]": (2, 3),
    "mov eax, [ebx + 4]": (0, 0),
    "mov eax, [ebx + 30]": (2, 3),  # in two lines, which are there
    "mov ax, [ebx + 1]": (0, 0),
    "mov ax, [ebx + 3]": (2, 3),
    "mov al, [ebx + 3]": (0, 0),
    "mov [ebx + 1], eax": (2, 3),
    "mov [ebx + 3], ax": (2, 3),
    "push dword ptr [ebx + 4]; pop eax": (0, 0),
    "push dword ptr [ebx + 5]; pop eax": (2, 3),
}


def turns(lab_of: Callable[..., Any], processor: str, code: str) -> dict[str, int]:
    """What twenty turns of a loop with `code` add to the counters, from the twenty-first on."""
    source = f".balign 64; turn: {code}; dec ecx; mov edx, edx; jnz turn; hlt"
    start = f"mov ebx, {NODES}; mov ecx, 1000; mov esp, {NODES - 64}; jmp turn"
    lab = lab_of("native", f"{start}; {source}", timing=processor)
    instructions = 4 + code.count(";")
    lab.run(instructions=4 + 20 * instructions)
    before = lab.pc.cycles.memory.counters()
    lab.run(instructions=20 * instructions)
    after = lab.pc.cycles.memory.counters()
    return {name: after[name] - before[name] for name in after}


@pytest.mark.parametrize("processor", ["i386", "i486", "pentium"])
@pytest.mark.parametrize("code", ALIGNMENT)
def test_a_misaligned_operand_takes_more(code: str, processor: str, lab_of: Callable[..., Any]) -> None:
    found, aligned = (turns(lab_of, processor, one) for one in (code, re.sub(r"\+ \d+", "+ 4", code)))
    wanted = ALIGNMENT[code][processor != "i386"]
    assert (found["misaligned"], aligned["misaligned"]) == (20 if wanted else 0, 0)
    # A store of the i386 goes into its write buffer, and what waits for that is the next that needs the bus.
    if processor != "i386" or not code.startswith("mov ["):
        assert found["stall_clocks"] - aligned["stall_clocks"] == 20 * wanted


LARGE = """
    mov eax, 0x10
    mov cr4, eax
    mov edx, 0x10000
    mov cr3, edx
    mov ebx, cr0
    or ebx, 0x80000000
    mov cr0, ebx
    mov ecx, [0x400000]
    mov ecx, [0x401000]
    mov ecx, [0x402000]
    mov ecx, [0x402004]
    hlt
"""


@pytest.mark.parametrize(("processor", "misses"), [("i386", 4), ("i486", 4), ("pentium", 2)])
def test_a_large_page_is_held_in_pieces_where_there_is_no_tlb_for_it(
    lab_of: Callable[..., Any], processor: str, misses: int
) -> None:
    lab = lab_of("native", LARGE, timing=processor)
    for number in range(2):
        lab.memory.set_u32(PhysAddr(DIRECTORY + 4 * number), number << 22 | 0xE7)  # P, RW, US, A, D, PS
    assert lab.run() is CoreStop.HALT
    counters = lab.pc.cycles.memory.counters()
    # The page of the code, and three pages of data; the Pentium's large page once, and its code in a piece.
    assert counters["data_tlb_misses"] + counters["code_tlb_misses"] == misses
    assert counters["faults"] == counters["updates"] == 0
