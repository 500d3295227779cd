"""`hillemu profiles`, `--profile` and `--check NAMES`: what is listed, and how a wrong name is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hillemu.cli import main
from hillemu.commands.built_in import checks_of
from hillemu.emu.errors import OptionError
from hillemu.kernel.options import PARTS
from hillemu.kernel.profiles.profile import Profile
from hillemu.kernel.profiles.registry import DEFAULT, MODULES, all_profiles, profile_named
from hillemu.kernel_module import NAMES
from hillemu.testing import plugin, request

PROFILES = [pytest.param(one, id=one.name) for one in all_profiles()]
_ROW = re.compile(r"^(0x[0-9A-F]{8}|          ) (\+-{27}\+|\|.{27}\|)(  \S.*)?$")


def test_every_profile_is_listed_with_both_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles"]) == 0
    listed = capsys.readouterr().out
    names = re.findall(r"^(\w+)(?: \(the default\))?: ", listed, re.MULTILINE)
    assert names == list(MODULES)
    assert f"{DEFAULT} (the default): " in listed
    for profile in all_profiles():
        for line in (*profile.physical_layout.splitlines(), *profile.virtual_layout.splitlines()):
            assert f"    {line}".rstrip() in listed.splitlines()


@pytest.mark.parametrize("arguments", [[], ["bitmap"], ["--json"]])
def test_a_reader_that_has_enough_is_no_fault(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "hillemu", "profiles", *arguments]
    listing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert listing.stdout is not None
    listing.stdout.close()
    assert listing.stderr is not None
    said = listing.stderr.read()
    listing.stderr.close()
    listing.wait(timeout=60)
    assert (listing.returncode, said) == (0, b"")


def test_one_profile_is_listed_alone_and_a_wrong_name_is_told_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["profiles", "bitmap"]) == 0
    assert "hillson" not in capsys.readouterr().out
    assert main(["profiles", "bitmop"]) == 125
    assert capsys.readouterr().err == "hillemu: PROFILE: there is no 'bitmop'; did you mean 'bitmap'?\n"


def test_the_json_document_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles", "--json"]) == 0
    records: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == list(MODULES)
    assert [record["default"] for record in records] == [name == DEFAULT for name in MODULES]
    bitmap = records[1]
    assert bitmap["image"] == "bitmap.img"
    assert "\n".join(bitmap["virtual_layout"]) == profile_named("bitmap").virtual_layout


@pytest.mark.parametrize("profile", PROFILES)
def test_layouts_are_drawn_in_rows_with_ascending_addresses(profile: Profile) -> None:
    for drawing in (profile.physical_layout, profile.virtual_layout):
        rows = drawing.splitlines()
        assert all(_ROW.match(row) for row in rows), drawing
        addresses = [int(row[:10], 16) for row in rows if row.startswith("0x")]
        assert addresses == sorted(set(addresses))
        assert addresses[0] == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_called_as_it_is_registered(profile: Profile) -> None:
    assert profile_named(profile.name) is profile
    assert not profile.title.endswith(".")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "bitmab"], "--profile: there is no 'bitmab'; did you mean 'bitmap'?"),
        (["--profile", "xyz"], f"--profile: there is no 'xyz'; there are {', '.join(MODULES)}"),
        (["--profile", ""], f"--profile: there is no ''; there are {', '.join(MODULES)}"),
        (["--check=heap"], "--check: profile hillson has no check 'heap'; --check without a name verifies everything"),
        (
            ["--profile=bitmap", "--check=bitmap,heep"],
            "--check: profile bitmap has no check 'heep'; did you mean 'heap'?",
        ),
        (
            ["kernel.elf", "--profile=bitmap"],
            "--profile: is for the built-in kernel, which boots without IMAGE, drives",
        ),
        (["--profile=bitmap", "--disk-write"], "--disk-write: there is no disk of yours"),
    ],
)
def test_a_wrong_wish_is_told_in_one_line(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", *arguments]) == 125
    err = capfd.readouterr().err
    assert err.startswith(f"hillemu: {said}")
    assert err.count("\n") == 1


def test_a_part_that_a_profile_does_not_use_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module = tmp_path / "mine.py"
    module.write_text("def oom(spaces):\n    return spaces[0]\n")
    assert main(["boot", "--profile=bitmap", f"--kernel-module={module}"]) == 125
    assert capfd.readouterr().err == (
        "hillemu: --kernel-module: profile bitmap does not use oom; of yours it uses page_replacement, on_boot\n"
    )


def test_the_parts_of_profiles_are_those_that_a_module_may_define() -> None:
    assert PARTS == NAMES
    assert {part for profile in all_profiles() for part in profile.parts} == set(NAMES)


def test_checks_are_named_with_commas() -> None:
    bitmap = profile_named("bitmap")
    assert checks_of(bitmap, None) == checks_of(bitmap, "all") == ()
    assert checks_of(bitmap, "heap, usage") == ("heap", "usage")
    with pytest.raises(OptionError, match="there are bitmap, pagetables, heap, usage"):
        checks_of(bitmap, "")


def test_the_pytest_plugin_knows_all_names() -> None:
    assert set(request.built_in_names()) <= set(plugin.BUILT_IN)
