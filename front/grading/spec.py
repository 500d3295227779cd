"""A specification: what a kernel must do, and what that is worth.  ``docs/grading.md`` describes the file.

::

    title = "Lab 2"                 text                            [[check]]
    [boot]                          for all checks                  name = "..."      points = 10
    mem = "64M"   append = "..."    `Boot`                          boot = "shell"    or options of [boot]
    [boots.shell]                   more, by name                   serial = [...]    facts: `Claim`
    until = "\\\\$ "                                                  hint = "..."
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from hillemu.booting import EXTRA_DEVICES
from hillemu.commands.options import CPU_MODELS, IMAGE_FORMATS
from hillemu.emu.devices.input.keys import keys_from_text
from hillemu.emu.stop import StopReason
from hillemu.grading.claims import Claim, Place
from hillemu.grading.claims_paging import Clean, Mapping_, Maps, NotPresent, check_rule, parse_extent
from hillemu.grading.claims_run import Ends, NeverReaches, Reaches, Value, Values, Within
from hillemu.grading.claims_structs import Member, Members, check_types
from hillemu.grading.claims_text import Absent, OnScreen, SerialInOrder
from hillemu.grading.spec_reading import Table, open_table
from hillemu.similar_names import alike_or_all
from hillemu.sizes import parse_ram_size

DEFAULT_BUDGET = 500_000_000
"""Instructions of a run."""
DEFAULT_TIMEOUT_S = 60.0
"""Virtual seconds of a run: a kernel that sleeps executes few instructions."""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True)
class Boot:
    """One way to boot the kernel.  Checks with equal ones share the run."""

    mem: str = "64M"
    cpu: str = "max"
    format: str = "auto"
    append: str = ""
    modules: tuple[tuple[str, str], ...] = ()
    disks: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    until: re.Pattern[str] | None = None
    """The run ends when the serial port has sent this, or the screen shows it."""
    budget: int = DEFAULT_BUDGET
    timeout_s: float = DEFAULT_TIMEOUT_S


@dataclass(frozen=True)
class Check:
    """Claims that are worth `points` together."""

    name: str
    points: float
    boot: Boot
    claims: tuple[Claim, ...]
    at: Place | None = None
    """Where the kernel is when page tables, values and the screen are looked at; at the end of the run, if nowhere."""
    send: str = ""
    """What the serial port receives when the boot has ended with `Boot.until`; `keys` for the keyboard."""
    keys: str = ""
    reply: re.Pattern[str] | None = None
    """The run that goes on with that input ends when the serial port or the screen has this."""
    partial: bool = False
    """Whether some of the facts are worth some of the points."""
    group: str = ""
    hint: str = ""
    hidden: bool = False
    """Whether the facts are secret."""
    requires: tuple[str, ...] = ()

    @property
    def has_input(self) -> bool:
        return bool(self.send or self.keys)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The symbols that must be reached in order."""
        return tuple(name for claim in self.claims if isinstance(claim, Reaches) for name in claim.names)

    @property
    def forbidden(self) -> tuple[str, ...]:
        """The symbols that must not be reached."""
        return tuple(name for claim in self.claims if isinstance(claim, NeverReaches) for name in claim.names)


@dataclass(frozen=True)
class Spec:
    """All checks, in the order of the file."""

    path: str
    title: str
    checks: tuple[Check, ...] = field(default=())


def load_spec(path: str, kernel: str = "") -> Spec:
    """Read the specification in the file `path`, for the image `kernel`.

    Raises `ImageError` for a file that cannot be read, `SpecMistake` with the line for anything wrong in it.
    """
    top = open_table(path)
    title = top.text("title", Path(path).stem)
    types = top.converted("structs", top.text("structs"), check_types)
    places = {"spec": str(Path(path).parent), "kernel": str(Path(kernel).parent)}
    usual = top.table("boot")
    first = _boot(usual, Boot(), places)
    usual.end()
    boots: dict[str, Boot] = {}
    for name, table in top.named_tables("boots").items():
        table.call(f"boot {name!r}")
        boots[name] = _boot(table, first, places)
        table.end()
    checks: dict[str, Check] = {}
    for table in top.tables("check"):
        check = _check(table, first, boots, checks, places, types)
        checks[check.name] = check
    top.end()
    if not checks:
        top.fault("there is no [[check]]: nothing would be graded")
    return Spec(path, title, tuple(checks.values()))


