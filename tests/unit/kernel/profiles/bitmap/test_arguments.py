"""The words of profile bitmap's command line."""

from __future__ import annotations

import pytest

from hillemu.kernel.profiles.bitmap.arguments import LEAST_FRAMES, Arguments, fault_of
from hillemu.kernel.profiles.registry import profile_named
from hillemu.kernel.replacement_trace import POLICIES


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_word_is_understood(policy: str) -> None:
    arguments = Arguments.parse(f"frames={LEAST_FRAMES} policy={policy} pools=off")
    assert arguments == Arguments(LEAST_FRAMES, POLICIES[policy], False, ())


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("frames=5", "values of frames are: 6 or more"),
        ("frames=-7", "values of frames are: 6 or more"),
        ("frames=٧", "values of frames are: 6 or more"),
        ("policy=lrux", "values of policy are: fifo, clock, lru"),
        ("pools=maybe", "values of pools are: on, off"),
        ("pools", "words are frames=, policy=, pools="),
        ("frob=1", "words are frames=, policy=, pools="),
    ],
)
def test_a_word_that_is_wrong_changes_nothing_and_is_told_with_what_is_right(word: str, why: str) -> None:
    assert Arguments.parse(word) == Arguments(unknown=(word,))
    assert fault_of(word) == f"{word!r} is not known; {why}"


def test_the_words_that_hillemu_profiles_lists_are_these() -> None:
    listed = [word.partition("=")[0] for word in profile_named("bitmap").words]
    assert fault_of("frob").endswith("; words are " + ", ".join(f"{word}=" for word in listed))
