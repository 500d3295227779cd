"""One processor for a debugger and its machine: only where waking another one goes through a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hillemu.debugging import one_processor

STAT = "4711 (a (strange) name) S " + " ".join(str(field) for field in range(4, 53))
"""proc(5): the number of each field as its value, from the fourth on."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[set[int]]:
    """Where this process was told to stay; a virtual machine, on processor 39."""
    told: list[set[int]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, mask: told.append(mask), raising=False)
    for name, text in (("_CPUINFO", "processor : 0\nflags\t\t: fpu vme hypervisor lahf_lm\n"), ("_STAT", STAT)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(one_processor, name, tmp_path / name)
    return told


def test_in_a_virtual_machine_we_stay_where_we_are(host: list[set[int]]) -> None:
    assert one_processor.stay_on_one_processor()
    assert host == [{39}]


@pytest.mark.parametrize("cpuinfo", ["flags : fpu vme\nmodel name : hypervisor\n", "Features : fp asimd\n", None])
def test_real_processors_and_unknown_hosts_are_left_alone(
    host: list[set[int]], tmp_path: Path, cpuinfo: str | None
) -> None:
    path = tmp_path / "_CPUINFO"
    path.unlink() if cpuinfo is None else path.write_text(cpuinfo)
    assert not one_processor.stay_on_one_processor()
    assert host == []


def test_where_it_cannot_be_had_nothing_happens(host: list[set[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, mask: set[int]) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert not one_processor.stay_on_one_processor()
    monkeypatch.delattr(os, "sched_setaffinity")
    assert not one_processor.stay_on_one_processor()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the host cannot tell")
def test_the_processor_we_are_on_is_one_that_we_may_use() -> None:
    assert one_processor._here() in os.sched_getaffinity(0)