def _boot(table: Table, usual: Boot, places: dict[str, str]) -> Boot:
    """The boot that `table` describes, by what differs from `usual`."""
    boot = replace(
        usual,
        mem=table.text("mem", usual.mem),
        cpu=_one_of(table, "cpu", usual.cpu, CPU_MODELS),
        format=_one_of(table, "format", usual.format, IMAGE_FORMATS),
        append=table.text("append", usual.append),
        until=_pattern(table, "until", usual.until),
        budget=_count(table, "budget", usual.budget),
        timeout_s=_seconds(table, "timeout", usual.timeout_s),
    )
    table.converted("mem", boot.mem, parse_ram_size)
    modules, disks, devices = (table.texts(key) for key in ("modules", "disks", "devices"))
    if table.has("modules"):
        parts = (text.partition(":") for text in modules)
        boot = replace(boot, modules=tuple((_file(table, "modules", name, places), words) for name, _, words in parts))
    if table.has("disks"):
        boot = replace(boot, disks=tuple(_file(table, "disks", name, places) for name in disks))
    if table.has("devices"):
        for name in devices:
            if name not in EXTRA_DEVICES:
                table.fault(f"devices: there is no {name!r}{alike_or_all(name, EXTRA_DEVICES)}", "devices")
        boot = replace(boot, devices=devices)
    return boot


def _check(
    table: Table, usual: Boot, boots: dict[str, Boot], before: dict[str, Check], places: dict[str, str], types: str
) -> Check:
    name = table.text("name")
    if name in before:
        table.fault(f"there are two checks with the name {name!r}", "name")
    table.call(f"check {name!r}" if name else "a check")
    boot_name = table.text("boot")
    if boot_name and boot_name not in boots:
        table.fault(f"boot: there is no [boots.{boot_name}]{alike_or_all(boot_name, boots)}", "boot")
    requires = table.texts("requires")
    for other in requires:
        if other not in before:
            hint = alike_or_all(other, before)
            table.fault(f"requires: there is no check {other!r} before this one{hint}", "requires")
    at = table.text("at")
    check = Check(
        name,
        _points(table),
        _boot(table, boots.get(boot_name, usual), places),
        _claims(table, types),
        at=table.converted("at", at, Place.parse) if at not in ("", "end") else None,
        send=table.text("send"),
        keys=table.text("keys"),
        reply=_pattern(table, "reply", None),
        partial=table.take("partial", bool, False),
        group=table.text("group"),
        hint=table.text("hint"),
        hidden=table.take("hidden", bool, False),
        requires=requires,
    )
    table.end()  # before what is missing is told: it may be there, under a name with a slip
    if not name:
        table.fault("it needs a name")
    if not table.has("points"):
        table.fault("it needs points")
    table.converted("keys", check.keys, keys_from_text)
    if not check.claims:
        table.fault("it claims nothing: give it serial, maps, reaches or another fact")
    if check.at is not None and all(claim.of_the_run for claim in check.claims):
        table.fault(
            "at: nothing that it claims is looked at there; maps, values, screen, lint or within would be", "at"
        )
    if check.has_input and check.at is not None:
        table.fault("at: a check that sends input is judged at the end of the reply", "at")
    if check.reply is not None and not check.has_input:
        table.fault("reply: there is neither send nor keys to reply to; until ends a boot", "reply")
    return check


