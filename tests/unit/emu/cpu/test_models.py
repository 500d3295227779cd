"""Processor models: what each advertises hangs together."""

from __future__ import annotations

import pytest

from hillemu.emu.cpu import models
from hillemu.emu.cpu.models import MODELS, CpuModel, model_named
from hillemu.emu.errors import OptionError

WITH_CPUID = [name for name, model in MODELS.items() if model.has_cpuid]


def leaf(model: CpuModel, number: int) -> tuple[int, ...]:
    """(eax, ebx, ecx, edx)"""
    (row,) = [row[2:] for row in model.cpuid_leaves if row[0] == number]
    return row


def test_an_unknown_name_is_the_users_mistake_and_lists_the_names() -> None:
    with pytest.raises(OptionError, match=r"z80.*386.*max"):
        model_named("z80")


@pytest.mark.parametrize("name", MODELS)
def test_the_family_in_the_signature_is_the_models(name: str) -> None:
    family = MODELS[name].signature >> 8 & 15
    assert family == {"386": 3, "486": 4, "pentium": 5}.get(name, 6)


@pytest.mark.parametrize("name", WITH_CPUID)
def test_leaf_0_names_the_vendor_and_the_highest_leaf(name: str) -> None:
    highest, ebx, ecx, edx = leaf(MODELS[name], 0)
    assert b"".join(part.to_bytes(4, "little") for part in (ebx, edx, ecx)) == b"GenuineIntel"
    assert highest == max(row[0] for row in MODELS[name].cpuid_leaves if row[0] < 0x40000000)


@pytest.mark.parametrize("name", WITH_CPUID)
def test_every_model_says_that_it_is_not_a_real_processor_and_whose_it_is(name: str) -> None:
    assert leaf(MODELS[name], 1)[2] >> 31
    highest, *signature = leaf(MODELS[name], 0x40000000)
    assert highest == 0x40000001
    assert b"".join(word.to_bytes(4, "little") for word in signature) == b"HILLEMU i386"
    assert leaf(MODELS[name], highest) == (0, 0, 0, 0)


@pytest.mark.parametrize("name", WITH_CPUID)
def test_every_extended_leaf_up_to_the_highest_is_there(name: str) -> None:
    extended = sorted(row[0] for row in MODELS[name].cpuid_leaves if row[0] >= 0x80000000)
    if extended:
        highest = leaf(MODELS[name], 0x80000000)[0]
        assert extended == list(range(0x80000000, highest + 1))


def test_a_386_has_no_leaves_and_no_cr4() -> None:
    model = model_named("386")
    assert (model.cpuid_leaves, model.msrs, model.cr4_valid) == ([], [], 0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("feature", "bit"), [("DE", 3), ("PSE", 4), ("PAE", 5), ("PGE", 7), ("FXSR", 9), ("SSE", 10)])
def test_a_bit_of_cr4_exists_where_cpuid_says_so(name: str, feature: str, bit: int) -> None:
    model = MODELS[name]
    assert bool(model.cr4_valid >> bit & 1) == bool(model.edx & getattr(models, feature))


@pytest.mark.parametrize("name", MODELS)
def test_no_model_advertises_what_is_not_modelled(name: str) -> None:
    vme, mce, mtrr = 1 << 1, 1 << 7, 1 << 12
    assert not MODELS[name].edx & (vme | mce | mtrr)
    assert not MODELS[name].ecx & (1 << 30 | 1 << 26)  # RDRAND, XSAVE
    assert not MODELS[name].extended_edx & 1 << 29  # long mode


@pytest.mark.parametrize("name", MODELS)
def test_msrs_come_with_their_feature_and_once(name: str) -> None:
    indices = [index for index, *_ in MODELS[name].msrs]
    assert len(indices) == len(set(indices))
    assert (0x174 in indices) == bool(MODELS[name].edx & models.SEP)
    assert (0xC0000080 in indices) == bool(MODELS[name].extended_edx & models.NX)


@pytest.mark.parametrize("name", ["qemu32", "max"])
def test_the_brand_string_is_readable(name: str) -> None:
    text = b"".join(word.to_bytes(4, "little") for n in range(2, 5) for word in leaf(MODELS[name], 0x80000000 + n))
    assert text.rstrip(b"\0").decode() == f"hillemu virtual CPU ({name})"
