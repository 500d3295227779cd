"""A profile says what each instruction and each chain of calls took: compared with sums worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop
from hillemu.emu.cpu.profile import Costs, NodeKind, Profile
from hillemu.emu.errors import OptionError

CALLS = """
start:  call outer
        call outer
        jmp end
outer:  mov ecx, 3
1:      call inner
        dec ecx
        jnz 1b
        ret
inner:  nop
        nop
        ret
end:    cli
        hlt
"""


def profiled(lab: Any, limit: int = 100_000) -> Profile:
    """The profile of the lab's whole run."""
    profiler = lab.processor.take_profile()
    assert lab.processor.run(instructions=limit) is CoreStop.HALT
    found: Profile = profiler.profile()
    profiler.stop()
    return found


def total(parts: Any) -> Costs:
    result = Costs()
    for part in parts:
        result = result.plus(part.costs)
    return result


def chains(profile: Profile, symbols: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Calls and own instructions of each chain, as ``outer/inner``."""
    names = {address: name for name, address in symbols.items()}

    def name_of(number: int) -> str:
        node = profile.nodes[number]
        if node.entry is None:
            return "-"
        own = names[profile.sites[node.entry].pc]
        return own if node.parent == 0 else f"{name_of(node.parent)}/{own}"

    found: dict[str, tuple[int, int]] = {}
    for number, node in enumerate(profile.nodes):
        calls, instructions = found.get(name_of(number), (0, 0))
        found[name_of(number)] = (calls + node.calls, instructions + node.costs.instructions)
    return found


def test_each_function_has_its_own_instructions(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", CALLS)
    profile = profiled(lab)
    # start: 2 calls, jmp, cli, hlt; outer: 1 + 3 * (call, dec, jnz) + ret; inner: 3
    assert chains(profile, lab.symbols) == {"-": (0, 5), "outer": (2, 22), "outer/inner": (6, 18)}


def test_each_instruction_has_its_executions(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", CALLS)
    profile = profiled(lab)
    executed = {site.pc: site.costs.instructions for site in profile.sites}
    assert executed[lab.symbols["inner"]] == 6
    assert executed[lab.symbols["outer"]] == 2
    assert executed[lab.symbols["outer"] + 5] == 6


@pytest.mark.parametrize("timing", ["", "i486-nomem", "i486", "pentium"])
def test_the_sums_are_the_clocks(lab_of: Callable[..., Any], timing: str) -> None:
    lab = lab_of("native", CALLS, timing=timing)
    before = lab.processor.ticks()
    profile = profiled(lab)
    everything = profile.total
    assert everything.instructions == lab.processor.instructions == 45
    assert everything.ticks == lab.processor.ticks() - before
    assert total(profile.sites).plus(profile.deliveries) == total(profile.nodes) == everything


@pytest.mark.parametrize("timing", ["", "i386", "i486", "pentium"])
def test_a_profile_changes_nothing(lab_of: Callable[..., Any], timing: str) -> None:
    alone, watched = lab_of("native", CALLS, timing=timing), lab_of("native", CALLS, timing=timing)
    assert alone.processor.run(instructions=1000) is CoreStop.HALT
    profiled(watched)
    assert watched.outcome() == alone.outcome()


def test_a_miss_belongs_to_the_instruction_that_misses(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", "start: nop\nload: mov eax, [0x80000]\nagain: mov eax, [0x80000]\ncli\nhlt", timing="i486")
    sites = {site.pc: site.costs for site in profiled(lab).sites}
    first, second = sites[lab.symbols["load"]], sites[lab.symbols["again"]]
    assert (first.cache_misses, second.cache_misses) == (1, 0)
    assert (first.ticks, second.ticks) == (1 + first.stall, 1 + second.stall)
    assert first.stall > second.stall  # which waits for the rest of the line


def test_recursion_stays_in_its_node(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", "mov eax, 50\ncall down\ncli\nhlt\ndown: dec eax\njz 1f\ncall down\n1: ret")
    profile = profiled(lab)
    assert [node.calls for node in profile.nodes] == [0, 1, 49]
    assert chains(profile, lab.symbols)["down/down"] == (49, 49 * 4 - 1)


def test_a_call_that_faults_is_none(lab_of: Callable[..., Any]) -> None:
    source = """
        call f
        cli
        hlt
f:      nop
        .byte 0x9A, 0, 0, 0, 0, 0, 0        # CALL 0000:00000000
        ret
vector_13: add dword ptr [esp + 4], 7
        add esp, 4
        iretd
        """
    profile = profiled(lab := lab_of("native", source))
    assert chains(profile, lab.symbols) == {"-": (0, 3), "f": (1, 2), "f/vector_13": (1, 3)}
    assert profile.nodes[2].kind is NodeKind.EXCEPTION
    assert profile.nodes[2].vector == 13


def test_an_interrupt_is_a_call_from_the_instruction(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", "call user\ncli\nhlt\nuser: int 0x80\nnop\nret\nvector_128: nop\nnop\niretd")
    profile = profiled(lab)
    handler = next(node for node in profile.nodes if node.kind is NodeKind.SOFTWARE)
    assert handler.vector == 0x80
    assert handler.costs.instructions == 3
    assert handler.caller is not None
    assert profile.sites[handler.caller].pc == lab.symbols["user"]
    assert profile.nodes[handler.parent].costs.instructions == 3  # int, nop, ret
    assert profile.nodes[0].costs.instructions == 3  # call, cli, hlt


def test_a_return_to_another_stack_changes_the_chain(lab_of: Callable[..., Any]) -> None:
    lab = lab_of(
        "native",
        """
        mov edi, 0x70000
        mov dword ptr [edi], offset thread
        call switch
        call switch
        cli
        hlt
switch: xchg esp, edi
        ret
thread: nop
        call switch
        nop
        call switch
        """,
    )
    profile = profiled(lab)
    by_name = chains(profile, lab.symbols)
    assert by_name["-"][1] == 6
    assert by_name["thread"] == (1, 4)
    assert by_name["switch"] == (2, 4)
    assert by_name["thread/switch"] == (2, 4)


def test_a_jump_by_ret_is_no_return(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", "call f\ncli\nhlt\nf: push offset 1f\nret\n1: nop\nret")
    profile = profiled(lab)
    assert chains(profile, lab.symbols) == {"-": (0, 3), "f": (1, 4)}


def test_leaving_several_calls_at_once_is_noticed(lab_of: Callable[..., Any]) -> None:
    source = """
        mov ebx, esp
        call a
        nop
        cli
        hlt
a:      call b
back:   nop
        ret
b:      call c
        ret
c:      lea esp, [ebx - 8]
        ret
        """
    profile = profiled(lab := lab_of("native", source))
    assert chains(profile, lab.symbols)["a"] == (1, 3)
    assert chains(profile, lab.symbols)["-"] == (0, 5)


def test_time_is_cut_into_slices(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", "mov ecx, 3000000\n1: dec ecx\njnz 1b\ncli\nhlt")
    profile = profiled(lab, limit=7_000_000)
    assert 512 <= len(profile.slices) <= 1024
    whole = profile.slices[:-1]
    assert all(abs(part.ticks - profile.slice_ticks) <= 512 for part in whole)  # by whole instructions
    assert sum(part.ticks for part in profile.slices) == 6_000_003


def test_a_profile_goes_on_from_run_to_run_and_ends_when_it_is_told(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", CALLS)
    lab.processor.run(instructions=3)
    profiler = lab.processor.take_profile()
    for _ in range(4):
        lab.processor.run(instructions=5)
    assert profiler.profile().total.instructions == 20
    profiler.stop()
    lab.processor.run(instructions=5)
    with pytest.raises(RuntimeError, match="no profile"):
        profiler.profile()
    again = lab.processor.take_profile()
    lab.processor.run(instructions=4)
    assert again.profile().total.instructions == 4


def test_a_fresh_start_from_an_earlier_state_is_no_time(lab_of: Callable[..., Any]) -> None:
    lab = lab_of("native", CALLS)
    state = lab.processor.state()
    profiler = lab.processor.take_profile()
    lab.processor.run(instructions=10)
    lab.processor.set_state(state)
    lab.processor.run(instructions=10)
    found = profiler.profile()
    assert found.total.instructions == found.total.ticks == 20


def test_the_portable_core_says_that_it_takes_none(lab_of: Callable[..., Any]) -> None:
    with pytest.raises(OptionError, match="native core"):
        lab_of("portable", CALLS).processor.take_profile()
