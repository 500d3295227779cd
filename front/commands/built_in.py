"""Which of the built-in kernels `hillemu boot` boots, and what of it is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hillemu.commands.options import ALL_CHECKS
from hillemu.emu.errors import OptionError
from hillemu.kernel.profiles.profile import BootsFrom
from hillemu.kernel.profiles.registry import profile_named
from hillemu.kernel_module import kernel_options

if TYPE_CHECKING:
    from hillemu.commands.command_line import CommandLine
    from hillemu.kernel.profiles.profile import Profile
    from hillemu.machine import Machine


def load_built_in(machine: Machine, options: CommandLine) -> None:
    """Load the kernel of the profile that `options` name; raises `UserMistake`."""
    profile = profile_named(options.profile)
    checks = checks_of(profile, options.check)
    if options.disk_write and profile.boots_from is BootsFrom.DISK:
        raise OptionError("--disk-write", "there is no disk of yours: the built-in kernels boot from their own")
    parts = kernel_options(options.kernel_module, check=options.check is not None)
    machine.load_kernel(
        profile=profile.name,
        modules=tuple(options.module),
        append=options.append,
        options=parts._replace(checks=checks),
    )


def checks_of(profile: Profile, text: str | None) -> tuple[str, ...]:
    """The checks that `text` names, with commas between them; none if it is all or nothing.

    Raises `OptionError` for a name that `profile` does not have.
    """
    if text is None or text == ALL_CHECKS:
        return ()
    named = tuple(name.strip() for name in text.split(","))
    for name in named:
        if name not in profile.checks:
            raise OptionError("--check", f"profile {profile.name} has no check {name!r}{_hint(profile, name)}")
    return named


def _hint(profile: Profile, name: str) -> str:
    import difflib

    if not profile.checks:
        return "; --check without a name verifies everything"
    near = difflib.get_close_matches(name, profile.checks, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(profile.checks)}"
