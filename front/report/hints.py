"""The likely cause in words: what an experienced kernel developer would say at first sight.

Each hint is a small function that either recognises its cause or stays silent.  Two questions are asked: why did
delivering the exception fail (`hillemu.report.delivery_hints`), and what raised it in the first place (here)?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hillemu.emu.i386 import vectors
from hillemu.emu.i386.address import PhysAddr
from hillemu.emu.i386.errorcodes import SelectorError
from hillemu.emu.i386.outcomes import Denied, Mapped, NotPresent, OutsideRam, ReservedBit
from hillemu.emu.i386.registers import Cr0, Cr4
from hillemu.emu.i386.tables import look_up
from hillemu.emu.stop import StopReason
from hillemu.report.delivery_hints import failed_delivery
from hillemu.report.segment_hints import beyond_limit
from hillemu.report.view import Delivery, Scene, is_page_fault

_NULL_PAGE_BYTES = 0x1000
_STACK_REACH_BYTES = 64
_REAL_MODE_EIP = 0xFFFF
_FLAT_BITS = 32
_SSE_PREFIXES = (b"\x0f", b"\xf3\x0f", b"\xf2\x0f", b"\x66\x0f")

Hint = Callable[[Scene, Delivery], str | None]


def hints(scene: Scene) -> list[str]:
    """Sentences, the most telling first; empty when nothing typical is recognised."""
    return list(dict.fromkeys(_all(scene)))


def _all(scene: Scene) -> Iterator[str]:
    if scene.stop.reason is StopReason.HALT and not scene.eflags.IF:
        yield "HLT with interrupts disabled (IF=0) never ends: a panic routine, or a missing STI"
    fault = scene.culprit
    if fault is None:
        return
    if scene.stop.reason is StopReason.TRIPLE_FAULT and (failure := failed_delivery(scene, fault)):
        yield failure
    for hint in _CAUSES:
        if cause := hint(scene, fault):
            yield cause


def _irq_as_exception(scene: Scene, fault: Delivery) -> str | None:
    """The PICs were never told new vectors: a timer tick looks like a double fault."""
    for irq in scene.deliveries[::-1]:
        # An earlier one below 64 KiB may be the BIOS's own, where these vectors are right.
        if irq.kind != "interrupt" or (irq is not fault and irq.eip <= _REAL_MODE_EIP):
            continue
        if not scene.protected or irq.vector >= vectors.FIRST_FREE_VECTOR:
            return None
        return (
            f"a hardware interrupt came as vector {irq.vector:#04x}, which is {vectors.describe(irq.vector)}: "
            "the PICs still have the BIOS's vectors; remap them (ICW2) before STI, or mask them"
        )
    return None


def _execution_left(scene: Scene, fault: Delivery) -> str | None:
    """A fetch that failed: the instruction at EIP itself cannot be read."""
    if not is_page_fault(fault) or not (access := scene.tried(fault)).fetch:
        return None
    outcome = scene.walk(fault.cr2, access)
    if fault.cr2 < _NULL_PAGE_BYTES:
        return f"execution went to 0x{fault.cr2:08X}: a call through a null pointer, or a return on a ruined stack"
    if isinstance(outcome, Denied):
        return f"the code at 0x{fault.cr2:08X} may not be executed: {outcome.reason}"
    if isinstance(outcome, NotPresent) and scene.holds_data(PhysAddr(fault.cr2)):
        return (
            f"paging is on, but the code at 0x{fault.cr2:08X} is not mapped, though RAM holds something there: "
            "map the code that turns paging on to itself"
        )
    return f"execution went to 0x{fault.cr2:08X}, which is not mapped: a wild function pointer, or a ruined stack"


def _null_pointer(scene: Scene, fault: Delivery) -> str | None:
    if not is_page_fault(fault) or scene.tried(fault).fetch or fault.cr2 >= _NULL_PAGE_BYTES:
        return None
    return f"a {scene.tried(fault)} through a null pointer (address 0x{fault.cr2:08X})"


def _stack_overflow(scene: Scene, fault: Delivery) -> str | None:
    if not is_page_fault(fault) or scene.tried(fault).fetch or fault.cr2 < _NULL_PAGE_BYTES:
        return None
    top = scene.stack_top
    if not top - _STACK_REACH_BYTES <= fault.cr2 < top + _STACK_REACH_BYTES:
        return None
    if not isinstance(scene.walk(fault.cr2, scene.tried(fault)), NotPresent):
        return None
    return (
        f"the stack ran out: ESP is 0x{top:08X}, and the page of 0x{fault.cr2:08X} is not mapped (endless recursion?)"
    )


def _forbidden_page(scene: Scene, fault: Delivery) -> str | None:
    """A page fault on a page that is there."""
    if not is_page_fault(fault) or scene.tried(fault).fetch:
        return None
    outcome = scene.walk(fault.cr2, scene.tried(fault))
    if isinstance(outcome, Denied):
        return f"a {outcome.access} to 0x{fault.cr2:08X} was denied: {outcome.reason}"
    if isinstance(outcome, ReservedBit):
        return f"a paging entry is malformed: {outcome.verdict}"
    if isinstance(outcome, OutsideRam):
        return f"the page tables are broken: {outcome.verdict}"
    if isinstance(outcome, Mapped):
        return (
            f"0x{fault.cr2:08X} is mapped now: an old translation in the TLB (missing INVLPG?), or tables changed since"
        )
    return None


def _bad_selector(scene: Scene, fault: Delivery) -> str | None:
    if fault.kind != "exception" or fault.vector not in (vectors.TS, vectors.NP, vectors.SS, vectors.GP):
        return None
    if not fault.error_code:
        return None
    code = SelectorError(fault.error_code)
    if code.IDT:
        return (
            f"interrupt vector {code.index:#04x} could not be delivered: IDT entry {code.index} is missing or unusable"
        )
    found = look_up(code & 0xFFFC, scene.table("gdtr"), scene.table("ldtr"))
    what = found if isinstance(found, str) else f"selector 0x{code & 0xFFFC:04X} is: {found.text}"
    return f"{vectors.describe(fault.vector)} for a selector; {what}"


def _sse_off(scene: Scene, fault: Delivery) -> str | None:
    if fault.kind != "exception" or fault.vector != vectors.UD or scene.control.cr4 & Cr4.OSFXSR.mask:
        return None
    from hillemu.report.disassembly import decode

    code = scene.read(scene.eip, 15)
    found = decode(code.ljust(30, b"\x90"), scene.offset, scene.code_bits)
    if not code.startswith(_SSE_PREFIXES) or not found or "xmm" not in found[0].text:
        return None
    return "an SSE instruction while CR4.OSFXSR=0: build with -mno-sse (-mgeneral-regs-only), or switch SSE on first"


def _fpu_off(scene: Scene, fault: Delivery) -> str | None:
    if fault.kind != "exception" or fault.vector != vectors.NM:
        return None
    bits = [name for name in ("EM", "TS") if scene.control.cr0 & getattr(Cr0, name).mask]
    return f"an FPU or SSE instruction while CR0.{' and CR0.'.join(bits)} is set" if bits else None


def _null_page_code(scene: Scene, fault: Delivery) -> str | None:
    """Where page 0 is mapped, a call through a null pointer goes on in the real-mode vectors until one is no code."""
    if fault.kind != "exception" or scene.code_bits != _FLAT_BITS or fault.eip >= _NULL_PAGE_BYTES:
        return None
    if is_page_fault(fault) and scene.tried(fault).fetch:
        return None
    return f"execution is at 0x{fault.eip:08X}, in page 0: a call through a null pointer, or a return on a ruined stack"


def _empty_code(scene: Scene, fault: Delivery) -> str | None:
    code = scene.read(scene.eip, 16)
    if len(code) == 16 and not any(code):
        return f"the memory at EIP 0x{scene.eip:08X} is all zeros: execution ran into empty memory"
    return None


_CAUSES: tuple[Hint, ...] = (
    _irq_as_exception,
    _execution_left,
    _null_page_code,
    _null_pointer,
    _stack_overflow,
    _forbidden_page,
    _bad_selector,
    beyond_limit,
    _sse_off,
    _fpu_off,
    _empty_code,
)
