"""`hillemu inspect`: a machine run to a moment, and views of what is there.

Words are checked before the machine is switched on, symbols before it runs.  What a view finds wrong with its own
question at the moment itself (a register that leads nowhere) is told, and the other views are shown all the same.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from hillemu.commands.boot import (
    blaming,
    check_input,
    power_on,
    prepare_input,
    read_serial_input,
    say,
    stopping_on_signals,
)
from hillemu.commands.exit_status import CLEAN, INSTRUCTION_LIMIT, USER_MISTAKE
from hillemu.emu.errors import OptionError, UserMistake
from hillemu.inspection.views.moments import Moment, NotReached, parse_moment, visit
from hillemu.inspection.views.request import REAL_TLB, VIEWS, Request, is_view, parse_requests
from hillemu.inspection.views.scene import Scene
from hillemu.inspection.views.shown import Shown
from hillemu.inspection.views.struct_view import learn_types
from hillemu.terminal.serial_output import open_serial_output, reason_of

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine
    from hillemu.emu.stop import Stop
    from hillemu.inspection.spaces import Capture
    from hillemu.machine import Machine

FOUND_ERRORS = 1
PATIENCE_S = 5.0
"""How long a run takes before we speak."""
SCHEMA = 1
"""Of the JSON document; it grows when something in it changes its meaning or goes away."""


def inspect(options: CommandLine) -> int:
    """Run, look and show, as `options` say; return the exit status.  Raises `UserMistake`."""
    requests = _requests(options)
    check_input(options)
    if options.serial == "stdio":
        raise OptionError("--serial", "standard output is for the views; name a FILE")
    serial_input = read_serial_input(options.serial_input)
    serial = open_serial_output(options.serial)
    _check_page(options.html)

    machine = power_on(options)
    try:
        learn_types(machine, options.types)
        prepare_input(machine, options, serial_input)
        if serial is not None:
            machine.serial.on_byte(serial.put)
        looker = _Looker(machine, requests, options.at, has_page=options.html is not None)
        with stopping_on_signals(machine.stop), blaming(options.kernel_module), _telling_of_a_long_run(looker, options):
            visit(machine, looker.moments, looker.arrive, until=options.until, max_insns=options.max_insns)
        results = looker.results()
    except NotReached as missed:
        say(str(missed))
        return INSTRUCTION_LIMIT
    finally:
        machine.close()
        if serial is not None:
            serial.close()

    assert looker.place is not None
    if not options.quiet:
        say(looker.place.told)
    _show(results, looker, options)
    for result in results:
        if result.fault:
            say(f"{result.request.title}: {result.fault}")
    if any(result.fault for result in results):
        return USER_MISTAKE
    return FOUND_ERRORS if any(result.shown and result.shown.has_errors for result in results) else CLEAN


class Place(NamedTuple):
    """Where the run stood when it was looked at; `stop` is `None` unless the run had ended."""

    at: str
    instructions: int
    eip: int
    described: str
    stop: Stop | None

    @property
    def told(self) -> str:
        """The place in one line."""
        why = f"; {self.stop.reason}: {self.stop.detail}" if self.stop else ""
        return f"--at {self.at}: {self.instructions:,} instructions, at {self.described}{why}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        stop = None
        if self.stop is not None:
            stop = {
                "reason": str(self.stop.reason),
                "detail": self.stop.detail,
                "exit_code": self.stop.exit_code,
            }
        return {"at": self.at, "instructions": self.instructions, "eip": self.eip, "stop": stop}


class Result(NamedTuple):
    """A request and what came out: something to show, or why there is nothing."""

    request: Request
    shown: Shown | None
    fault: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        words = self.request.words
        found = {"error": self.fault} if self.shown is None else {"data": self.shown.data}
        return {"view": words[0].partition("/")[0], "words": list(words), **found}


class _Looker:
    """Arrives at moments: looks at the one of ``--at``, and keeps the address spaces of those that diffs name."""

    def __init__(self, machine: Machine, requests: Sequence[Request], at: str, *, has_page: bool) -> None:
        self.place: Place | None = None
        self.page_parts: Any = None
        self._machine = machine
        self._requests = requests
        self._has_page = has_page
        self._captures: dict[str, Capture] = {}
        self._shown: dict[int, Result] = {}
        for request in requests:
            request.view.check(machine)
        self._scene = Scene(machine, self._captures)
        self._at = parse_moment(at, machine.symbols)
        self._for_diffs = {
            word: parse_moment(word, machine.symbols) for request in requests for word in request.view.moments
        }

    @property
    def moments(self) -> list[Moment]:
        """Where to go.  The end is last: the machine may look there only when all else is over."""
        diffs_only = all(request.view.moments for request in self._requests) and self._for_diffs and not self._has_page
        wanted = [*self._for_diffs.values(), *([] if diffs_only else [self._at])]
        return list(dict.fromkeys(wanted))

    @property
    def waits_for_the_end(self) -> bool:
        return any(moment.is_end for moment in self.moments)

    def arrive(self, moment: Moment, stop: Stop | None) -> None:
        """The machine stands at `moment`."""
        for word, wanted in self._for_diffs.items():
            if wanted == moment:
                self._captures[word] = self._machine.paging.capture()
        if moment == self._at or self.place is None:
            cpu = self._machine.cpu
            described = self._machine.symbols.describe(cpu.linear_eip)
            self.place = Place(moment.text, cpu.instructions, cpu.linear_eip, described, stop)
        if moment == self._at:
            for number, request in enumerate(self._requests):
                if not request.view.moments:
                    self._shown[number] = _look(request, self._scene)
            if self._has_page:
                from hillemu.inspection.views.page import collect

                self.page_parts = collect(self._scene)

    def results(self) -> list[Result]:
        """What was seen, in the order of the requests."""
        for number, request in enumerate(self._requests):
            if request.view.moments:
                self._shown[number] = _look(request, self._scene)
        return [self._shown[number] for number in range(len(self._requests))]


def _look(request: Request, scene: Scene) -> Result:
    try:
        return Result(request, request.view.show(scene))
    except UserMistake as mistake:
        return Result(request, None, str(mistake))


def _requests(options: CommandLine) -> list[Request]:
    """Take the image from the words, and read the rest."""
    words = list(options.words)
    if words and not is_view(words[0]) and (os.path.exists(words[0]) or not _resembles_view(words)):
        options.image = words.pop(0)
    if options.real:
        if "tlb" not in words:
            raise OptionError("--real", "is for the view tlb")
        words = [REAL_TLB if word == "tlb" else word for word in words]
    requests = parse_requests(words)
    if not requests and options.html is None:
        raise UserMistake(f"nothing to show; say what, as in 'regions', or --html FILE; there are {', '.join(VIEWS)}")
    return requests


def _resembles_view(words: Sequence[str]) -> bool:
    """Whether a first word that is no file is rather a view with a slip than a missing image."""
    import difflib

    return "/" not in words[0] and "." not in words[0] and bool(difflib.get_close_matches(words[0], VIEWS, n=1))


@contextmanager
def _telling_of_a_long_run(looker: _Looker, options: CommandLine) -> Iterator[None]:
    """Many a guest never ends: after a while, say what is waited for, and what Ctrl-C does."""
    if looker.waits_for_the_end:
        text = "still running, to the end of the run; Ctrl-C ends it and shows the views (--at says when else to look)"
    else:
        text = "still running; the moment of --at has not come; Ctrl-C ends the run"
    timer = threading.Timer(PATIENCE_S, say, [text])
    timer.daemon = True
    if not options.quiet:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _check_page(name: str | None) -> None:
    """Refuse a file that cannot be written before the run; what it holds now stays until there is a new page."""
    if name is None:
        return
    try:
        with open(name, "a", encoding="utf-8"):
            pass
    except (OSError, ValueError) as error:
        raise UserMistake(f"{name}: cannot write the --html file: {reason_of(error)}") from None


def _show(results: Sequence[Result], looker: _Looker, options: CommandLine) -> None:
    assert looker.place is not None
    shown = [(result.request.title, result.shown) for result in results if result.shown is not None]
    try:
        if options.as_json:
            _print_json(results, looker.place, options)
        elif shown:
            from hillemu.inspection.views.terminal import show

            show(shown, sys.stdout)
    except BrokenPipeError:
        # The reader had enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if options.html is not None:
        from hillemu.inspection.views.page import write_page

        try:
            with open(options.html, "w", encoding="utf-8") as page_file:
                write_page(page_file, looker.page_parts, shown, image=_image_name(options), place=looker.place.told)
        except OSError as error:
            raise UserMistake(f"{options.html}: cannot write the --html file: {reason_of(error)}") from None


def _image_name(options: CommandLine) -> str:
    drives = chain(options.floppy, options.disk, options.cdrom)
    return options.image or next(iter(drives), None) or options.bios or "the built-in kernel"


def _print_json(results: Sequence[Result], place: Place, options: CommandLine) -> None:
    import json

    document = {
        "schema": SCHEMA,
        "image": _image_name(options),
        **place.as_dict(),
        "views": [result.as_dict() for result in results],
    }
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")
    sys.stdout.flush()
