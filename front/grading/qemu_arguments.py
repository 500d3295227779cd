"""QEMU's command line as a description of one of our machines.

>>> wish = read_arguments("-m 32 -drive file=a.img,index=0,media=disk,format=raw -smp 2 -S -gdb tcp::26000".split())
>>> wish.mem, wish.drives.disks
('32M', ('a.img',))
>>> wish.notes
['-smp 2: the machine has one processor']

Known are the options by which Makefiles of courses start an i386 QEMU.  Not modelled: networks, more than one
processor, drives that are not on IDE or in a floppy drive, containers as qcow2.  What is not known is left out, and
`notes` says so.

Source: QEMU's manual page, "Options".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from hillemu.booting import DriveOptions
from hillemu.commands.options import CPU_MODELS
from hillemu.emu.errors import UserMistake

DEFAULT_MEM = "128M"
"""What QEMU gives a PC."""

_WITHOUT_MEANING_HERE = {
    *("-nographic", "-S", "-s", "-no-shutdown", "-no-acpi", "-no-hpet", "-no-fd-bootchk", "-no-quit"),
    *("-usb", "-enable-kvm", "-daemonize", "-sdl", "-curses"),
}
_VALUE_WITHOUT_MEANING_HERE = {
    *("-serial", "-gdb", "-D", "-d", "-display", "-monitor", "-parallel", "-name", "-k", "-vga", "-pidfile"),
    *("-accel", "-rtc", "-global", "-icount", "-msg", "-chardev", "-mon"),
}
_IDE_DISKS = {"-hda": 0, "-hdb": 1, "-hdc": 2, "-hdd": 3}
_FLOPPIES = {"-fda": 0, "-fdb": 1}
_DEVICES_ALWAYS_THERE = ("isa-debug-exit", "ide-hd", "ide-cd", "ide-drive", "VGA", "isa-serial")


@dataclass
class QemuWish:
    """What QEMU was asked for."""

    mem: str = DEFAULT_MEM
    cpu: str = "max"
    kernel: str | None = None
    append: str = ""
    initrd: str | None = None
    bios: str | None = None
    reboot: bool = True
    snapshot: bool = False
    """Whether what the guest writes to its disks is lost in the end."""
    boot: str | None = None
    devices: list[str] = field(default_factory=list)
    floppies: dict[int, str] = field(default_factory=dict)
    disks: dict[int, str] = field(default_factory=dict)
    cdroms: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What our machine does otherwise than asked."""

    @property
    def drives(self) -> DriveOptions:
        """The drives, in order of their places."""
        floppies, disks, cdroms = (
            tuple(images[place] for place in sorted(images)) for images in (self.floppies, self.disks, self.cdroms)
        )
        return DriveOptions(
            floppies, disks, cdroms, self.boot, disk_write=not self.snapshot and bool(floppies or disks)
        )


def read_arguments(arguments: Iterable[str]) -> QemuWish:
    """What `arguments`, without QEMU's own name, ask for; raises `UserMistake` if they end too early."""
    wish = QemuWish()
    words = iter(arguments)
    for word in words:
        option = "-" + word.lstrip("-") if word.startswith("-") else word
        if option in _WITHOUT_MEANING_HERE:
            continue
        if option in _VALUE_WITHOUT_MEANING_HERE:
            _value(option, words)
        elif option in _IDE_DISKS:
            wish.disks[_IDE_DISKS[option]] = _value(option, words)
        elif option in _FLOPPIES:
            wish.floppies[_FLOPPIES[option]] = _value(option, words)
        elif option in _WITH_VALUE:
            _WITH_VALUE[option](wish, _value(option, words))
        elif option == "-no-reboot":
            wish.reboot = False
        elif option == "-snapshot":
            wish.snapshot = True
        elif not option.startswith("-"):
            wish.disks[0] = word  # a bare file name is -hda
        else:
            wish.notes.append(f"{word}: QEMU's option is not known here, and is left out")
    return wish


def _value(option: str, words: Iterator[str]) -> str:
    value = next(words, None)
    if value is None:
        raise UserMistake(f"the Makefile gives QEMU the option {option} without a value")
    return value


