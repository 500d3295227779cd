"""What a test asks for: layers of words (command line, markers, parameters, calls), and the guest they amount to.

>>> layers = [{"kernel": "kernel.elf", "mem": "64M"}, {"mem": "512M"}]
>>> merged(layers)["mem"]
'512M'

A word that nobody knows is a mistake, told with the nearest one:

>>> merged([{"kernal": "kernel.elf"}])
Traceback (most recent call last):
...
hillemu.emu.errors.OptionError: hillemu: there is no 'kernal'; did you mean 'kernel'?
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from hillemu.emu.errors import OptionError
from hillemu.similar_names import alike_or_all, did_you_mean
from hillemu.testing.budget import Budget

WORDS = (
    "kernel", "kernel_module", "mem", "cpu", "timing", "append", "modules", "initrds", "disks", "devices", "format",
    "until", "at", "budget",
)  # fmt: skip
"""What a marker, a parameter and a call of `hillemu_boot` may say."""
VARIED = ("kernel", "kernel_module", "mem", "cpu", "timing", "append")
"""Words for which a marker may give a list: the test runs once with each."""
BUILT_IN = "built-in"
"""Names the kernel that comes with hillemu, where another would be a file; a file of that name is ``./built-in``."""


class GuestFile(NamedTuple):
    """A file that the guest gets: where it is, the name the guest is told, and which version it is."""

    path: Path
    name: str
    version: tuple[int, int, int]
    """A kernel that was built anew between two tests is another one."""


class BootRequest(NamedTuple):
    """A guest at a point of its run; equal requests give equal machines."""

    kernel: GuestFile | None
    """`None` is a built-in one."""
    profile: str | None = None
    """Which built-in one, if it is named."""
    kernel_module: GuestFile | None = None
    """Parts of the user's own for the built-in kernel."""
    mem: str | int = "64M"
    cpu: str = "max"
    timing: str = "insn"
    append: str = ""
    modules: tuple[tuple[GuestFile, str], ...] = ()
    initrds: tuple[GuestFile, ...] = ()
    disks: tuple[GuestFile, ...] = ()
    devices: tuple[str, ...] = ()
    format: str = "auto"
    until: str | re.Pattern[str] | None = None
    at: str | int | None = None
    budget: Budget = Budget()


