"""What a user has asked for on the command line, checked: the options of all commands."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re
    from datetime import datetime

    from hillemu.terminal.display import Display


class CommandLine(argparse.Namespace):
    """What `hillemu` was asked for, checked; `inspect` and `kernel-trace` have some of what `boot` has."""

    command: str | None
    image: str | None
    mem: int
    """RAM in bytes."""
    module: list[tuple[str, str]]
    """(file, arguments) of each boot module, in order."""
    append: str
    initrd: list[str]
    floppy: list[str]
    disk: list[str]
    cdrom: list[str]
    boot: str | None
    force_boot: bool
    disk_write: bool
    bios: str | None
    vga_bios: str | None
    device: list[str]
    cpu: str
    timing: str
    bus_mhz: int | None
    wait_states: int | None
    io_wait_states: int | None
    lint: str | None
    real: bool
    format: str
    rtc_base: datetime | None
    serial: str
    serial_input: str | None
    serial_input_after: re.Pattern[str] | None
    display: Display | None
    keys: list[str]
    keys_at: list[int]
    """For each of `keys`, in order, the instruction count at which its first key goes down; 0 where it is short."""
    live: str | None
    replay: str | None
    max_insns: int | None
    until: re.Pattern[str] | None
    json: str | None
    quiet: bool
    gdb: str | None
    """Where to listen for a debugger: ``[HOST:]PORT``."""
    wait: bool
    debugger: str | None
    """The program that `hillemu gdb` starts, if it is named."""
    gdb_arguments: list[str]
    """What it is given beside the machine's address."""
    reboot: bool
    kernel_module: str | None
    check: str | None
    """Names with commas between them; `options.ALL_CHECKS` if none are given."""
    profile: str | None
    """Which built-in kernel; `profiles.registry` knows them."""
    record_pages: str | None
    trace: str | None
    """What `hillemu kernel-trace` replays."""
    paging: str | None
    """A reference string, or the file that has one."""
    frames: tuple[int, ...] | None
    debug_aids: bool
    words: list[str]
    """`hillemu inspect`: the image, if there is one, and the views with their arguments."""
    at: str
    """Where `hillemu inspect` looks."""
    types: list[str]
    """C files with declarations."""
    as_json: bool
    html: str | None
    by: str
    """What a row of a profile is: ``function`` or ``line``."""
    top: int
    symbols: list[str]
    """ELF files whose symbols are known beside the image's."""
    callgrind: str | None
    kernel: str
    """What `hillemu vscode` debugs."""
    port: int
    force: bool
    text: bool

    @property
    def shows_screen(self) -> bool:
        """Whether the guest's screen is drawn.  Somebody who types at a serial terminal wants that, undisturbed."""
        return self.live != "serial" if self.display is None else self.display.shows_text

    @property
    def has_drives(self) -> bool:
        """Whether an option puts an image into a drive."""
        return bool(self.floppy or self.disk or self.cdrom)
