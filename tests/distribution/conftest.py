"""The distribution's boot loaders and firmware on both machines."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import guest_builder
import pytest
from qemu_session import QemuSession

from hillemu import Machine
from hillemu.boot.assembler import Layout, assemble_text
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.stop import StopReason

MOST_INSTRUCTIONS = 3_000_000_000
MULTIBOOT2 = guest_builder.GUESTS / "protocols" / "multiboot2.S"
GRUB_CFG = """
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output console serial
set timeout=-1
menuentry "multiboot" { multiboot /guest.elf colour=blue quiet }
menuentry "multiboot2" { insmod all_video; multiboot2 /multiboot2.elf on its way }
menuentry "graphics" {
  insmod all_video; insmod gfxterm; loadfont unicode; set gfxmode=800x600x32; terminal_output gfxterm
}
menuentry "chain" { insmod chain; set root=(hd0); chainloader +1 }
menuentry "linux" { linux /vmlinuz console=ttyS0 earlyprintk=ttyS0 panic=-1 }
menuentry "memtest" { linux16 /memtest.bin }
menuentry "reboot" { reboot }
menuentry "halt" { halt }
"""
MENU = ("multiboot", "multiboot2", "graphics", "chain", "linux", "memtest", "reboot", "halt")
LAST_LINE_OF_MENU = "for a command-line"


class Pc:
    """A machine that is typed at and looked at, with the verbs of `QemuSession`."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def wait_for(self, pattern: str) -> None:
        """Run until the serial text or the screen matches; `AssertionError` if that never happens."""
        stop = self.machine.run(until=pattern, max_insns=MOST_INSTRUCTIONS)
        shown = "\n".join([self.machine.serial.text[-2000:], *self.machine.screen_lines()])
        assert stop.reason is StopReason.UNTIL, f"{stop}\n{shown}"

    def type(self, text: str) -> None:
        self.machine.schedule_keys(text, self.machine.cpu.instructions)

    def run(self, most: int = MOST_INSTRUCTIONS) -> StopReason:
        return self.machine.run(max_insns=most).reason

    def wait_for_picture(self, expected: tuple[int, int, bytes]) -> None:
        """Run until the screen shows exactly this; `AssertionError` if that never happens."""
        end = self.machine.cpu.instructions + MOST_INSTRUCTIONS // 2
        while (shown := self.machine.picture()) != expected:
            assert self.machine.cpu.instructions < end, f"{shown[:2]}, wanted {expected[:2]}"
            self.machine.run(max_insns=20_000_000)

    def text_memory(self) -> bytes:
        return self.machine.memory.read(PhysAddr(0xB8000), 80 * 25 * 2)

    def choose(self, entry: str) -> None:
        """Start an entry of GRUB's menu, over the serial port (Ctrl-N is down)."""
        self.wait_for(LAST_LINE_OF_MENU)
        self.machine.serial.send(b"\x0e" * MENU.index(entry) + b"\r")


@pytest.fixture
def pc() -> Iterator[Callable[..., Pc]]:
    """`pc("image", mem="64M")` is a `Pc` that has loaded the image (or, without one, starts its drives)."""
    with ExitStack() as stack:

        def start(image: Path | None = None, **options: object) -> Pc:
            machine = Machine(**{"mem": "64M", **options})  # type: ignore[arg-type]
            stack.callback(machine.close)
            machine.load(None if image is None else str(image))
            return Pc(machine)

        yield start


@pytest.fixture
def disk_that_tells_its_drive(tmp_path: Path) -> Path:
    """A disk whose boot sector writes DL to the debug console and ends the run."""
    sector = ".code16; .text; mov al, dl; out 0xE9, al; mov al, 1; out 0xF4, al; hlt; .org 510; .word 0xAA55"
    disk = tmp_path / "tells.img"
    disk.write_bytes(assemble_text(sector, layout=Layout(flat=True, base=0x7C00)).data.ljust(1 << 20, b"\0"))
    return disk


@pytest.fixture
def qemu(need_tool: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., QemuSession]]:
    """`qemu("-cdrom", path)` is a running `QemuSession`."""
    with ExitStack() as stack:

        def start(*arguments: object) -> QemuSession:
            program = need_tool("qemu-system-i386")
            return stack.enter_context(QemuSession(program, tmp_path / "qemu", *map(str, arguments)))

        yield start


@pytest.fixture(scope="session")
def grub_cd(
    need_tool: Callable[[str], str],
    image_of: Callable[[str], Path],
    distribution_file: Callable[[str, str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A GRUB rescue CD with the entries of `MENU`."""
    tree = tmp_path_factory.mktemp("grub") / "tree"
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "boot/grub/grub.cfg").write_text(GRUB_CFG)
    guest_2 = [*guest_builder.LINK_FLAGS, "-DGRAPHICS", "-Wl,-Ttext=0x200000", "-o", tree / "multiboot2.elf"]
    subprocess.run(["gcc", *guest_2, MULTIBOOT2], check=True, timeout=60)
    for name, source in (
        ("guest.elf", image_of("paging")),
        ("vmlinuz", distribution_file("linux", "boot/vmlinuz-*")),
        ("memtest.bin", distribution_file("memtest86+", "boot/memtest86+ia32.bin")),
    ):
        shutil.copyfile(source, tree / name)
    need_tool("xorriso")
    cd = tree.parent / "grub.iso"
    command = [need_tool("grub-mkrescue"), "-o", cd, tree]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return cd