class Folders(NamedTuple):
    """Where relative file names start."""

    tried: tuple[Path, ...]
    """In this order."""
    root: Path
    """Names that guests are told start here."""

    def file(self, given: str | os.PathLike[str], word: str) -> GuestFile:
        """The file that `given` names; raises `OptionError`, naming `word`, if it is not there."""
        candidates = [folder / given for folder in self.tried]
        for path in candidates:
            try:
                found = path.stat()
            except (OSError, ValueError):
                continue
            name = os.path.relpath(path, self.root)
            told = path.name if name.startswith("..") else name
            return GuestFile(path, told, (found.st_ino, found.st_size, found.st_mtime_ns))
        if os.path.isabs(given):
            raise OptionError(word, f"{os.fspath(given)}: no such file")
        looked = " and ".join(dict.fromkeys(str(path.parent) for path in candidates))
        hint = did_you_mean(os.fspath(given), built_in_names()) if word == "kernel" else ""
        raise OptionError(word, f"{os.fspath(given)}: no such file (looked in {looked}){hint}")


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Lay `layers` over each other, the last on top; raises `OptionError` for an unknown word."""
    result: dict[str, Any] = {}
    for layer in layers:
        for word, value in layer.items():
            if word not in WORDS:
                raise OptionError("hillemu", f"there is no {word!r}{alike_or_all(word, WORDS)}")
            # They are two ways to say the same thing.
            result.pop({"until": "at", "at": "until"}.get(word, ""), None)
            result[word] = value
    return result


def make_request(words: Mapping[str, Any], folders: Folders, default_budget: Budget) -> BootRequest:
    """What `words` ask for; raises `OptionError` for what makes no sense and for a file that is missing."""
    if words.get("kernel") is None:
        raise OptionError(
            "kernel",
            "which one? Say @pytest.mark.hillemu(kernel=FILE), --hillemu-kernel FILE or hillemu_kernel = FILE "
            f"in pytest's configuration, or define a fixture hillemu_kernel; {BUILT_IN!r} is hillemu's own",
        )
    is_built_in = is_built_in_name(words["kernel"])
    profile = words["kernel"] if is_built_in and words["kernel"] != BUILT_IN else None
    _refuse_what_is_not_read(words, is_built_in)
    plain = {word: words[word] for word in ("mem", "cpu", "timing", "append", "format", "until", "at") if word in words}
    for word in ("cpu", "timing", "append", "format"):
        if word in plain and not isinstance(plain[word], str):
            raise OptionError(word, f"{plain[word]!r} is no text")
    if isinstance(plain.get("mem", ""), bool) or not isinstance(plain.get("mem", ""), str | int):
        raise OptionError("mem", f"{plain['mem']!r} is not a size; write it like 512M, 4G or 65536K")
    return BootRequest(
        kernel=None if is_built_in else _file(words["kernel"], folders, "kernel"),
        profile=profile,
        kernel_module=_file(module, folders, "kernel_module") if (module := words.get("kernel_module")) else None,
        modules=tuple(_module(one, folders) for one in _sequence(words, "modules")),
        initrds=tuple(_file(one, folders, "initrds") for one in _sequence(words, "initrds")),
        disks=tuple(_file(one, folders, "disks") for one in _sequence(words, "disks")),
        devices=tuple(map(str, _sequence(words, "devices"))),
        budget=default_budget if words.get("budget") is None else Budget.parse(words["budget"], default_budget),
        **plain,
    )


def built_in_names() -> tuple[str, ...]:
    """`BUILT_IN` and all profiles."""
    from hillemu.kernel.profiles.registry import MODULES

    return BUILT_IN, *MODULES


def is_built_in_name(kernel: Any) -> bool:
    """Whether the word `kernel` means a kernel that comes with hillemu.

    >>> is_built_in_name("bitmap"), is_built_in_name("./bitmap")
    (True, False)
    """
    return isinstance(kernel, str) and kernel in built_in_names()


def variants(words: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the values that `words` gives as lists.

    >>> variants({"mem": ["64M", "512M"], "cpu": "486"})
    [{'mem': '64M'}, {'mem': '512M'}]
    """
    varied = [word for word in VARIED if isinstance(words.get(word), list | tuple)]
    return [dict(zip(varied, values, strict=True)) for values in product(*(words[word] for word in varied))]


def variant_name(variant: Mapping[str, Any]) -> str:
    """How a test's name says which variant it is.

    >>> variant_name({"kernel": "build/kernel.elf", "mem": 1 << 26})
    'kernel.elf-64M'
    >>> variant_name({"kernel": 3})  # a mistake, which the test's own set-up tells
    '3'
    """
    return "-".join(_value_name(word, value) for word, value in variant.items())


def _value_name(word: str, value: Any) -> str:
    if word in ("kernel", "kernel_module") and isinstance(value, str | os.PathLike):
        return Path(value).name
    if word == "mem" and isinstance(value, int):
        from hillemu.sizes import format_size

        return format_size(value)
    return str(value) or "none"


def _refuse_what_is_not_read(words: Mapping[str, Any], is_built_in: bool) -> None:
    """Raise `OptionError` for words that mean nothing to the kernel, as the command line does."""
    if not is_built_in and words.get("kernel_module"):
        raise OptionError("kernel_module", f"is for the built-in kernel; say kernel={BUILT_IN!r} with it")
    for word in ("initrds", "disks", "format"):
        if is_built_in and words.get(word) and words[word] != "auto":
            raise OptionError(word, "the built-in kernel does not read it")


def _file(given: Any, folders: Folders, word: str) -> GuestFile:
    if not isinstance(given, str | os.PathLike):
        raise OptionError(word, f"{given!r} is no file name")
    return folders.file(given, word)


def _module(given: Any, folders: Folders) -> tuple[GuestFile, str]:
    if isinstance(given, str | os.PathLike):
        return _file(given, folders, "modules"), ""
    if isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[1], str):
        return _file(given[0], folders, "modules"), given[1]
    raise OptionError("modules", f"{given!r} is neither a file nor (file, arguments)")


def _sequence(words: Mapping[str, Any], word: str) -> Sequence[Any]:
    value = words.get(word, ())
    if isinstance(value, str | os.PathLike) or not isinstance(value, Sequence):
        raise OptionError(word, f"{value!r} is no list; write [{value!r}]")
    return value
