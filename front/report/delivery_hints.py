"""Why an exception could not be delivered: followed step by step, as the processor delivers it.

The steps are: find the gate in the IDT, find its code segment, find the stack (the TSS names it when the privilege
changes), push the frame, fetch the handler's first instruction.

Not followed: task gates beyond their descriptor, 16-bit task-state segments.

Source: Intel SDM Vol. 3A, "Exception- or Interrupt-Handler Procedures".
"""

from __future__ import annotations

from hillemu.emu.guest import Segment
from hillemu.emu.i386 import tss
from hillemu.emu.i386.control import Access
from hillemu.emu.i386.descriptors import CodeSegment, Gate, decode
from hillemu.emu.i386.outcomes import Mapped
from hillemu.emu.i386.tables import gate_problems, look_up
from hillemu.emu.i386.vectors import describe
from hillemu.report.deliveries import delivery_title
from hillemu.report.view import Delivery, Scene, is_page_fault

_GATE_BYTES = 8
_REAL_MODE_LIMIT = 0x3FF


def failed_delivery(scene: Scene, first: Delivery) -> str | None:
    """What stopped the processor from delivering `first`, in one sentence; `None` if every step looks good."""
    if not scene.protected:
        return None
    what = delivery_title(first) + (f" at 0x{first.cr2:08X}" if is_page_fault(first) else "")
    subject = f"the first exception, {what}," if first.kind == "exception" else f"{what}"
    idt = scene.registers.segment("idtr")
    if problem := _missing_table(idt, first.vector):
        return f"{problem}, so {subject} could not be delivered"
    gate_bytes = scene.read(idt.base + first.vector * _GATE_BYTES, _GATE_BYTES)
    if len(gate_bytes) < _GATE_BYTES:
        return f"the IDT at 0x{idt.base:08X} cannot be read (is its page mapped?), so {subject} could not be delivered"
    gate = decode(int.from_bytes(gate_bytes, "little"))
    problems = gate_problems(gate, scene.table("gdtr"), scene.table("ldtr"))
    if problems:
        entry = f"IDT entry {first.vector:#04x} for {describe(first.vector)}"
        return f"{entry} is unusable ({'; '.join(problems)}), so {subject} could not be delivered"
    if not isinstance(gate, Gate) or gate.is_task:
        return None
    target = look_up(gate.selector, scene.table("gdtr"), scene.table("ldtr"))
    if not isinstance(target, CodeSegment):
        return None
    if problem := _stack_problem(scene, target):
        return f"{problem}, so the frame of {subject} could not be pushed"
    handler = target.base + gate.offset & 0xFFFFFFFF
    if not isinstance(scene.walk(handler, Access(fetch=True)), Mapped):
        return f"the handler of {describe(first.vector)} at {scene.located(handler)} is not mapped"
    return None


def _missing_table(idt: Segment, vector: int) -> str:
    if idt.limit == 0:
        return "no IDT was loaded (IDTR limit is 0)"
    if idt.base == 0 and idt.limit == _REAL_MODE_LIMIT:
        return "no IDT was loaded (IDTR still describes the real-mode vector table at 0)"
    if vector * _GATE_BYTES + _GATE_BYTES - 1 > idt.limit:
        return f"the IDT ends before vector {vector:#04x} (IDTR limit is {idt.limit:#x})"
    return ""


def _stack_problem(scene: Scene, target: CodeSegment) -> str:
    """Why nothing can be pushed on the stack that the handler will use."""
    if scene.ring == target.dpl or target.conforming:
        top = int(scene.stack_top)
        origin = "the stack"
    else:
        task = scene.registers.segment("tr")
        if not task.selector & 0xFFFC:
            return f"no TSS was loaded (TR is null) to name the stack of ring {target.dpl}"
        fields = scene.read(task.base, min(task.limit + 1, tss.size_bytes(tss.TSS_32)))
        offset, size = tss.TSS_32[f"esp{target.dpl}"]
        selector_at, _ = tss.TSS_32[f"ss{target.dpl}"]
        if len(fields) < selector_at + 2:
            return f"the TSS at 0x{task.base:08X} cannot be read"
        selector = int.from_bytes(fields[selector_at : selector_at + 2], "little")
        stack = look_up(selector, scene.table("gdtr"), scene.table("ldtr"))
        if isinstance(stack, str):
            return f"the TSS's SS{target.dpl} is bad ({stack})"
        top = int.from_bytes(fields[offset : offset + size], "little")
        origin = f"the TSS's stack for ring {target.dpl}"
    outcome = scene.walk(top - 4, Access(write=True))
    if isinstance(outcome, Mapped):
        return ""
    return f"{origin} at 0x{top:08X} cannot be written ({outcome.verdict})"
