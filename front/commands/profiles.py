"""`hillemu profiles`: the built-in kernels, each with its layout of physical and of virtual memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hillemu.commands.exit_status import CLEAN
from hillemu.kernel.profiles.registry import DEFAULT, all_profiles, profile_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hillemu.commands.command_line import CommandLine
    from hillemu.kernel.profiles.profile import Profile


def profiles(options: CommandLine) -> int:
    """Print the profile that `options` name, or all; return the exit status.  Raises `OptionError`."""
    found = all_profiles() if options.profile is None else (profile_named(options.profile, option="PROFILE"),)
    if options.as_json:
        import json

        print(json.dumps([_record(one) for one in found], indent=2), flush=True)
        return CLEAN
    print("\n\n".join("\n".join(_drawn(one)) for one in found), flush=True)
    return CLEAN


def _drawn(profile: Profile) -> Iterator[str]:
    is_default = " (the default)" if profile.name == DEFAULT else ""
    yield f"{profile.name}{is_default}: {profile.title}"
    yield f"  boots from {profile.boots_from.value}: {profile.image}"
    if profile.words:
        yield f"  --append {' '.join(profile.words)}"
    yield "  --check" + "=" * bool(profile.checks) + ",".join(profile.checks)
    yield f"  --kernel-module with {', '.join(profile.parts)}"
    for title, drawing in (("physical", profile.physical_layout), ("virtual", profile.virtual_layout)):
        yield f"  {title} memory:"
        for line in drawing.splitlines():
            yield f"    {line}".rstrip()


def _record(profile: Profile) -> dict[str, Any]:
    return {
        "name": profile.name,
        "title": profile.title,
        "default": profile.name == DEFAULT,
        "boots_from": profile.boots_from.value,
        "image": profile.image,
        "words": list(profile.words),
        "checks": list(profile.checks),
        "parts": list(profile.parts),
        "programs": list(profile.programs),
        "physical_layout": profile.physical_layout.splitlines(),
        "virtual_layout": profile.virtual_layout.splitlines(),
    }
