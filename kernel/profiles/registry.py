"""All profiles, by name.  Their kernels are not imported until one is made.

>>> profile_named("bitmap").image
'bitmap.img'
>>> profile_named("bitmab")
Traceback (most recent call last):
...
hillemu.emu.errors.OptionError: --profile: there is no 'bitmab'; did you mean 'bitmap'?
"""

from __future__ import annotations

from importlib import import_module

from hillemu.emu.errors import OptionError
from hillemu.kernel.profiles.profile import Profile

DEFAULT = "hillson"
MODULES = {
    DEFAULT: "hillemu.kernel.profiles.hillson",
    "bitmap": "hillemu.kernel.profiles.bitmap.profile",
    "orange": "hillemu.kernel.profiles.orange.profile",
}
"""The module whose `PROFILE` each is, by name, in the order in which they are listed."""


def profile_named(name: str | None, *, option: str = "--profile") -> Profile:
    """The profile called `name`; None is the default one.

    Raises `OptionError` for any other name, which tells `option` and what is nearest.
    """
    if name is None:
        name = DEFAULT
    if name not in MODULES:
        raise OptionError(option, f"there is no {name!r}; {_hint(name)}")
    found: Profile = import_module(MODULES[name]).PROFILE
    return found


def all_profiles() -> tuple[Profile, ...]:
    """Every profile, the default one first."""
    return tuple(profile_named(name) for name in MODULES)


def _hint(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, MODULES, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(MODULES)}"
