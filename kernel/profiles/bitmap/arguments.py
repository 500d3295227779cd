"""The words of the command line that profile bitmap knows.

Its boot protocol has no command line, so the words come with the `Handoff`.
"""

from __future__ import annotations

from typing import NamedTuple

from hillemu.kernel.mm.replacement import PolicyFactory
from hillemu.kernel.replacement_trace import POLICIES

LEAST_FRAMES = 6
"""What one instruction can need at the same time: itself, and two operands, each across the end of a page."""


_VALUES = {"frames": f"{LEAST_FRAMES} or more", "policy": ", ".join(POLICIES), "pools": "on, off"}


class Arguments(NamedTuple):
    """What the user wants."""

    frames: int = 0
    """How many pages programs may have in memory; 0: as many as there are."""
    policy: PolicyFactory | None = None
    """Which page leaves; None leaves it to `KernelOptions`."""
    pools: bool = True
    """Whether small blocks come from pools."""
    unknown: tuple[str, ...] = ()
    """Words that say nothing; `fault_of` tells why."""

    @classmethod
    def parse(cls, text: str) -> Arguments:
        """Read ``frames=N policy=fifo|clock|lru pools=on|off``.

        >>> Arguments.parse("frames=8 frob policy=best")
        Arguments(frames=8, policy=None, pools=True, unknown=('frob', 'policy=best'))
        """
        arguments, unknown = cls(), []
        for word in text.split():
            key, _, value = word.partition("=")
            if key == "frames" and value.isascii() and value.isdigit() and int(value[:9]) >= LEAST_FRAMES:
                arguments = arguments._replace(frames=int(value[:9]))
            elif key == "policy" and value in POLICIES:
                arguments = arguments._replace(policy=POLICIES[value])
            elif key == "pools" and value in ("on", "off"):
                arguments = arguments._replace(pools=value == "on")
            else:
                unknown.append(word)
        return arguments._replace(unknown=tuple(unknown))


def fault_of(word: str) -> str:
    """What is wrong with a word that is `unknown`, as a sentence.

    >>> fault_of("frames=5")
    "'frames=5' is not known; values of frames are: 6 or more"
    >>> fault_of("frob")
    "'frob' is not known; words are frames=, policy=, pools="
    """
    key, equals, _ = word.partition("=")
    if equals and key in _VALUES:
        return f"{word!r} is not known; values of {key} are: {_VALUES[key]}"
    return f"{word!r} is not known; words are {', '.join(f'{one}=' for one in _VALUES)}"
