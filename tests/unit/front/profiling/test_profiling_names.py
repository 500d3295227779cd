"""Which function an address belongs to, and how a tree of calls is drawn."""

from __future__ import annotations

import re

import pytest

from hillemu.emu.cpu.profile import Costs, Node, NodeKind
from hillemu.emu.i386.address import VirtAddr
from hillemu.profiling.flame import WIDTH, flame_graph
from hillemu.profiling.functions import Functions
from hillemu.profiling.run_profile import Branch, children_of, subtree_totals
from hillemu.symbols import Symbol, SymbolTable


def name_at(functions: Functions, pc: int) -> str:
    return functions.at(VirtAddr(pc)).name


def text(name: str, at: int, size: int = 0, kind: str = "function") -> Symbol:
    return Symbol(name, at, size, kind, 0x2000)


def test_a_function_ends_where_its_size_says_or_the_next_one_begins() -> None:
    functions = Functions([SymbolTable.of([text("a", 0x1000, 0x10), text("b", 0x1020, 0, "label"), text("c", 0x1030)])])
    assert [name_at(functions, at) for at in (0x1000, 0x100F, 0x1020, 0x102F, 0x1FFF)] == ["a", "a", "b", "b", "c"]


def test_code_behind_a_function_and_code_without_symbols_say_so() -> None:
    functions = Functions([SymbolTable.of([text("a", 0x1000, 0x10)])])
    assert name_at(functions, 0x1010) == "[behind a]"
    assert name_at(functions, 0x2000) == "[0x00002000]"
    assert name_at(functions, 0x7C12) == "[0x00007000]"


def test_a_label_in_a_function_is_a_part_of_it() -> None:
    inside = [text("f", 0x1000, 0x20), text("loop", 0x1008, 0, "label"), text("g", 0x1020, 4)]
    functions = Functions([SymbolTable.of(inside)])
    assert [name_at(functions, at) for at in (0x1008, 0x1010, 0x1020)] == ["f", "f", "g"]


def test_data_is_no_function() -> None:
    functions = Functions([SymbolTable.of([text("f", 0x1000), text("table", 0x1010, 4, "object")])])
    assert name_at(functions, 0x1012) == "f"


def test_the_first_image_that_knows_an_address_names_it() -> None:
    kernel, program = SymbolTable.of([text("kernel", 0x1000, 16)]), SymbolTable.of([Symbol("main", 0x5000, 16)])
    functions = Functions([kernel, SymbolTable(), program])
    assert name_at(functions, 0x1000) == "kernel"
    assert name_at(functions, 0x5004) == "main"
    assert not Functions([SymbolTable()]).has_symbols


def node(parent: int, ticks: int) -> Node:
    return Node(parent, None, None, NodeKind.CALL, 0, 1, Costs(ticks, ticks))


def test_totals_have_everything_below() -> None:
    nodes = [node(0, 1), node(0, 10), node(1, 100), node(1, 1000), node(3, 10000)]
    assert [total.ticks for total in subtree_totals(nodes)] == [11111, 11110, 100, 11000, 10000]
    assert children_of(nodes) == [[1], [2, 3], [], [4], []]


def branch(name: str, own: int, *below: Branch) -> Branch:
    return Branch(name, 1, Costs(ticks=own), Costs(ticks=own + sum(one.total.ticks for one in below)), below)


def test_a_flame_is_as_wide_as_its_share_and_below_its_caller() -> None:
    tree = branch("all", 10, branch("big", 60, branch("leaf", 20)), branch("small", 10))
    drawn = flame_graph(tree, "cycles")
    boxes = {
        name: (float(x), float(width), int(depth))
        for x, width, depth, name in re.findall(
            r'<g data-x="([\d.]+)" data-w="([\d.]+)" data-d="(\d+)"><title>(\w+):', drawn
        )
    }
    assert boxes["all"] == (0, WIDTH, 0)
    assert boxes["big"] == (0, pytest.approx(0.8 * WIDTH), 1)
    assert boxes["leaf"] == (0, pytest.approx(0.2 * WIDTH), 2)
    assert boxes["small"] == (pytest.approx(0.8 * WIDTH), pytest.approx(0.1 * WIDTH), 1)


def test_names_cannot_break_the_page() -> None:
    assert "<script>" not in flame_graph(branch('<script>"&', 1), "cycles")


def test_what_is_too_thin_is_left_out() -> None:
    assert "mote" not in flame_graph(branch("all", 100_000, branch("mote", 1)), "cycles")
    assert "nothing was executed" in flame_graph(branch("all", 0), "cycles")
