"""Who called whom: the chain of saved EBPs, read through the guest's own segments and page tables.

::

    EBP -> | caller's EBP | return address |      compiled with a frame pointer (gcc -fno-omit-frame-pointer)

A crash in a function's first instructions has no frame of its own yet, and neither has a call to nowhere: then the
return address is still on top of the stack.
"""

from __future__ import annotations

from hillemu.report.view import DEFAULT_OPERATION_SIZE, Scene

MAX_FRAMES = 32
_PUSH_EBP = 0x55


def backtrace_lines(scene: Scene) -> list[str]:
    """One line for each frame, innermost first, and why the chain ends where that is not its normal end."""
    addresses, end = _chain(scene)
    lines = [f"#0  {scene.located(scene.eip)}"]
    for number, address in enumerate(addresses, start=1):
        lines.append(f"#{number:<2} 0x{address:08X} {scene.name(address, return_address=True)}".rstrip())
    return lines + ([f"({end})"] if end else [])


def _chain(scene: Scene) -> tuple[list[int], str]:
    if not scene.ss.attributes & DEFAULT_OPERATION_SIZE:
        return [], "a 16-bit stack has no chain of frames"
    addresses = []
    if (early := _return_address_on_top(scene)) is not None:
        addresses.append(scene.cs.base + early & 0xFFFFFFFF)
    frame = scene.registers.get("ebp")
    seen: set[int] = set()
    while frame:
        if frame in seen:
            return addresses, f"the chain loops: EBP 0x{frame:08X} was there before"
        if len(addresses) >= MAX_FRAMES:
            return addresses, f"more than {MAX_FRAMES} frames"
        seen.add(frame)
        caller, returns_to = scene.u32(scene.ss.base + frame), scene.u32(scene.ss.base + frame + 4)
        if caller is None or returns_to is None:
            return addresses, f"the frame at EBP 0x{frame:08X} is not readable"
        if returns_to == 0:
            break
        addresses.append(scene.cs.base + returns_to & 0xFFFFFFFF)
        frame = caller
    return addresses, ""


def _return_address_on_top(scene: Scene) -> int | None:
    """The caller that the EBP chain does not know yet, if the function has not built its frame."""
    esp = scene.registers.get("esp")
    if not scene.read(scene.eip, 1):  # a call to nowhere pushed its return address, and nothing ran since
        caller = scene.u32(scene.ss.base + esp)
        return caller if caller and scene.read(scene.cs.base + caller, 1) else None
    found = scene.symbols.nearest(scene.eip)
    if found is None or found[1] > 1 or scene.read(scene.eip - found[1], 1) != bytes([_PUSH_EBP]):
        return None
    return scene.u32(scene.ss.base + esp + (4 if found[1] else 0))