def _claims(table: Table, types: str) -> tuple[Claim, ...]:
    claims: list[Claim] = []
    if patterns := table.patterns("serial"):
        claims.append(SerialInOrder(patterns))
    if patterns := table.patterns("absent"):
        claims.append(Absent(patterns))
    if patterns := table.patterns("screen"):
        claims.append(OnScreen(patterns))
    if maps := tuple(table.converted("maps", text, Mapping_.parse) for text in table.texts("maps")):
        claims.append(Maps(maps))
    if extents := tuple(table.converted("not_present", text, parse_extent) for text in table.texts("not_present")):
        claims.append(NotPresent(extents))
    if table.has("lint"):
        claims.append(_clean(table))
    if names := table.texts("reaches"):
        claims.append(Reaches(names))
    if names := table.texts("never_reaches"):
        claims.append(NeverReaches(names))
    texts = table.texts("values")
    of_structs = [text for text in texts if Member.is_meant(text)]
    if values := tuple(table.converted("values", text, Value.parse) for text in texts if text not in of_structs):
        claims.append(Values(values))
    if members := tuple(table.converted("values", text, Member.parse) for text in of_structs):
        claims.append(Members(members, types))
    reasons = table.texts("stop")
    for reason in reasons:
        _known(table, "stop", reason, [one.value for one in StopReason])
    exit_code = table.take("exit_code", int, 0) if table.has("exit_code") else None
    table.take("exit_code", int, 0)
    if reasons or exit_code is not None:
        claims.append(Ends(reasons, exit_code))
    if table.has("within"):
        claims.append(Within(_count(table, "within", 0)))
    table.anything("lint")
    table.anything("within")
    return tuple(claims)


def _clean(table: Table) -> Clean:
    value = table.anything("lint")
    if value is True:
        return Clean((), "warning")
    if isinstance(value, str) and value in _SEVERITIES:
        return Clean((), value)
    if value is False:
        table.fault("lint: false claims nothing; leave it out", "lint")
    rules = table.texts("lint")
    return Clean(tuple(table.converted("lint", rule, check_rule) for rule in rules), "info")


def _points(table: Table) -> float:
    points = table.anything("points", 0)
    if isinstance(points, bool) or not isinstance(points, int | float) or not 0 <= points <= 1e6:
        table.fault(f"points is {points!r}; it must be a number from 0 up", "points")
    return points


def _pattern(table: Table, key: str, usual: re.Pattern[str] | None) -> re.Pattern[str] | None:
    text = table.text(key)
    return table.converted(key, text, partial(re.compile, flags=re.MULTILINE)) if table.has(key) else usual


def _count(table: Table, key: str, usual: int) -> int:
    """A number of instructions: 5_000_000 or "5M"."""
    value = table.anything(key, usual)
    match = re.fullmatch(r"(\d{1,18})([KMG]?)", str(value).replace("_", ""), re.ASCII | re.IGNORECASE)
    count = int(match[1]) * _UNITS[match[2].upper()] if match and not isinstance(value, bool) else 0
    if not 0 < count < 1 << 62:
        table.fault(f'{key} is {value!r}; it must be a number of instructions, like 5_000_000 or "5M"', key)
    return count


def _seconds(table: Table, key: str, usual: float) -> float:
    """A time: 30 or "30s"."""
    value = table.anything(key, usual)
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,9})?)\s*s?", str(value), re.ASCII)
    seconds = float(match[1]) if match and not isinstance(value, bool) else 0.0
    if seconds <= 0:
        table.fault(f"{key} is {value!r}; it must be a number of virtual seconds, like 30", key)
    return seconds


def _one_of(table: Table, key: str, usual: str, names: tuple[str, ...]) -> str:
    value = table.text(key, usual)
    _known(table, key, value, names)
    return value


def _known(table: Table, key: str, value: str, names: tuple[str, ...] | list[str]) -> None:
    if value not in names:
        table.fault(f"{key}: there is no {value!r}{alike_or_all(value, names)}", key)


def _file(table: Table, key: str, name: str, places: dict[str, str]) -> str:
    """A file name: relative to the specification, or to the kernel where it begins with ``{kernel}``."""
    if not name:
        table.fault(f"{key}: there is a file without a name", key)
    for word, folder in places.items():
        if name.startswith("{" + word + "}"):
            return folder + name.removeprefix("{" + word + "}")
    return str(Path(places["spec"]) / name)
