"""What the commands of one connection share: the target, and what the client asked to have remembered."""

from __future__ import annotations

from collections.abc import Callable

from hillemu.emu.gdb.target import Target

Reply = bytes | None
"""A payload; ``b""`` says "unknown packet", `None` that the answer comes later (when the machine stops) or never."""


class Context:
    """One connection's state.

    `running`: the machine is in motion, and the client waits for a stop reply.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.running = False
        self.closing = False
        """The client is gone, or asked to be rid of us: nothing more is answered."""
        self.no_ack = False
        self.extended = False
        """The connection outlives the run, and the client may begin another one."""
        self.physical = False
        """Addresses in memory packets are physical."""
        self.knows_description = False
        """The client has read which registers there are; until then it knows GDB's own only."""
        self.understands_messages = False
        """The client takes an error as words, too."""
        self.knows_swbreak = self.knows_hwbreak = False
        """The client understands why a breakpoint stopped it."""


Command = Callable[[Context, bytes], Reply]
"""Carries out a packet, given what follows its name; may raise `Malformed`, `TargetError`, `Unsupported`."""

OK = b"OK"
UNKNOWN = b""
