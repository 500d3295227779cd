"""The tests of a course's grade script: declared by decorators, run in order, worth points."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from hillemu.grading.course_text import PALETTE

SHOWN_FROM_S = 0.1
"""A test that takes longer has its time shown."""

Part = Callable[[], object]


class CourseTest:
    """One test: calling it runs it, with its parent first, at most once; the result is whether it passed."""

    def __init__(
        self, book: Gradebook, body: Callable[[], object], points: float, title: str, parent: CourseTest | None
    ) -> None:
        self._book = book
        self._body = body
        self._parent = parent
        self.points = points
        self.title = title
        self.__name__ = body.__name__
        self.complete = False
        self.ok = False
        self.on_finish: list[Callable[[str | None], object]] = []
        """Called when the test has ended with why it failed, or `None`."""

    def __call__(self) -> bool:
        if not self.complete:
            self.complete = True
            parent_ok = self._parent is None or self._parent()
            self._run(parent_ok)
        return self.ok

    def _run(self, parent_ok: bool) -> None:
        print(f"{self.title}: ", end="", flush=True)
        started = time.monotonic()
        self._book.current = self
        fault: str | None = None
        try:
            if not parent_ok and self._parent is not None:
                raise AssertionError(f"the test that this one builds on failed: {self._parent.title.strip()}")
            self._body()
        except AssertionError as error:
            fault = str(error) or "an assertion of the grade script failed"
        self.ok = fault is None
        self._tell(fault, time.monotonic() - started)
        self._book.count(self)
        for callback in self.on_finish:
            callback(fault)
        self._book.current = None

    def _tell(self, fault: str | None, seconds: float) -> None:
        words = []
        if self.points:
            words.append(PALETTE.color("green", "OK") if fault is None else PALETTE.color("red", "FAIL"))
        if seconds > SHOWN_FROM_S:
            words.append(f"({seconds:.1f}s)")
        print(" ".join(words))
        if fault is not None:
            print("    " + fault.replace("\n", "\n    "))


class Gradebook:
    """All tests of a script, and the score so far."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, Part]] = []
        """(title, what to run) in order of declaration; the ends of parts have no title."""
        self.current: CourseTest | None = None
        self.total: float = 0
        self.possible: float = 0
        self.grades: dict[str, float] = {}
        """Points by the title of the test, of those that are worth any."""
        self._part_began = (0.0, 0.0)

    def test(
        self, points: float, title: str | None = None, parent: CourseTest | None = None
    ) -> Callable[[Callable[[], object]], CourseTest]:
        """Declare the decorated function as a test that is worth `points`.

        Without `title`, it is made of the function's name, which begins with ``test_``.  `parent` runs before, and
        when it fails, so does this.
        """

        def declare(body: Callable[[], object]) -> CourseTest:
            if not title and not body.__name__.startswith("test_"):
                raise AssertionError(f"{body.__name__}: a test needs a title, or a name that begins with test_")
            shown = title or body.__name__.removeprefix("test_").replace("_", " ")
            made = CourseTest(self, body, points, f"  {shown}" if parent else shown, parent)
            self.parts.append((made.title, made))
            return made

        return declare

    def end_part(self, name: str) -> None:
        """After the tests declared so far, tell the score of this part of the assignment."""

        def tell() -> None:
            total, possible = self._part_began
            print(f"Part {name} score: {self.total - total:g}/{self.possible - possible:g}\n")
            self._part_began = self.total, self.possible

        self.parts.append(("", tell))

    def get_current_test(self) -> CourseTest:
        """The test that is running; `RuntimeError` if none is."""
        if self.current is None:
            raise RuntimeError("No test is running")
        return self.current

    def count(self, test: CourseTest) -> None:
        """Add the points of `test`, which has ended."""
        self.possible += test.points
        self.total += test.points if test.ok else 0
        if test.points:
            self.grades[test.title] = test.points if test.ok else 0

    def run(self, only: Sequence[str]) -> None:
        """Run the tests whose titles contain one of `only`, or all if it is empty, and tell the score of all."""
        wanted = [word.lower() for word in only]
        for title, part in self.parts:
            if not wanted or any(word in title.lower() for word in wanted):
                part()
                sys.stdout.flush()
        if not wanted:
            print(f"Score: {self.total:g}/{self.possible:g}")
