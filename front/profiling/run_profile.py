"""A profile with names: costs by function and by line, and the tree of calls.

>>> from hillemu import Machine
>>> machine = Machine(mem="16M")
>>> loaded = machine.load_demo()
>>> with machine.profile() as profile:
...     stop = machine.run()
>>> profile.total.instructions == machine.cpu.instructions
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hillemu.emu.cpu.profile import Costs, Node, NodeKind, Profile
from hillemu.emu.i386.vectors import EXCEPTIONS
from hillemu.profiling.functions import Function, Functions

if TYPE_CHECKING:
    from hillemu.emu.cpu.profile import Profiler
    from hillemu.symbols import SymbolTable

DELIVERY = "[interrupt delivery]"
BEGINNING = "[beginning]"


class FunctionCosts(NamedTuple):
    """A row of the profile by function."""

    function: str
    image: str
    """Which of several images has it; empty for code without a symbol."""
    start: int
    calls: int
    """How often it was called, or entered by an interrupt."""
    own: Costs
    total: Costs
    """With everything that it has called; recursion counts once."""


class LineCosts(NamedTuple):
    """A row of the profile by line of the sources."""

    line: str
    """``kernel.c:42``; the function's name where the image says no more."""
    function: str
    own: Costs


class Branch(NamedTuple):
    """A function in the tree of calls, all its calls from one function taken together."""

    name: str
    calls: int
    own: Costs
    total: Costs
    branches: tuple[Branch, ...]
    """What it has called, the costliest first."""


