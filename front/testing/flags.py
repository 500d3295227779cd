"""The letters by which tests say what a page must be.

======  ===============================================================  ==========================
letter  meaning                                                          compared
======  ===============================================================  ==========================
``u``   user mode may use the page (U/S=1 on all levels)                 always
``w``   writable (R/W=1 on all levels), before CR0.WP has its say        always
``x``   instructions may be fetched (XD=0 on all levels)                 where XD works; when named
``g``   global (G, while CR4.PGE is on)                                  when named
``a``   accessed (A)                                                     when named
``d``   dirty (D)                                                        when named
``c``   not cached (PCD)                                                 when named
``s``   the supervisor's: the opposite of ``u``, for clarity             says what no ``u`` says
``r``   readable: every page that is present is, so it says nothing      never
``p``   present: a page that is mapped is, so it says nothing            never
======  ===============================================================  ==========================

``!`` before a letter says that the page must not be so; spaces may stand between.  ``"urw"`` is a user's page for
reading and writing, ``"r"`` one that only the supervisor may read, ``"rw !x g"`` the supervisor's data, global, not
executable.  With 32-bit paging or EFER.NXE=0, nothing can take ``x`` away, and a test that does not name it passes.

The pictures that views print are flags, too: in ``"-rw-"`` each of the four is compared.

>>> Flags.parse("urw")
Flags('urw')
>>> Flags.parse("ur-x").wanted
{'u': True, 'w': False, 'x': True}
>>> Flags.parse("uz")
Traceback (most recent call last):
...
hillemu.emu.errors.OptionError: flags: 'uz': there is no 'z'; the letters are usrwxgadcp, ! before one denies it
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from hillemu.emu.errors import OptionError

LETTERS = "usrwxgadcp"
_PICTURE = re.compile(r"[u-]r[w-][x-]")


class Flags(NamedTuple):
    """What a page must be; made by `parse`."""

    text: str
    wanted: Mapping[str, bool]
    """By letter; a letter that is missing is not compared (`x` perhaps: see `complete`)."""

    @classmethod
    def parse(cls, text: str) -> Flags:
        """Read letters or a picture; raises `OptionError` for anything else."""
        if _PICTURE.fullmatch(text) and "-" in text:
            return cls(text, {"u": text[0] == "u", "w": text[2] == "w", "x": text[3] == "x"})
        wanted = {"u": False, "w": False}
        said: dict[str, bool] = {}
        for denied, letter in re.findall(r"(!?)(.)", "".join(text.split())):
            if letter not in LETTERS:
                raise OptionError(
                    "flags",
                    f"{text!r}: there is no {letter!r}; the letters are {LETTERS}, ! before one denies it",
                )
            if denied and letter in "rp":
                raise OptionError("flags", f"{text!r}: a mapped page is always {letter}; say unmapped or not_present()")
            name, value = ("u", bool(denied)) if letter == "s" else (letter, not denied)
            if said.setdefault(name, value) != value:
                raise OptionError("flags", f"{text!r} contradicts itself about {name}")
        return cls(text, wanted | {name: value for name, value in said.items() if name not in "rp"})

    def complete(self, *, no_execute: bool) -> dict[str, bool]:
        """What is wanted where `no_execute` says whether XD works."""
        return {"x": False, **self.wanted} if no_execute else dict(self.wanted)

    def __repr__(self) -> str:
        return f"Flags({self.text!r})"
