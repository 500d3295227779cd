"""Records the trace of a guest in a laboratory, one instruction at a time, for the reference of the timing models.

Everything is read while the machine stands between two instructions: registers, the bytes at EIP, what an operand in
memory holds, the descriptor that a far transfer names.  A fault is an entry of its own, and the instruction that it
kept from completing is none.

What an instruction is at its place (`_Site`) is worked out once for its bytes.  Where most instructions lead to is
known before, so only where one has led elsewhere is it asked which exceptions and interrupts there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from instruction_cases import condition
from instruction_decoding import Decoded, decode
from instruction_surroundings import CALL_GATES, PG, VM, Registers, Surroundings, cpl_of, mode_of
from instruction_trace import Event, Step

from hillemu.emu.cpu.core import CoreStop, Delivery, DeliveryKind

LIMIT_BYTES, NMI, PAGE_FAULT = 15, 2, 14
ARITHMETIC, OVERFLOW, IOPL, NESTED_TASK, ZERO = 0x8D5, 1 << 11, 3 << 12, 1 << 14, 1 << 6
PORT_ACCESSES = ("IN", "OUT", "INS", "OUTS", "REP INS", "REP OUTS")
_FLAGS = {"SETcc": ARITHMETIC, "INTO": OVERFLOW} | dict.fromkeys(PORT_ACCESSES, IOPL)
"""Those that decide what an instruction costs; `Step.flags` has no others."""
INTERRUPTS = ("INT", "INT3", "INTO")
MOST_SITES = 200_000


class Recording(NamedTuple):
    """The entries of a trace, and what the machine took for them.

    A stop of the machine is between two groups: an instruction with a fault before it, a trap or an interrupt behind
    it, or all iterations of REP.  `groups` has the number of entries and the cycles of each.
    """

    entries: list[Step | Event]
    groups: list[tuple[int, int]]

    def sums(self, clocks: Sequence[int]) -> list[int]:
        """`clocks`, one for every entry, by groups."""
        if len(self.groups) == len(self.entries):
            return list(clocks)
        found, start = [], 0
        for count, _ in self.groups:
            found.append(sum(clocks[start : start + count]))
            start += count
        return found


def record(lab: Any, limit: int = 100_000) -> Recording:
    """Execute the guest of a laboratory to its HLT, which is the last step, or for so many steps."""
    return Recorder(lab).record(limit)


class _Site(NamedTuple):
    """An instruction at its place: what is the same whenever it is executed there."""

    instruction: Decoded
    step: Step
    step_taken: Step
    leads_to: tuple[int, ...]
    """All EIPs that can follow without an exception or interrupt; empty if they are not known, or CS may change."""
    conditional: bool
    """Whether it is a Jcc."""
    plain: bool
    """Whether there is nothing else to tell of it than `step`, or `step_taken`."""


class Recorder:
    """Executes a guest, and keeps what has been recorded until it is taken.

    It begins by loading CR3, so that the Pentium's branch target buffer is empty, as the reference's is.
    """

    def __init__(self, lab: Any) -> None:
        lab.processor.set("cr3", lab.processor.get("cr3"))
        self.lab, self.cpu, self.around = lab, lab.processor, Surroundings(lab)
        self._cr3 = self.cpu.get("cr3")
        self.steps = 0
        """That were executed; each iteration of REP is one."""
        self.has_ended = False
        self._entries: list[Step | Event] = []
        self._groups: list[tuple[int, int]] = []
        self._is_repeating = False
        self._sites: dict[tuple[int, bytes, int, str, int], _Site | None] = {}
        self._tables = (b"", b"")  # GDT and LDT, before a segment register is loaded
        self._noted = self.cpu.deliveries  # they were entered before the first step
        self._asked_at = self.cpu.instructions
        self._registers, self._busy, self._code = self._read(), self._cycles(), self.cpu.segment("cs")

    def record(self, steps: int) -> Recording:
        """Execute so many more instructions, or up to the guest's end (HLT, power off), and return what they were.

        A REP that has not ended is not among them, and comes with the next ones.
        """
        for _ in range(steps):
            if not self._step():
                self.has_ended = True
                break
        at = len(self._groups) - self._is_repeating
        kept = sum(count for count, _ in self._groups[at:])
        until = len(self._entries) - kept
        taken = Recording(self._entries[:until], self._groups[:at])
        self._entries, self._groups = self._entries[until:], self._groups[at:]
        return taken

    def _step(self) -> bool:
        """Execute one instruction, or one iteration of REP; whether the run goes on."""
        cpu, first = self.cpu, len(self._entries)
        before, busy, count = self._registers, self._busy, cpu.instructions
        site = self._site(before)
        prepared = self._prepare(site, before) if site is not None else None
        stop = cpu.run(instructions=1)
        if cpu.instructions == count:
            return False  # halted for good
        self.steps += 1
        after = self._registers = self._read()
        self._busy = self._cycles()
        if site is not None and prepared is not None and after["eip"] in site.leads_to:
            went_on = self._instruction(site, prepared, before, after)
        else:
            went_on = self._disturbed(site, prepared, before, count)
        self._note_cr3()
        self._note(went_on, len(self._entries) - first, self._busy - busy)
        return stop is CoreStop.LIMIT

    def _note_cr3(self) -> None:
        """A hosted kernel loads it from outside, while an instruction calls it."""
        cr3, self._cr3 = self._cr3, self.cpu.get("cr3")
        if cr3 != self._cr3:
            self._entries[-1] = self._entries[-1]._replace(loads_cr3=True)

    def _disturbed(self, site: _Site | None, prepared: Step | None, before: Registers, count: int) -> bool:
        """Note a step that has led who knows where: a far transfer, or one with exceptions or interrupts."""
        cpu, after = self.cpu, self._registers
        self._code = cpu.segment("cs")
        events = self._events(count)
        for delivery in events:
            # One that came when the last instruction had ended was noted with it.
            if delivery.at == count and delivery not in self._noted:
                before = self._event(delivery, before, prepared)
                # The handler's first instruction has been executed as well.
                site = self._site(before)
                prepared = self._prepare(site, before) if site is not None else None
        assert site is not None, f"no instruction at {before['eip']:#x}"
        assert prepared is not None
        self._noted, self._asked_at = [it for it in events if it.at == cpu.instructions], cpu.instructions
        # Where one came when the instruction had ended, the handler has been entered already.
        if self._noted:
            after = self.around.interrupted(after, self._noted[0])
        if self._noted and site.instruction.mnemonic in INTERRUPTS and self._noted[0].eip == before["eip"]:
            # Delivering the interrupt has faulted: it counts as executed, but has not entered its handler.
            self._event(self._noted[0], before, prepared)
            return False
        went_on = self._instruction(site, prepared, before, after)
        for delivery in self._noted:
            self._event(delivery, self.around.interrupted(before, delivery))
        return went_on

    def _events(self, count: int) -> list[Delivery]:
        """Exceptions and interrupts of the step that began behind so many instructions."""
        since = [it for it in self.cpu.deliveries if it.kind is not DeliveryKind.SOFTWARE and it.at >= self._asked_at]
        missed = [it for it in since if it.at < count and it not in self._noted]
        assert not missed, f"a handler began where its instruction would have led: {missed}"
        found = [it for it in since if it.at >= count]
        # One whose delivery has faulted has entered no handler: the next is of the same instruction.
        places = [(it.at, it.cs, it.eip) for it in found]
        return [it for number, it in enumerate(found) if places[number + 1 : number + 2] != places[number : number + 1]]

    def _note(self, went_on: bool, entries: int, cycles: int) -> None:
        if went_on:
            before, before_cycles = self._groups.pop()
            entries, cycles = before + entries, before_cycles + cycles
        self._groups.append((entries, cycles))

    def _cycles(self) -> int:
        return int(self.lab.pc.cycles.total - self.lab.pc.cycles.idle)

    def _read(self) -> Registers:
        get = self.cpu.get
        return {
            "eax": get("eax"),
            "ecx": get("ecx"),
            "edx": get("edx"),
            "ebx": get("ebx"),
            "esp": get("esp"),
            "ebp": get("ebp"),
            "esi": get("esi"),
            "edi": get("edi"),
            "eip": get("eip"),
            "eflags": get("eflags"),
            "cs": get("cs"),
            "cr0": get("cr0"),
            "tr": get("tr"),
        }

    # ---- an instruction -------------------------------------------------------------------------------------------

    def _site(self, registers: Registers) -> _Site | None:
        """The instruction that comes next; None if it cannot be fetched or is none."""
        eip = registers["eip"]
        linear = self._code.base + eip & 0xFFFFFFFF
        window = self.around.bytes_at(linear, LIMIT_BYTES)
        bits = 32 if self._code.attributes >> 22 & 1 else 16
        key = (eip, window, bits, mode_of(registers), cpl_of(registers))
        if key not in self._sites:
            if len(self._sites) >= MOST_SITES:
                self._sites.clear()
            self._sites[key] = _site_of(*key, linear)
        return self._sites[key]

    def _prepare(self, site: _Site, before: Registers) -> Step:
        """What is known of an instruction before it is executed."""
        if site.plain:
            return site.step
        instruction = site.instruction
        if instruction.loads_segment:
            self._tables = self.around.descriptor_tables()
        step = site.step
        if instruction.mnemonic[0] == "F":
            control = int.from_bytes(self.cpu.fpu_get("fcw"), "little") >> 8 & 3
            return step if control == step.precision_control else step._replace(precision_control=control)
        if instruction.mnemonic in PORT_ACCESSES:
            by_number = "imm" in instruction.form
            step = step._replace(port=step.code[-1] if by_number else before["edx"] & 0xFFFF)
        operand = self.around.operand(instruction, before)
        flags = before["eflags"] & _FLAGS.get(instruction.mnemonic, 0)
        return step._replace(operand=operand, flags=flags) if operand or flags else step

    def _instruction(self, site: _Site, step: Step, before: Registers, after: Registers) -> bool:
        """Note it; whether it was one more iteration of the entry before."""
        instruction = site.instruction
        name = instruction.mnemonic
        if name.startswith("REP "):
            return self._repeat(step, before, after)
        self._is_repeating = False
        if site.conditional:
            taken = condition(instruction.condition, before["eflags"] & ARITHMETIC)
            self._entries.append(site.step_taken if taken else site.step)
        elif site.plain:
            self._entries.append(step)
        else:
            self._entries.append(self._ended(step, instruction, before, after))
        return False

    def _ended(self, step: Step, instruction: Decoded, before: Registers, after: Registers) -> Step:
        """A step with what its instruction has led to."""
        name, loaded = instruction.mnemonic, instruction.loads_segment
        if loaded and step.mode == "protected" and (selector := self.cpu.get(loaded)) & ~3:
            table = self._tables[selector >> 2 & 1]
            return step._replace(was_accessed=bool(table[(selector & ~7) + 5] & 1))
        if name == "CMPXCHG":
            return step._replace(stored=bool(after["eflags"] & ZERO))
        if not instruction.is_branch:
            return step
        tasks = self.around.tasks(before, after)
        return step._replace(
            taken=_is_taken(instruction, before["eflags"], after["ecx"]),
            outcome=self._outcome(step, instruction, before, after),
            tasks=tasks,
            loads_cr3=_loads_cr3(tasks, before),
            parameters=self._parameters(step, instruction),
            target=step.linear - before["eip"] + after["eip"] & 0xFFFFFFFF,
        )

    def _repeat(self, step: Step, before: Registers, after: Registers) -> bool:
        """One more iteration of the last entry, or the first of a new one."""
        made = before["ecx"] - after["ecx"] & 0xFFFFFFFF
        went_on = self._is_repeating
        if went_on:
            last = self._entries[-1]
            assert isinstance(last, Step)
            self._entries[-1] = last._replace(count=last.count + made)
        else:
            self._entries.append(step._replace(count=made))
        self._is_repeating = after["eip"] == before["eip"]
        return went_on

    # ---- transfers ------------------------------------------------------------------------------------------------

    def _outcome(self, step: Step, instruction: Decoded, before: Registers, after: Registers) -> str:
        name, form = instruction.mnemonic, instruction.form
        if name in INTERRUPTS:
            vector = {"INT3": 3, "INTO": 4}.get(name, step.code[-1])
            return self.around.gate(vector, before) if name != "INTO" or step.flags & OVERFLOW else ""
        if step.mode != "protected":
            return ""
        is_outer = cpl_of(after) > cpl_of(before)
        if name == "IRET" and before["eflags"] & NESTED_TASK:
            return "task return"
        if name == "IRET" and after["eflags"] & VM:
            return "to V86"
        if name == "IRET" or (name == "RET" and form.endswith("far")):
            return "outer privilege" if is_outer else "same privilege"
        if form in ("ptr far", "m far"):
            return self.around.transfer(self._far_descriptor(step, instruction), before, name)
        return ""

    def _far_descriptor(self, step: Step, instruction: Decoded) -> int:
        selector = instruction.selector if instruction.form == "ptr far" else step.operand >> instruction.operand_bits
        return self.around.descriptor(selector & 0xFFFF)

    def _parameters(self, step: Step, instruction: Decoded) -> int:
        if instruction.mnemonic != "CALL" or instruction.form not in ("ptr far", "m far") or step.mode != "protected":
            return 0
        descriptor = self._far_descriptor(step, instruction)
        return descriptor >> 32 & 0x1F if descriptor >> 40 & 0x1F in CALL_GATES else 0

    def _event(self, delivery: Delivery, before: Registers, refused: Step | None = None) -> Registers:
        """Note an exception or interrupt; the registers that its handler begins with, but for ESP."""
        if self._is_repeating and isinstance(last := self._entries[-1], Step):
            self._entries[-1] = last._replace(is_parted=True)
        self._is_repeating = False
        if delivery.kind is DeliveryKind.INTERRUPT:
            kind = "NMI" if delivery.vector == NMI else "external"
        else:
            kind = "page fault" if delivery.vector == PAGE_FAULT else "exception"
        case, mode = self.around.gate(delivery.vector, before), mode_of(before)
        entered = self.around.entered_task(before) if case == "task gate" else before
        tasks = self.around.tasks(before, entered)
        is_fault = delivery.kind is DeliveryKind.EXCEPTION
        self._entries.append(Event(kind, mode, case, tasks, _loads_cr3(tasks, before), refused if is_fault else None))
        if case == "task gate":
            return entered
        if mode == "real":
            entry = int.from_bytes(self.around.bytes_at(4 * delivery.vector, 4), "little")
            return before | {"eip": entry & 0xFFFF, "cs": entry >> 16}
        gate = self.around.idt(delivery.vector)
        return before | {
            "eip": gate & 0xFFFF | gate >> 48 << 16,
            "cs": gate >> 16 & 0xFFFF,
            "eflags": before["eflags"] & ~VM,
        }


def _site_of(eip: int, window: bytes, bits: int, mode: str, cpl: int, linear: int) -> _Site | None:
    try:
        instruction = decode(window, bits)
    except ValueError:
        return None
    name, form = instruction.mnemonic, instruction.form
    behind = eip + instruction.length & (0xFFFFFFFF if bits == 32 else 0xFFFF)
    if form == "rel":
        leads_to: tuple[int, ...] = (behind, instruction.target(eip))
    elif instruction.is_branch:
        leads_to = ()
    else:
        leads_to = (behind, eip) if name.startswith("REP ") else (behind,)
    loads_cr3 = instruction.names[:1] == ("cr3",)
    step = Step(window[: instruction.length], bits, mode, linear, cpl, loads_cr3=loads_cr3)
    is_always_so = (name, form) in (("JMP", "rel"), ("CALL", "rel"))
    plain = is_always_so or not (
        instruction.is_branch
        or instruction.loads_segment
        or form == "m far"
        or name[0] == "F"
        or name in _FLAGS
        or name in ("CMPXCHG", "MUL", "IMUL", "BSF", "BSR", "LSL")
    )
    conditional = name == "Jcc"
    target = linear - eip + leads_to[-1] & 0xFFFFFFFF if form == "rel" else 0
    taken = step._replace(taken=True, target=target)
    return _Site(instruction, taken if is_always_so else step, taken, leads_to, conditional, plain or conditional)


def _loads_cr3(tasks: str, before: Registers) -> bool:
    """Whether a switch of such tasks did: TSSs of the 286 have no CR3, and without paging it stays as it is."""
    return tasks.endswith("386") and bool(before["cr0"] & PG)


def _is_taken(instruction: Decoded, flags: int, counter: int) -> bool:
    """Of a branch; `counter` is ECX behind it."""
    name, count = instruction.mnemonic, counter & (1 << instruction.address_bits) - 1
    if name == "JCXZ":
        return not count
    if name.startswith("LOOP"):
        equal = {"LOOPE": 1, "LOOPNE": 0}.get(name, flags >> 6 & 1)
        return bool(count) and flags >> 6 & 1 == equal
    return True