class RunProfile:
    """What a run took; complete when the ``with`` block of `Machine.profile` has ended.

    `has_cycles`, `has_memory` and `has_branches` tell what the machine's timing counts: without cycles a tick is an
    instruction or a port access's wait, without a memory model there are no misses, and most processors do not predict.
    """

    def __init__(
        self,
        profiler: Profiler,
        tables: Sequence[SymbolTable],
        *,
        timing: str,
        has_cycles: bool,
        has_memory: bool,
        has_branches: bool,
    ) -> None:
        self._profiler: Profiler | None = profiler
        self._measured: Profile | None = None
        self.functions = Functions(tables)
        self.timing, self.has_cycles = timing, has_cycles
        self.has_memory, self.has_branches = has_memory, has_branches

    @property
    def measured(self) -> Profile:
        """By instruction, without names.  Between two runs also while the profile is being taken."""
        if self._profiler is not None:
            return self._profiler.profile()
        assert self._measured is not None
        return self._measured

    def end(self) -> None:
        """Measure no more."""
        if self._profiler is not None:
            self._measured = self._profiler.profile()
            self._profiler.stop()
            self._profiler = None

    @property
    def total(self) -> Costs:
        """All that has passed."""
        return self.measured.total

    def by_function(self) -> list[FunctionCosts]:
        """Each function that was executed, the one with the highest costs of its own first."""
        measured = self.measured
        own: dict[Function, Costs] = {}
        for site in measured.sites:
            function = self.functions.at(site.pc)
            own[function] = own.get(function, Costs()).plus(site.costs)
        calls, totals = self._calls_and_totals(measured)
        rows = [
            FunctionCosts(one.name, one.image, one.start, calls.get(one, 0), costs, totals.get(one, costs))
            for one, costs in own.items()
            if any(costs)
        ]
        if any(measured.deliveries):
            rows.append(FunctionCosts(DELIVERY, "", 0, 0, measured.deliveries, measured.deliveries))
        return sorted(rows, key=lambda row: (-row.own.ticks, row.function, row.start))

    def by_line(self) -> list[LineCosts]:
        """Each line that was executed, the costliest first."""
        measured = self.measured
        own: dict[tuple[str, str], Costs] = {}
        for site in measured.sites:
            if any(site.costs):
                function = self.functions.at(site.pc).name
                key = self.functions.line(site.pc) or function, function
                own[key] = own.get(key, Costs()).plus(site.costs)
        if any(measured.deliveries):
            own[DELIVERY, DELIVERY] = measured.deliveries
        rows = [LineCosts(*names, costs) for names, costs in own.items()]
        return sorted(rows, key=lambda row: (-row.own.ticks, row.line))

    def tree(self) -> Branch:
        """Who has called whom, from where the profile began."""
        measured = self.measured
        children = children_of(measured.nodes)

        def branch(name: str, numbers: Sequence[int]) -> Branch:
            own, calls = Costs(), 0
            below: dict[str, list[int]] = {}
            for number in numbers:
                node = measured.nodes[number]
                own, calls = own.plus(node.costs), calls + node.calls
                for child in children[number]:
                    below.setdefault(self.node_name(measured, measured.nodes[child]), []).append(child)
            branches = [branch(name, numbers) for name, numbers in below.items()]
            branches.sort(key=lambda one: (-one.total.ticks, one.name))
            total = own
            for one in branches:
                total = total.plus(one.total)
            return Branch(name, calls, own, total, tuple(branches))

        return _deeply(lambda: branch(BEGINNING, [0]), len(measured.nodes))

    def node_name(self, measured: Profile, node: Node) -> str:
        """What a node of the tree is called: its function, and how it was entered if not by a call."""
        if node.entry is None:
            return BEGINNING
        name = self.functions.at(measured.sites[node.entry].pc).name
        if node.kind is NodeKind.EXCEPTION:
            short = EXCEPTIONS[node.vector].mnemonic if node.vector in EXCEPTIONS else f"exception {node.vector}"
            return f"[{short}] {name}"
        if node.kind is NodeKind.SOFTWARE:
            return f"[int {node.vector:02X}h] {name}"
        if node.kind is NodeKind.INTERRUPT:
            return f"[interrupt {node.vector:02X}h] {name}"
        return f"[thread] {name}" if node.kind is NodeKind.STACK else name

    def as_dict(self) -> dict[str, Any]:
        """Totals, functions and lines for JSON; docs/profile.md explains the keys."""
        measured = self.measured
        return {
            "timing": self.timing,
            "total": self.costs_dict(measured.total),
            "functions": [
                {
                    "function": row.function,
                    "image": row.image,
                    "start": row.start,
                    "calls": row.calls,
                    "own": self.costs_dict(row.own),
                    "total": self.costs_dict(row.total),
                }
                for row in self.by_function()
            ],
            "lines": [
                {"line": row.line, "function": row.function, "own": self.costs_dict(row.own)} for row in self.by_line()
            ],
            "lost_calls": measured.lost_calls,
        }

    def costs_dict(self, costs: Costs) -> dict[str, int]:
        """`costs` without those that the machine's timing does not count."""
        found = {"instructions": costs.instructions, "cycles" if self.has_cycles else "ticks": costs.ticks}
        found["idle"] = costs.idle
        if self.has_memory:
            found |= {
                "stall": costs.stall,
                "tlb_misses": costs.tlb_misses,
                "walk_cycles": costs.walk,
                "cache_misses": costs.cache_misses,
            }
        if self.has_branches:
            found |= {
                "branches": costs.branches,
                "mispredicted": costs.mispredicted,
                "conditional_branches": costs.conditional,
                "conditional_mispredicted": costs.conditional_mispredicted,
            }
        return found

    def _calls_and_totals(self, measured: Profile) -> tuple[dict[Function, int], dict[Function, Costs]]:
        """How often each function was entered, and what it took with all that it called."""
        nodes = measured.nodes
        totals = subtree_totals(nodes)
        calls: dict[Function, int] = {}
        with_called: dict[Function, Costs] = {}
        for number, node in enumerate(nodes):
            if node.entry is None:
                continue
            function = self.functions.at(measured.sites[node.entry].pc)
            calls[function] = calls.get(function, 0) + node.calls
            if not any(one == function for one in self._callers(measured, number)):
                with_called[function] = with_called.get(function, Costs()).plus(totals[number])
        return calls, with_called

    def _callers(self, measured: Profile, number: int) -> Iterator[Function]:
        while number:
            number = measured.nodes[number].parent
            entry = measured.nodes[number].entry
            if entry is not None:
                yield self.functions.at(measured.sites[entry].pc)


def children_of(nodes: Sequence[Node]) -> list[list[int]]:
    """Of each node of a tree, what it has called."""
    children: list[list[int]] = [[] for _ in nodes]
    for number, node in enumerate(nodes):
        if number:
            children[node.parent].append(number)
    return children


def subtree_totals(nodes: Sequence[Node]) -> list[Costs]:
    """Of each node of a tree, its costs with those of all that it has called."""
    totals = [node.costs for node in nodes]
    for number in range(len(nodes) - 1, 0, -1):  # parents come before what they call
        parent = nodes[number].parent
        totals[parent] = totals[parent].plus(totals[number])
    return totals


def _deeply(work: Callable[[], Branch], depth: int) -> Branch:
    """Call `work`, which calls itself up to `depth` times."""
    import sys

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 3 * depth + 1000))
    try:
        return work()
    finally:
        sys.setrecursionlimit(before)
