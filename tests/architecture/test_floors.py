"""Imports only go down: the table of docs and DESIGN, checked by reading every module's syntax tree.

A new module finds its floor by the longest name here that it starts with.  To change the architecture, change this
table, and say why in docs/decisions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

BOTTOM = ("hillemu.emu.errors", "hillemu.emu.word", "hillemu.emu.stop", "hillemu.emu.reports")
BUSES = ("hillemu.emu.bus", "hillemu.emu.wires", "hillemu.emu.clock")
MEMORY = "hillemu.emu.memory"
HOST_PAGES, PAGE_VERSIONS = "hillemu.emu.host_pages", "hillemu.emu.page_versions"
MEDIA = "hillemu.emu.media"
GEOMETRY = "hillemu.emu.geometry"
I386 = "hillemu.emu.i386"
DOOR = "hillemu.emu.guest"
ABOVE_THE_DOOR = (I386, DOOR, "hillemu.emu.errors", "hillemu.emu.word", "hillemu.emu.reports")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    # emu, from the bottom up; nothing on the ground floor knows another part of hillemu
    "hillemu.emu": (),
    "hillemu.emu.errors": (),
    "hillemu.emu.word": (),
    "hillemu.emu.stop": (),
    "hillemu.emu.reports": (),
    I386: (I386, *BOTTOM),
    "hillemu.emu.bus": (*BUSES, *BOTTOM),
    "hillemu.emu.wires": BOTTOM,
    "hillemu.emu.clock": BOTTOM,
    MEDIA: BOTTOM,
    GEOMETRY: (MEDIA, *BOTTOM),
    # Tables and formats only: the processor reads them, they know no processor.
    "hillemu.emu.timing": ("hillemu.emu.timing", I386, *BOTTOM),
    HOST_PAGES: BOTTOM,
    PAGE_VERSIONS: (HOST_PAGES, *BOTTOM),
    MEMORY: (MEMORY, HOST_PAGES, *BUSES, I386, *BOTTOM),
    DOOR: (I386, *BOTTOM),
    "hillemu.emu.cpu": ("hillemu.emu.cpu", "hillemu.emu.timing", DOOR, *BUSES, MEMORY, I386, *BOTTOM),
    # A chip knows its registers and its wires.  None imports i386: another architecture uses the same chips.
    "hillemu.emu.devices": ("hillemu.emu.devices", MEDIA, GEOMETRY, *BUSES, *BOTTOM),
    "hillemu.emu.gdb": ("hillemu.emu.gdb", DOOR, I386, *BOTTOM),
    "hillemu.emu.snapshot_place": BOTTOM,
    "hillemu.emu.snapshot_objects": ("hillemu.emu.snapshot_place", *BOTTOM),
    "hillemu.emu.snapshot": ("hillemu.emu",),
    # Groups of chips, wired: they know chips, buses and memory, and nobody above.
    "hillemu.emu.board": ("hillemu.emu.board", "hillemu.emu.devices", MEDIA, MEMORY, *BUSES, *BOTTOM),
    "hillemu.emu.pc": ("hillemu.emu",),
    # the rooms above
    "hillemu.boot": ("hillemu.boot", MEDIA, GEOMETRY, *ABOVE_THE_DOOR),
    "hillemu.kernel": ("hillemu.kernel", "hillemu.boot.handoff", *ABOVE_THE_DOOR),
    "hillemu.images": (),
    "hillemu": ("hillemu",),
}

HEAVY = {"capstone", "keystone", "elftools", "numpy", "unicorn", "pytest", "rich"}
"""Slow to import, so imported inside the functions that need them."""
EAGER_UNICORN = "hillemu.emu.cpu"
"""The only room that may know Unicorn; it runs on it, so it may also import it at module level."""
PYTEST_PLUGIN = "hillemu.testing.plugin"
"""Loaded by pytest, so pytest is there already."""


class Import(NamedTuple):
    """One imported name: `target` is a full dotted name, `line` where it stands."""

    target: str
    line: int
    at_module_level: bool
    for_typing_only: bool


def imports_of(file: Path) -> Iterator[Import]:
    """Every import statement of a source file; ``from a import b`` counts as ``a.b``."""
    yield from _imports_in(ast.parse(file.read_text(encoding="utf-8")), True, False)


def _imports_in(node: ast.AST, at_module_level: bool, for_typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_module_level, for_typing_only)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative imports are banned"
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", child.lineno, at_module_level, for_typing_only)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for statement in child.body:
                yield from _imports_in(ast.Module([statement], []), at_module_level, True)
            for statement in child.orelse:
                yield from _imports_in(ast.Module([statement], []), at_module_level, for_typing_only)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports_in(child, at_module_level and not inside, for_typing_only)


def floor_of(module: str) -> str:
    """The longest entry of the table that `module` is or lies in."""
    return max((floor for floor in MAY_IMPORT if is_within(module, floor)), key=len)


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_a_module_imports_only_what_its_floor_allows(module_name: str, modules: dict[str, Path]) -> None:
    allowed = MAY_IMPORT[floor_of(module_name)]
    wrong = [
        f"{modules[module_name]}:{item.line}: {module_name} must not import {item.target}"
        for item in imports_of(modules[module_name])
        if is_within(item.target, "hillemu") and not any(is_within(item.target, name) for name in allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_of_emu_has_a_floor_of_its_own(modules: dict[str, Path]) -> None:
    homeless = [name for name in modules if floor_of(name) == "hillemu.emu" and name != "hillemu.emu"]
    assert not homeless, f"give these a row in MAY_IMPORT: {homeless}"


def test_only_the_processor_knows_unicorn(module_name: str, modules: dict[str, Path]) -> None:
    known = [item.line for item in imports_of(modules[module_name]) if is_within(item.target, "unicorn")]
    assert not known or is_within(module_name, EAGER_UNICORN), f"{modules[module_name]}: lines {known} import unicorn"


def test_heavy_libraries_are_imported_where_they_are_used(module_name: str, modules: dict[str, Path]) -> None:
    eager = [
        f"{modules[module_name]}:{item.line}: import {item.target} inside the function that needs it"
        for item in imports_of(modules[module_name])
        if item.at_module_level
        and not item.for_typing_only
        and item.target.partition(".")[0] in HEAVY
        and not (item.target.partition(".")[0] == "unicorn" and is_within(module_name, EAGER_UNICORN))
        and not (item.target.partition(".")[0] == "pytest" and is_within(module_name, PYTEST_PLUGIN))
    ]
    assert not eager, "\n".join(eager)


def test_rooms_below_the_front_use_only_the_standard_library_and_what_is_declared(
    module_name: str, modules: dict[str, Path]
) -> None:
    foreign = {
        item.target.partition(".")[0]
        for item in imports_of(modules[module_name])
        if item.target.partition(".")[0] not in sys.stdlib_module_names | HEAVY | {"hillemu"}
    }
    assert not foreign, f"{module_name} imports {sorted(foreign)}"


def test_nothing_in_the_machine_looks_at_the_hosts_time(module_name: str, modules: dict[str, Path]) -> None:
    if not any(is_within(module_name, room) for room in ("hillemu.emu", "hillemu.boot", "hillemu.kernel")):
        return
    tree = ast.parse(modules[module_name].read_text(encoding="utf-8"))
    found = [
        f"line {item.line}: import {item.target}"
        for item in imports_of(modules[module_name])
        if is_within(item.target, "time")
    ]
    found += [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in ("now", "utcnow", "today")
        and ast.unparse(node.value).rpartition(".")[2] in ("datetime", "date")
    ]
    assert not found, f"{modules[module_name]}: {found}"


def test_no_modules_import_each_other_in_a_circle(modules: dict[str, Path]) -> None:
    graph = {
        name: {
            target
            for item in imports_of(file)
            if item.at_module_level and not item.for_typing_only
            for target in (item.target, item.target.rpartition(".")[0])
            if target in modules and target != name
        }
        for name, file in modules.items()
    }
    assert find_cycle(graph) is None


def find_cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """Some circle in `graph` as a path that ends where it starts, or None."""
    done: set[str] = set()

    def walk(path: list[str]) -> list[str] | None:
        for target in sorted(graph[path[-1]] - done):
            if target in path:
                return [*path[path.index(target) :], target]
            if (cycle := walk([*path, target])) is not None:
                return cycle
        done.add(path[-1])
        return None

    return next((cycle for name in sorted(graph) if name not in done and (cycle := walk([name]))), None)


class TestTheChecksThemselves:
    """A guard that never barks may be asleep."""

    def test_a_circle_is_found(self) -> None:
        assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
        assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("import a.b", [("a.b", True, False)]),
            ("from a import b, c", [("a.b", True, False), ("a.c", True, False)]),
            ("def f():\n  import a", [("a", False, False)]),
            ("class C:\n  import a", [("a", True, False)]),
            ("try:\n  import a\nexcept ImportError:\n  import b", [("a", True, False), ("b", True, False)]),
            ("if TYPE_CHECKING:\n  import a\nelse:\n  import b", [("a", True, True), ("b", True, False)]),
        ],
    )
    def test_imports_are_seen_wherever_they_stand(
        self, source: str, expected: list[tuple[str, bool, bool]], tmp_path: Path
    ) -> None:
        file = tmp_path / "module.py"
        file.write_text(source)
        seen = [(item.target, item.at_module_level, item.for_typing_only) for item in imports_of(file)]
        assert seen == expected

    def test_a_module_belongs_to_the_most_exact_floor(self) -> None:
        assert floor_of("hillemu.emu.devices.clocks.pit") == "hillemu.emu.devices"
        assert floor_of("hillemu.emu.i386.paging") == I386
        assert floor_of("hillemu.emulator") == "hillemu"