def _mem(wish: QemuWish, value: str) -> None:
    size = _properties(value, "size").get("size", DEFAULT_MEM)
    wish.mem = f"{size}M" if size.isdecimal() else size


def _machine(wish: QemuWish, value: str) -> None:
    kind = _properties(value, "type").get("type", "pc")
    if kind.startswith(("q35", "pc-q35", "isapc", "microvm")):
        wish.notes.append(f"-machine {kind}: the machine is a PC of the older kind (pc, i440FX) instead")
    elif not kind.startswith("pc"):
        raise UserMistake(f"the Makefile starts a machine of the kind {kind!r}, which is no i386 PC (-machine {value})")


def _bios(wish: QemuWish, value: str) -> None:
    wish.bios = None if value == "none" else value


def _smp(wish: QemuWish, value: str) -> None:
    if _properties(value, "cpus").get("cpus", "1") != "1":
        wish.notes.append(f"-smp {value}: the machine has one processor")


def _cpu(wish: QemuWish, value: str) -> None:
    name = value.split(",")[0]
    if name in CPU_MODELS:
        wish.cpu = name
    else:
        wish.notes.append(f"-cpu {value}: the machine has the processor 'max' instead")


def _drive(wish: QemuWish, value: str) -> None:
    drive = _properties(value, "file")
    if "file" not in drive:
        return
    if drive.get("if", "ide") not in ("ide", "none", "floppy"):
        wish.notes.append(f"-drive {value}: the machine has IDE and floppy drives only; it is not there")
        return
    if drive.get("snapshot") == "on":
        wish.snapshot = True
    is_floppy, is_cd = drive.get("if") == "floppy", drive.get("media") == "cdrom"
    places = wish.floppies if is_floppy else wish.cdroms if is_cd else wish.disks
    taken = places if is_floppy else {**wish.disks, **wish.cdroms}
    named = int(drive["bus"]) * 2 + int(drive.get("unit", 0)) if drive.get("bus", "").isdecimal() else None
    index = int(drive["index"]) if drive.get("index", "").isdecimal() else named
    places[next(free for free in range(len(taken) + 1) if free not in taken) if index is None else index] = drive[
        "file"
    ]


def _device(wish: QemuWish, value: str) -> None:
    name = value.split(",")[0]
    if name in ("pc-testdev", "isa-debugcon"):
        wish.devices.append(name)
    elif name not in _DEVICES_ALWAYS_THERE:
        wish.notes.append(f"-device {name}: the machine has none")


def _boot(wish: QemuWish, value: str) -> None:
    order = _properties(value, "order").get("order", "")
    wish.boot = "".join(letter for letter in order if letter in "acd") or None


def _network(wish: QemuWish, value: str) -> None:
    if value != "none":
        wish.notes.append(f"a network ({value}): the machine has none")


def _properties(value: str, first: str) -> dict[str, str]:
    """``a,b=c`` as a dictionary; `first` names what comes first without a name.  Two commas stand for one."""
    pairs = [word.replace("\0", ",") for word in value.replace(",,", "\0").split(",")]
    named = [pair.partition("=") for pair in pairs]
    return {
        (key if equals else first if place == 0 else key): (content if equals else key if place == 0 else "on")
        for place, (key, equals, content) in enumerate(named)
    }


def _sets(name: str) -> Callable[[QemuWish, str], None]:
    return lambda wish, value: setattr(wish, name, value)


_WITH_VALUE: dict[str, Callable[[QemuWish, str], None]] = {
    "-m": _mem,
    "-smp": _smp,
    "-cpu": _cpu,
    "-drive": _drive,
    "-device": _device,
    "-boot": _boot,
    "-cdrom": lambda wish, value: wish.cdroms.update({2: value}),
    "-kernel": _sets("kernel"),
    "-append": _sets("append"),
    "-initrd": _sets("initrd"),
    "-bios": _bios,
    "-machine": _machine,
    "-M": _machine,
    "-net": _network,
    "-netdev": _network,
    "-nic": _network,
    "-redir": _network,
    "-debugcon": lambda wish, _: wish.devices.append("isa-debugcon"),
    "-object": lambda wish, value: wish.notes.append(f"-object {value}: left out"),
}
