"""The hosted kernel's image on QEMU, up to where it would need Python: the mapping of its birth is the same there."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable

from hillemu.boot.images import image_folder
from hillemu.emu.i386.address import PAGE_SIZE, VirtAddr
from hillemu.emu.i386.control import ControlState
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.paging import translate
from hillemu.emu.stop import StopReason
from hillemu.machine import Machine

_ROW = re.compile(r"^([0-9a-f]{8,16}): ([0-9a-f]{8,16}) ([-XGPDACTUW]{9})\s*$", re.MULTILINE)


def monitor_says(qemu: str, until: str, then: str) -> str:
    """Ask the kernel's image on QEMU for its registers until they match `until`, then the monitor's command `then`."""
    command = [qemu, "-kernel", str(image_folder() / "kernel.elf"), "-m", "64M", "-display", "none"]
    with subprocess.Popen(
        [*command, "-serial", "null", "-monitor", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None

            def ask(question: str) -> str:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{question}\nprint 4711\n")
                process.stdin.flush()
                said = []
                for line in process.stdout:
                    if line.strip() == "0x1267":
                        break
                    said.append(line)
                return "".join(said)

            end = time.monotonic() + 20
            while time.monotonic() < end and not re.search(until, ask("info registers")):
                time.sleep(0.05)
            return ask(then)
        finally:
            process.kill()


def test_the_mapping_of_the_kernel_s_birth_is_what_qemu_says(need_tool: Callable[[str], str]) -> None:
    said = monitor_says(need_tool("qemu-system-i386"), r"EIP=c01\w+ .*HLT=1", "info tlb")
    theirs = {int(at, 16): (int(phys, 16), "W" in flags, "U" in flags) for at, phys, flags in _ROW.findall(said)}
    assert len(theirs) == 2048, said[:2000]

    machine = Machine(mem="64M")
    machine.load_kernel()
    machine.breakpoints.add("trap_common")
    assert machine.run().reason is StopReason.BREAKPOINT
    control = ControlState(machine.cpu.cr0, machine.cpu.cr3, machine.cpu.cr4)
    ours = {}
    for at in range(0, 1 << 32, PAGE_SIZE):
        if at & 0x3FFFFF and at - PAGE_SIZE not in ours:
            continue  # tables are full or empty; QEMU's side says so too
        walked = translate(machine.memory, VirtAddr(at), control)
        if isinstance(walked, Mapped):
            ours[at] = (walked.phys, walked.rights.writable, walked.rights.user)
    assert ours == theirs
