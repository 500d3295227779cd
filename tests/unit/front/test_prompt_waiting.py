"""Waiting awake or asleep, by a clock and sockets that a test moves: what is awake costs a look's time each time."""

from __future__ import annotations

import pytest

from hillemu.debugging.prompt_waiting import AWAKE_S, BUSY_S, LOST_S, PromptWaiting, processors

LOOK_S = 3e-6
PROMPT_S, SLOW_S = AWAKE_S / 5, 3 * AWAKE_S


class Host:
    """A clock, and one client; what it sends comes `answers_after_s` behind what it was sent."""

    def __init__(self, *, may_stay_awake: bool = True) -> None:
        self.now = 100.0
        self.comes_at: list[tuple[float, str]] = []
        self.looks = self.sleeps = 0
        self.look_s = LOOK_S
        self.waiting = PromptWaiting(self._ready, clock=lambda: self.now, may_stay_awake=may_stay_awake)

    def _ready(self, timeout_s: float | None) -> list[str]:
        if timeout_s is None:
            self.sleeps += 1
            self.now = max(self.now, self.comes_at[0][0])
        else:
            self.looks += 1
            self.now += self.look_s + timeout_s
        return [who for at, who in self.comes_at if at <= self.now]

    def is_answered(self, after_s: float, *, sends: bool = True, others: list[tuple[float, str]] | None = None) -> str:
        """How the client is waited for that answers so late: "awake", "asleep", or both."""
        if sends:
            self.waiting.sent()
        self.comes_at = sorted([(self.now + after_s, "client"), *(others or [])])
        self.looks = self.sleeps = 0
        while "client" not in (ready := self.waiting.wait(None)):
            self.comes_at = [one for one in self.comes_at if one[1] not in ready]
        self.waiting.received()
        return " and ".join(["awake"] * (self.looks > 0) + ["asleep"] * (self.sleeps > 0))


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
    host.is_answered(3600)
    assert host.sleeps == 1
    assert host.looks * LOOK_S <= AWAKE_S + LOOK_S
    assert host.now - began == pytest.approx(3600)


def test_an_answer_ends_the_waiting_at_the_next_look() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    began = host.now
    host.is_answered(PROMPT_S)
    assert host.now - began <= PROMPT_S + LOOK_S


def test_who_comes_meanwhile_is_heard_and_the_client_waited_for_on() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    began = host.now
    assert host.is_answered(PROMPT_S, others=[(host.now + PROMPT_S / 2, "second")]) == "awake"
    assert host.now - began <= PROMPT_S + 2 * LOOK_S


def test_where_nothing_was_sent_or_the_machine_runs_nobody_is_waited_for_awake() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    host.now += SLOW_S  # the machine runs: nothing is sent, and what has come is asked for
    assert host.waiting.wait(0) == ["client"]
    assert host.looks == 1
    assert host.is_answered(PROMPT_S, sends=False) == "asleep"


def test_a_look_is_one_look_however_prompt_the_client_is() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    host.waiting.sent()
    host.comes_at, host.looks = [(host.now + PROMPT_S, "client")], 0
    assert (host.waiting.wait(0), host.looks) == ([], 1)


def test_where_somebody_else_had_our_processor_everybody_is_waited_for_asleep_for_a_while() -> None:
    host = Host()
    host.is_answered(PROMPT_S)
    host.look_s = 1.5 * LOST_S
    assert host.is_answered(2 * LOST_S) == "awake and asleep"
    assert host.looks == 1
    host.look_s = LOOK_S
    since = host.now
    ways = [host.is_answered(PROMPT_S) for _ in range(2 * round(BUSY_S / PROMPT_S))]
    asleep = ways.index("awake")
    assert set(ways[:asleep]) == {"asleep"}
    assert set(ways[asleep:]) == {"awake"}
    assert asleep * PROMPT_S == pytest.approx(BUSY_S, abs=2 * PROMPT_S)
    assert host.now - since > BUSY_S


def test_with_one_processor_everybody_is_waited_for_asleep() -> None:
    host = Host(may_stay_awake=False)
    assert {host.is_answered(PROMPT_S) for _ in range(5)} == {"asleep"}


def test_the_processors_that_may_be_used_are_counted_whatever_the_host_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert processors() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert processors() == 1
