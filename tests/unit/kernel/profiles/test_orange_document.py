"""docs/profiles.md shows orange's layouts, structures and calls as they are; the boot code agrees with Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hillemu.boot.assembler import assemble_file
from hillemu.boot.images import SOURCES
from hillemu.kernel.mm.structure import Structure
from hillemu.kernel.process_base import State
from hillemu.kernel.profiles.orange.layout import MEMORY_INFO, PROCESSES
from hillemu.kernel.profiles.orange.memory_info import MAX_RANGES
from hillemu.kernel.profiles.orange.memory_manager import MM
from hillemu.kernel.profiles.orange.pf_list import GROUP, PF
from hillemu.kernel.profiles.orange.process import PROC
from hillemu.kernel.profiles.orange.processes import Processes
from hillemu.kernel.profiles.orange.profile import PROFILE
from hillemu.kernel.profiles.orange.system_calls import SystemCalls


@pytest.fixture(scope="module")
def section(root: Path) -> str:
    text = (root / "docs" / "profiles.md").read_text(encoding="utf-8")
    return text.partition("## Profile `orange`")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def symbols() -> Mapping[str, int]:
    return assemble_file(SOURCES / "orange_kernel.s").symbols


def test_the_layouts_are_drawn_as_hillemu_profiles_draws_them(section: str) -> None:
    assert PROFILE.physical_layout in section
    assert PROFILE.virtual_layout in section


@pytest.mark.parametrize("structure", [PF, GROUP, MM, PROC], ids=lambda one: str(one.name))
def test_the_structures_are_in_the_document(section: str, structure: Structure) -> None:
    assert structure.declaration() in section


def test_the_system_calls_are_those_of_the_document(section: str) -> None:
    sentence = section.partition("System calls are Linux's")[2].partition("`fork` gives")[0]
    named = {int(number) for number in re.findall(r"`\w+` (\d+)", sentence)}
    processes = SimpleNamespace(scheduler=None)
    assert named == SystemCalls(cast(Processes, processes), [], lambda text: None).numbers


def test_the_boot_code_has_room_for_what_python_keeps_in_its_image(symbols: Mapping[str, int]) -> None:
    assert symbols["proc_table"] % 16 == PROC.offset("fpu_area") % 16 == PROC.size_bytes % 16 == 0, "FXSAVE wants that"
    assert symbols["mm"] - symbols["proc_table"] >= PROCESSES * PROC.size_bytes
    assert symbols["kernel_bss_end"] >= symbols["mm"] + MM.size_bytes


def test_the_loader_has_its_memory_ranges_where_python_looks_for_them() -> None:
    image = assemble_file(SOURCES / "orange_boot.s")
    assert image.symbols["memory_info"] == MEMORY_INFO
    room = image.data[MEMORY_INFO - 0x7C00 :][: 4 + 8 * MAX_RANGES]
    assert room == bytes(len(room)), "nothing else lies there"


def test_states_are_the_document_s(section: str) -> None:
    assert "`proc.state` is as in [kernel.md](kernel.md#processes)" in section
    assert [State.READY, State.WAITING, State.ZOMBIE] == [1, 3, 4]
