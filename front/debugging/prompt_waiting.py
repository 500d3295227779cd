"""Waiting for a client: awake as long as its answer is to be expected at once, else asleep.

::

    sent      received      sent                              received
    |--- 80 us ---|         |--- AWAKE_S ---|- asleep ... ----|
                            awake, because the last answer was prompt; the next one will be waited for asleep

A debugger that steps asks for the next thing within 100 us, ten thousand times.  Who sleeps meanwhile has to be woken,
which takes the host as long again, and longer where a virtual machine's processor has gone idle.

So a client that was prompt is waited for awake.  One that was not (a person, a network) is waited for asleep, and so is
everybody where only one processor may be used: awake, we would keep the debugger from it.  Whoever else wants our
processor has it between two looks; and where somebody did, on a busy host, no processor goes idle that would have to be
woken, so we sleep again for a while.  (Where the host itself is a virtual machine, time is lost to others whom no sleep
of ours helps: that does not count.)  What is lost in vain is `AWAKE_S` of a processor that is idle otherwise, once for
each pause of the client's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Generic, TypeVar

AWAKE_S = 500e-6
"""What an answer takes at most that is prompt: five times GDB's own time for a step, half of that with being woken."""
LOST_S = 200e-6
"""From one look to the next it is some 3 us; where it is more than this, somebody else had our processor."""
BUSY_S = 0.05
"""How long a host is taken to be busy then."""

Found = TypeVar("Found")
_let_others_run = getattr(os, "sched_yield", lambda: None)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _preemptions() -> int | None:
    """How often another program had this thread's processor while we wanted it; `None` where the host does not say."""
    import resource  # not on every host, and for few runs

    if not hasattr(resource, "RUSAGE_THREAD"):
        return None
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


class PromptWaiting(Generic[Found]):
    """Waits for what `look` finds.

    `clock` counts seconds, `preemptions` how often others had our processor (`None`: that is not known).
    """

    def __init__(
        self,
        look: Callable[[], Found | None],
        *,
        clock: Callable[[], float] = perf_counter,
        preemptions: Callable[[], int | None] = _preemptions,
        may_stay_awake: bool | None = None,
    ) -> None:
        self._look = look
        self._clock = clock
        self._preemptions = preemptions
        self._may_stay_awake = processors() > 1 if may_stay_awake is None else may_stay_awake
        self._awake_until = clock()
        self._was_prompt = False
        self._busy_until = clock()
        self._preempted = preemptions()

    def sent(self) -> None:
        """The client was sent something, and may answer."""
        self._awake_until = self._clock() + AWAKE_S

    def received(self) -> None:
        """The client has answered."""
        self._was_prompt = self._clock() < self._awake_until

    def awake(self) -> Found | None:
        """What `look` finds as long as a prompt answer may come; `None` when it is better to sleep."""
        if not (self._was_prompt and self._may_stay_awake):
            return None
        now = self._clock()
        while self._busy_until <= now < self._awake_until:
            if (found := self._look()) is not None:
                return found
            _let_others_run()
            before, now = now, self._clock()
            if now - before > LOST_S and self._others_had_it():
                self._busy_until = now + BUSY_S
        return None

    def _others_had_it(self) -> bool:
        """Whether it was another program that had our processor, as far as that is known."""
        before, self._preempted = self._preempted, self._preemptions()
        return self._preempted is None or self._preempted != before
