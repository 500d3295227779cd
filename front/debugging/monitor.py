"""What ``monitor COMMAND`` in GDB does: a table of commands, which others may add to.

Commands look and print; only `snapshot load`, `system_reset` and `quit` do something to the machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hillemu.debugging import memory_access
from hillemu.emu.errors import UserMistake
from hillemu.emu.i386.control import PEEK, ControlState

if TYPE_CHECKING:
    from hillemu.emu.snapshot import Snapshot
    from hillemu.inspection.views.addresses import Address
    from hillemu.inspection.views.request import View
    from hillemu.machine import Machine

_FLUSH = "GDB learns of the new registers with 'maintenance flush register-cache'"
_BYTES_PER_LINE = 16
_MOST_BYTES = 4096
_IN_C = re.compile(r"[][&*()/@]")
"""In GDB's expressions and formats, but in no address as we know it."""


class Entry(NamedTuple):
    """`run` gets the words behind the command and returns what is to be printed; it may raise `UserMistake`."""

    arguments: str
    help: str
    run: Callable[[list[str]], str]

    @property
    def counts(self) -> tuple[int, int]:
        """How many words it takes at least and at most; those in brackets may be left out."""
        names = self.arguments.split()
        return sum(not name.startswith("[") for name in names), len(names)


class Monitor:
    """The commands for `machine`.

    `restart` boots it again, `quit_` ends its run; `was_moved` hears that it is somewhere else in its run now.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        restart: Callable[[], None],
        quit_: Callable[[], None],
        was_moved: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._was_moved = was_moved
        self._snapshots: dict[str, Snapshot] = {}
        self._restart, self._quit = restart, quit_
        self.commands: dict[str, Entry] = {
            "help": Entry("[COMMAND [WORD]]", "show this list, or what it says of one command", self._help),
            "info registers": Entry("", "the processor's mode, segments and system registers", self._registers),
            "pt": Entry("ADDR", "walk the page tables for a virtual address, and show every entry", self._walk),
            "info mem": Entry("", "the ranges that the page tables map, as QEMU prints them", self._info_mem),
            "info tlb": Entry("", "every page that the page tables map, as QEMU prints them", self._info_tlb),
            "regions": Entry("", "the ranges that the page tables map, with rights, frames and flags", self._regions),
            "lint": Entry("", "what looks wrong in the page tables", self._lint),
            "frames": Entry("", "physical memory by use: page tables, image, kernel, user, free", self._frames),
            "xp": Entry("ADDR [BYTES]", "show physical memory", self._physical),
            "gdt": Entry("", "the global descriptor table, decoded, with what is wrong in it", self._gdt),
            "idt": Entry("", "the interrupt descriptor table, likewise; empty entries left out", self._idt),
            "tss": Entry("", "the task-state segment that TR names, likewise", self._tss),
            "deliveries": Entry("", "the last exceptions and interrupts, oldest first", self._deliveries),
            "instructions": Entry("", "how many instructions were executed since power-on", self._instructions),
            "snapshot": Entry("", "the names of the snapshots that were saved", self._snapshot_names),
            "snapshot save": Entry("NAME", "keep the whole machine as it is now, in memory", self._save_snapshot),
            "snapshot load": Entry("NAME", "go back (or forward) to it", self._load_snapshot),
            "system_reset": Entry("", "boot again, and stop before the first instruction", self._system_reset),
            "quit": Entry("", "end the run", self._end),
        }

    def add(self, name: str, arguments: str, text: str, run: Callable[[list[str]], str]) -> None:
        """Add the command `name`, of one or two words."""
        self.commands[name] = Entry(arguments, text, run)

    def run(self, line: str) -> str:
        """Carry out `line`; a mistake in it is told, not raised."""
        words = line.split()
        try:
            return _ended(self._run(words)) if words else self._help([])
        except UserMistake as error:
            return f"{error}\n"

    def _run(self, words: list[str]) -> str:
        for length in (2, 1):
            name = " ".join(words[:length])
            entry = self.commands.get(name)
            if entry is None or len(words) < length:
                continue
            rest = words[length:]
            least, most = entry.counts
            if least <= len(rest) <= most:
                return entry.run(rest)
            if most > 0 or not self._family(name):
                takes = f"wants {entry.arguments}" if most else "takes nothing else"
                raise UserMistake(f"'monitor {name}' {takes}" + (f", not {' '.join(rest)!r}" if rest else ""))
        family = ", ".join(repr(one) for one in self._family(words[0]))
        name = " ".join(words[:2] if family else words)
        raise UserMistake(
            f"there is no command {name!r}; "
            + (f"there are {family}" if family else "'monitor help' lists what there is")
        )

    def _family(self, word: str) -> list[str]:
        """The commands that begin with `word`, if there are longer ones than that."""
        names = [name for name in self.commands if name.split()[0] == word]
        return names if names != [word] else []

    # ---- looking ------------------------------------------------------------------------------------------------

    def _help(self, words: list[str]) -> str:
        titles = {name: f"{name} {entry.arguments}".rstrip() for name, entry in sorted(self.commands.items())}
        asked = [name for name in titles if name.split()[: len(words)] == words]
        if not asked:
            raise UserMistake(f"there is no command {' '.join(words)!r}; 'monitor help' lists what there is")
        width = max(len(titles[name]) for name in asked)
        return "".join(f"{titles[name]:{width}}  {self.commands[name].help}\n" for name in asked)

    def _registers(self, words: list[str]) -> str:
        from hillemu.emu.i386.registers import Cr0, Cr4, Eflags

        cpu = self._machine.cpu
        names = ("cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr")
        segments = ((name, cpu.segment(name)) for name in names)
        return "\n".join(
            [
                self._mode(),
                f"{Eflags(cpu.eflags)}",
                f"{Cr0(cpu.cr0)} CR2 {cpu.cr2:#010x} CR3 {cpu.cr3:#010x} {Cr4(cpu.cr4)}",
                f"GDT {cpu.gdtr_base:#010x} limit {cpu.gdtr_limit:#x}",
                f"IDT {cpu.idtr_base:#010x} limit {cpu.idtr_limit:#x}",
                *(
                    f"{name.upper():4} {one.selector:#06x} base {one.base:#010x} limit {one.limit:#x}"
                    for name, one in segments
                ),
            ]
        )

    def _mode(self) -> str:
        from hillemu.debugging.register_access import code_size
        from hillemu.emu.i386.registers import Cr0, Eflags

        cpu = self._machine.cpu
        bits = code_size(cpu.processor)
        if not cpu.cr0 & Cr0.PE.mask:
            return f"real mode, {bits}-bit code"
        if cpu.eflags & Eflags.VM.mask:
            return "virtual-8086 mode"
        paging = ControlState.read(cpu.processor).mode.value
        return f"protected mode, ring {cpu.segment('ss').attributes >> 13 & 3}, {bits}-bit code, {paging}"

    def _walk(self, words: list[str]) -> str:
        from hillemu.emu.i386.address import VirtAddr
        from hillemu.emu.i386.paging import translate

        at = VirtAddr(self._address(words[0]).virtual_value(self._machine.symbols, self._machine.cpu.processor.get))
        return translate(self._machine.memory, at, ControlState.read(self._machine.cpu.processor), PEEK).explain()

    def _info_mem(self, words: list[str]) -> str:
        return self._machine.paging.info_mem()

    def _info_tlb(self, words: list[str]) -> str:
        return self._machine.paging.info_tlb()

    def _regions(self, words: list[str]) -> str:
        return str(self._machine.paging)

    def _lint(self, words: list[str]) -> str:
        return str(self._machine.paging.lint())

    def _frames(self, words: list[str]) -> str:
        from hillemu.inspection.views.frames_view import Frames

        return self._view(Frames())

    def _physical(self, words: list[str]) -> str:
        at = self._address(words[0]).value(self._machine.symbols, self._machine.cpu.processor.get)
        count = _count(words[1]) if len(words) > 1 else 4 * _BYTES_PER_LINE
        data = memory_access.read_physical(self._machine.memory, at, count)
        lines = [
            f"{at + offset:08x}: {data[offset : offset + _BYTES_PER_LINE].hex(' ')}"
            for offset in range(0, len(data), _BYTES_PER_LINE)
        ]
        if len(data) < count:
            lines.append(f"{at + len(data):08x}: neither RAM nor ROM answers here")
        return "\n".join(lines)

    def _gdt(self, words: list[str]) -> str:
        from hillemu.inspection.views.descriptors_view import Gdt

        return self._view(Gdt())

    def _idt(self, words: list[str]) -> str:
        from hillemu.inspection.views.descriptors_view import Idt

        return self._view(Idt())

    def _tss(self, words: list[str]) -> str:
        from hillemu.inspection.views.descriptors_view import Tss

        return self._view(Tss())

    def _view(self, view: View) -> str:
        from hillemu.inspection.views.scene import Scene

        return str(view.show(Scene(self._machine, {})))

    def _deliveries(self, words: list[str]) -> str:
        from hillemu.emu.stop import Stop, StopReason
        from hillemu.report.deliveries import delivery_lines
        from hillemu.report.stopped import StoppedMachine
        from hillemu.report.view import Scene

        machine = self._machine
        stop = machine.last_stop or Stop(StopReason.INTERRUPTED)
        view = StoppedMachine(stop, machine.cpu.processor, machine.memory, machine.deliveries, machine.symbols)
        return "\n".join(delivery_lines(Scene(view)))

    def _instructions(self, words: list[str]) -> str:
        return f"{self._machine.cpu.instructions:,}"

    # ---- doing --------------------------------------------------------------------------------------------------

    def _snapshot_names(self, words: list[str]) -> str:
        return "\n".join(self._snapshots) or "none; 'monitor snapshot save NAME' makes one"

    def _save_snapshot(self, words: list[str]) -> str:
        (name,) = words
        self._snapshots[name] = self._machine.snapshot()
        return f"saved {name!r} at {self._machine.cpu.instructions:,} instructions"

    def _load_snapshot(self, words: list[str]) -> str:
        (name,) = words
        if name not in self._snapshots:
            raise UserMistake(f"there is no snapshot {name!r}; 'monitor snapshot' lists what there is")
        self._machine.restore(self._snapshots[name])
        self._was_moved()
        return f"the machine is at {self._machine.cpu.instructions:,} instructions; {_FLUSH}"

    def _system_reset(self, words: list[str]) -> str:
        self._restart()
        return f"the machine has booted again; {_FLUSH}"

    def _end(self, words: list[str]) -> str:
        self._quit()
        return "the run ends"

    def _address(self, word: str) -> Address:
        """What people write for an address; raises `UserMistake`, as its value does."""
        from hillemu.inspection.views.addresses import Address

        if _IN_C.search(word):
            raise UserMistake(
                f"{word!r} is no address here; the script's commands pt and xp take what GDB's 'print' does, "
                "and behind its 'physical', x/8xw shows physical memory"
            )
        return Address(word)


def _count(word: str) -> int:
    """How many bytes are to be shown."""
    from hillemu.inspection.views.addresses import as_number

    count = as_number(word)
    if count is None or not 0 < count <= _MOST_BYTES:
        raise UserMistake(f"{word!r}: from 1 to {_MOST_BYTES:,} bytes can be shown")
    return count


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"
