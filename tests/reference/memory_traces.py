"""Random traces for memory systems: programs that reuse, change their page tables, and forget to flush."""

from __future__ import annotations

from random import Random

from memory_format import (
    CD,
    CR0,
    CR3,
    CR4,
    DRAIN,
    FETCH,
    FLUSH_CACHE,
    INVLPG,
    LOCKED,
    NW,
    PCD,
    PE,
    PG,
    PS,
    PSE,
    PWT,
    READ,
    RECORD,
    RW,
    SNOOP,
    STORE,
    TASK_SWITCH,
    US,
    USER,
    WP,
    WRITE,
    A,
    D,
    P,
)

MEMORY_BYTES = 1 << 20
DIRECTORIES = (0x1000, 0x2000)
TABLES = (0x3000, 0x4000, 0x5000)


def make_memory(random: Random) -> bytearray:
    """1 MiB with two page directories and three page tables; more than one linear page leads to most frames."""
    memory = bytearray(MEMORY_BYTES)
    for directory in DIRECTORIES:
        for index in (0, 1, 768):
            _put(memory, directory + 4 * index, _directory_entry(random))
    for table in TABLES:
        for index in range(96):
            _put(memory, table + 4 * index, _table_entry(random))
    return memory


def make_trace(random: Random, events: int) -> bytes:
    """A trace of so many events that starts with paging on."""
    records: list[tuple[int, ...]] = [(CR3, 0, 0, 0, 0, DIRECTORIES[0], 0), (CR0, 0, 0, 0, 0, PG | PE | WP, 0)]
    at, code = 0xC0000000, 0xC0010000
    while len(records) < events:
        clocks = random.choice((0, 0, 1, 1, 2, 3, 5, 20))
        chance = random.random()
        user = USER * (random.random() < 0.3)
        if chance < 0.40:  # near the last one
            at = (at + random.choice((-8, 0, 0, 1, 4, 4, 4, 8, 16, 32))) & 0xFFFFFFFF
        elif chance < 0.60:
            at = _linear(random)
        elif chance < 0.75:
            code = _linear(random) & ~15 if random.random() < 0.2 else (code + 4) & 0xFFFFFFFF
            records.append((FETCH, random.choice((1, 4, 16)), user, 0, code, 0, clocks))
            continue
        elif chance < 0.965:  # a pointer chase: the same place of many pages
            at = (0xC0000000 + 4096 * random.randrange(70) + random.choice((0, 0, 0x800, 0x10))) & 0xFFFFFFFF
        else:
            records.append(_event(random, at, clocks))
            continue
        kind = WRITE if random.random() < 0.4 else READ
        locked = LOCKED * (random.random() < 0.02)
        size = random.choice((1, 2, 4, 4, 4, 4, 8, 10, 16))
        records.append((kind, size, user | locked, 0, at, 0, clocks))
    return b"".join(RECORD.pack(*record) for record in records)


def _event(random: Random, at: int, clocks: int) -> tuple[int, ...]:
    place = random.choice((*DIRECTORIES, *TABLES, *TABLES, *TABLES))
    chance = random.random()
    if chance < 0.35:  # a page-table entry changes, mostly without INVLPG
        if place in DIRECTORIES:
            return STORE, 0, 0, 0, place + 4 * random.choice((0, 1, 768)), _directory_entry(random), clocks
        return STORE, 0, 0, 0, place + 4 * random.randrange(96), _table_entry(random), clocks
    if chance < 0.55:
        return INVLPG, 0, 0, 0, random.choice((at, _linear(random))), 0, clocks
    if chance < 0.65:
        size = random.choice((1, 16, 64, 4096, 65536))
        return SNOOP, 0, random.randrange(2), 0, random.randrange(MEMORY_BYTES - size), size, clocks
    if chance < 0.80:
        return DRAIN, 0, 0, 0, 0, 0, clocks
    if chance < 0.87:
        return random.choice((CR3, TASK_SWITCH)), 0, 0, 0, 0, _cr3(random), clocks
    if chance < 0.94:
        cache = random.choice((0, 0, 0, 0, CD, CD | NW))
        cr0 = cache | PE | random.choice((PG, PG, PG, PG, 0)) | random.choice((0, WP))
        return CR0, 0, 0, 0, 0, cr0, clocks
    if chance < 0.98:
        return CR4, 0, 0, 0, 0, random.choice((PSE, PSE, 0)), clocks
    return FLUSH_CACHE, 0, random.randrange(2), 0, 0, 0, clocks


def _cr3(random: Random) -> int:
    return random.choice(DIRECTORIES) | random.choice((0, 0, 0, PCD, PWT))


def _linear(random: Random) -> int:
    region = random.choice((0, 0x00400000, 0xC0000000))
    return region + 4096 * random.choice((0, 1, 8, 9, 16, random.randrange(110))) + random.randrange(4096)


def _rights(random: Random) -> int:
    rights = RW * (random.random() < 0.8) | US * (random.random() < 0.7) | A * (random.random() < 0.5)
    return rights | PCD * (random.random() < 0.05) | PWT * (random.random() < 0.05) | P * (random.random() < 0.97)


def _directory_entry(random: Random) -> int:
    if random.random() < 0.25:
        return 0x00400000 * random.randrange(2) | _rights(random) | PS | D * random.randrange(2)
    return random.choice(TABLES) | _rights(random)


def _table_entry(random: Random) -> int:
    return 4096 * random.randrange(MEMORY_BYTES // 4096) | _rights(random) | D * (random.random() < 0.3)


def _put(memory: bytearray, at: int, value: int) -> None:
    memory[at : at + 4] = value.to_bytes(4, "little")
