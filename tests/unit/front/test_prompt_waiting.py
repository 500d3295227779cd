"""Waiting awake or asleep, by a clock and sockets that a test moves: what is awake costs a look's time each time."""

from __future__ import annotations

import pytest

from hillemu.debugging.prompt_waiting import AWAKE_S, BUSY_S, LOST_S, PromptWaiting, processors

LOOK_S = 3e-6
PROMPT_S, SLOW_S = AWAKE_S / 5, 3 * AWAKE_S


class Host:
    """A clock, and a client whose answer comes so long behind what it was sent."""

    def __init__(self, *, may_stay_awake: bool = True, tells_preemptions: bool = True) -> None:
        self.now = 100.0
        self.comes_at = 0.0
        self.looks = 0
        self.look_s = LOOK_S
        self.preemptions = 0
        self.waiting = PromptWaiting(
            self._look,
            clock=lambda: self.now,
            preemptions=lambda: self.preemptions if tells_preemptions else None,
            may_stay_awake=may_stay_awake,
        )

    def _look(self) -> str | None:
        self.looks += 1
        self.now += self.look_s
        return "answer" if self.comes_at <= self.now else None

    def is_answered(self, after_s: float, *, sends: bool = True) -> str:
        """How the client is waited for that answers so late: "awake", "asleep", or both."""
        if sends:
            self.waiting.sent()
        self.comes_at = self.now + after_s
        self.looks = 0
        found = self.waiting.awake()
        if found is None:
            self.now = max(self.now, self.comes_at)
        self.waiting.received()
        return " and ".join(["awake"] * (self.looks > 0) + ["asleep"] * (found is None))


def test_only_who_was_prompt_the_last_time_is_waited_for_awake() -> None:
    host = Host()
    delays = [PROMPT_S, PROMPT_S, PROMPT_S, SLOW_S, SLOW_S, PROMPT_S, PROMPT_S]
    assert [host.is_answered(delay) for delay in delays] == [
        *("asleep", "awake", "awake"),
        *("awake and asleep", "asleep", "asleep"),
        "awake",
    ]


def test_a_pause_costs_no_more_than_it_says() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    began = host.now
    assert host.is_answered(3600) == "awake and asleep"
    assert host.looks * LOOK_S <= AWAKE_S + LOOK_S
    assert host.now - began == pytest.approx(3600)


def test_an_answer_ends_the_waiting_at_the_next_look() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    began = host.now
    host.is_answered(PROMPT_S)
    assert host.now - began <= PROMPT_S + LOOK_S


def test_where_nothing_was_sent_nobody_is_waited_for_awake() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    host.now += SLOW_S  # the machine ran: nothing was sent
    assert host.is_answered(PROMPT_S, sends=False) == "asleep"


@pytest.mark.parametrize("tells_preemptions", [True, False])
def test_where_other_programs_had_our_processor_everybody_is_waited_for_asleep_for_a_while(
    tells_preemptions: bool,
) -> None:
    host = Host(tells_preemptions=tells_preemptions)
    host.is_answered(PROMPT_S)
    host.look_s = 1.1 * LOST_S
    host.preemptions += 1
    assert host.is_answered(1.5 * LOST_S) == "awake and asleep"
    assert host.looks == 1
    host.look_s = LOOK_S
    since = host.now
    ways = [host.is_answered(PROMPT_S) for _ in range(2 * round(BUSY_S / PROMPT_S))]
    asleep = ways.index("awake")
    assert set(ways[:asleep]) == {"asleep"}
    assert set(ways[asleep:]) == {"awake"}
    assert asleep * PROMPT_S == pytest.approx(BUSY_S, abs=2 * PROMPT_S)
    assert host.now - since > BUSY_S


def test_time_that_no_other_program_had_is_no_reason_to_sleep() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    host.look_s, answers_s = 1.1 * LOST_S, 1.5 * LOST_S
    assert host.is_answered(answers_s) == "awake"
    assert host.looks == 2
    assert host.is_answered(answers_s) == "awake"
    host.preemptions += 1
    assert host.is_answered(answers_s) == "awake and asleep"


def test_with_one_processor_everybody_is_waited_for_asleep() -> None:
    host = Host(may_stay_awake=False)
    assert {host.is_answered(PROMPT_S) for _ in range(5)} == {"asleep"}


def test_the_processors_that_may_be_used_are_counted_whatever_the_host_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert processors() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert processors() == 1
