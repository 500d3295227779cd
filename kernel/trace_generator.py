"""Our own allocation traces: made by rule and from a seed, so that they are the same on every host.

>>> list(generate("steady", operations=3, seed=1))[0].startswith("# steady")
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

Line = str


def generate(kind: str, operations: int = 20_000, seed: int = 1) -> Iterator[Line]:
    """The lines of a trace of about `operations` operations; all is freed at its end.  `kind` is one of `KINDS`."""
    yield f"# {kind}, {operations} operations, seed {seed}"
    yield from KINDS[kind](operations, Random(seed))


def _steady(operations: int, dice: Random) -> Iterator[Line]:
    """A kernel at work: some 600 small objects of a few sizes, each living for a random time."""
    sizes = (16, 24, 32, 40, 64, 96, 100, 128, 192, 256, 512, 1024)
    alive: list[int] = []
    name = 0
    for _ in range(operations):
        if alive and (len(alive) > 600 or dice.random() < 0.45):
            yield f"f {_take(alive, dice)}"
        else:
            name += 1
            alive.append(name)
            yield f"a {name} {dice.choice(sizes)}"
    yield from _free_all(alive)


def _bursts(operations: int, dice: Random) -> Iterator[Line]:
    """System calls: each allocates some objects and frees them in the opposite order; few survive."""
    alive: list[int] = []
    name = done = 0
    while done < operations:
        stack = []
        for _ in range(dice.randint(2, 40)):
            name += 1
            stack.append(name)
            yield f"a {name} {dice.randint(1, 600)}"
        done += 2 * len(stack)
        if dice.random() < 0.2:
            alive.append(stack.pop())
        if len(alive) > 100:
            yield f"f {_take(alive, dice)}"
        yield from (f"f {name}" for name in reversed(stack))
    yield from _free_all(alive)


def _growing(operations: int, dice: Random) -> Iterator[Line]:
    """Tables that double: reallocations from a few bytes up to some pages, side by side."""
    sizes: dict[int, int] = {}
    name = 0
    for _ in range(operations):
        if len(sizes) < 20:
            name += 1
            sizes[name] = dice.randint(8, 64)
            yield f"a {name} {sizes[name]}"
            continue
        one = dice.choice(list(sizes))
        if sizes[one] > 20_000:
            del sizes[one]
            yield f"f {one}"
        else:
            sizes[one] += sizes[one] * dice.randint(2, 8) // 8 + 1
            yield f"r {one} {sizes[one]}"
    yield from _free_all(list(sizes))


def _comb(operations: int, dice: Random) -> Iterator[Line]:
    """What fragments: many small blocks, every second one freed, and then larger ones that fit into no gap."""
    name = done = 0
    while done < operations:
        teeth = list(range(name + 1, name + 2001))
        name += len(teeth)
        yield from (f"a {tooth} {dice.randint(40, 56)}" for tooth in teeth)
        yield from (f"f {tooth}" for tooth in teeth[::2])
        large = list(range(name + 1, name + 201))
        name += len(large)
        yield from (f"a {one} {dice.randint(200, 400)}" for one in large)
        yield from (f"f {tooth}" for tooth in teeth[1::2])
        yield from (f"f {one}" for one in large)
        done += 2 * (len(teeth) + len(large))


def _pages(operations: int, dice: Random) -> Iterator[Line]:
    """Buffers of one page to 64 pages, some 50 at a time, among small objects."""
    alive: list[int] = []
    name = 0
    for _ in range(operations):
        if alive and (len(alive) > 100 or dice.random() < 0.48):
            yield f"f {_take(alive, dice)}"
        else:
            name += 1
            alive.append(name)
            size = dice.randint(1, 2048) if dice.random() < 0.5 else 4096 << dice.randint(0, 6)
            yield f"a {name} {size - dice.randint(0, 7) if size > 8 else size}"
    yield from _free_all(alive)


def _take(alive: list[int], dice: Random) -> int:
    index = dice.randrange(len(alive))
    alive[index], alive[-1] = alive[-1], alive[index]
    return alive.pop()


def _free_all(alive: list[int]) -> Iterator[Line]:
    return (f"f {name}" for name in alive)


KINDS: dict[str, Callable[[int, Random], Iterator[Line]]] = {
    "steady": _steady,
    "bursts": _bursts,
    "growing": _growing,
    "comb": _comb,
    "pages": _pages,
}
"""Name to rule; what a kind is like is in its rule's docstring."""
