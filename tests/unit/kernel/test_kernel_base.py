"""What the kernels of all profiles have in common, on a kernel that has nothing else."""

from __future__ import annotations

import pytest

from hillemu.boot.handoff import Handoff
from hillemu.emu.errors import UserMistake
from hillemu.emu.guest import FakeGuest, Guest
from hillemu.emu.i386.address import PhysAddr
from hillemu.kernel.console import DATA, LINE_STATUS
from hillemu.kernel.kernel_base import KernelBase
from hillemu.kernel.options import KernelOptions
from hillemu.kernel.power import DEBUG_EXIT, FAILED, PM1_CONTROL, SLEEP_ENABLE


class SmallKernel(KernelBase):
    """Has pages from its start on, and says what it is told to say."""

    BEGINS = "pages_init"
    pages: int

    def __init__(self, *, check: bool = False, found: tuple[str, ...] = ()) -> None:
        self.fake = FakeGuest(1 << 20)
        self.fake.port_values[LINE_STATUS] = 0xFF
        handoff = Handoff(PhysAddr(0x10000), PhysAddr(0x20000), {})
        super().__init__(self.fake, handoff, KernelOptions(check=check))
        self.found = found

    def trap(self, guest: Guest, value: int) -> None:
        self.has_started = True
        self.pages = value

    def check(self) -> list[str]:
        self.require_started()
        return list(self.found)

    @property
    def text(self) -> str:
        """What came out of the serial port."""
        return bytes(value for port, value, _ in self.fake.port_writes if port == DATA).decode()

    @property
    def last_write(self) -> tuple[int, int]:
        port, value, _ = self.fake.port_writes[-1]
        return port, value


def test_what_is_there_from_the_start_on_is_missed_in_words_before_it() -> None:
    kernel = SmallKernel()
    with pytest.raises(AttributeError, match="has no pages yet: let the machine run until pages_init is through"):
        kernel.pages  # noqa: B018 - asking is the test
    with pytest.raises(UserMistake, match="nothing to check yet: let the machine run until pages_init is through"):
        kernel.check()
    kernel.trap(kernel.fake, 7)
    assert (kernel.pages, kernel.check()) == (7, [])


def test_what_never_exists_is_missed_as_python_does() -> None:
    with pytest.raises(AttributeError, match="'SmallKernel' object has no attribute 'pagse'"):
        SmallKernel().pagse  # type: ignore[attr-defined]  # noqa: B018 - asking is the test


@pytest.mark.parametrize(
    ("check", "found", "text", "end"),
    [
        (False, ("bad",), "kernel: power off", (PM1_CONTROL, SLEEP_ENABLE)),
        (True, (), "check: pages: all is well|kernel: power off", (PM1_CONTROL, SLEEP_ENABLE)),
        (True, ("bad", "worse"), "check: bad|check: worse|check: pages: 2 contradictions", (DEBUG_EXIT, FAILED)),
    ],
    ids=["unchecked", "well", "broken"],
)
def test_the_machine_is_switched_off_unless_a_check_that_was_asked_for_finds_something(
    check: bool, found: tuple[str, ...], text: str, end: tuple[int, int]
) -> None:
    kernel = SmallKernel(check=check, found=found)
    kernel.trap(kernel.fake, 1)
    kernel.switch_off("pages")
    assert kernel.text.split() == text.replace("|", " ").split()
    assert kernel.last_write == end
    assert kernel.reports == [f"check: {sentence}" for sentence in found if check]


def test_a_panic_is_reported_and_fails_the_run() -> None:
    kernel = SmallKernel()
    kernel.panic("no memory")
    assert kernel.reports == ["kernel panic: no memory"]
    assert kernel.text.strip() == "kernel panic: no memory"
    assert kernel.last_write == (DEBUG_EXIT, FAILED)
