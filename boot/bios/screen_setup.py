"""The firmware's side of `hillemu.boot.video_mode`: a loader's wish for a graphics mode, carried out."""

from __future__ import annotations

from hillemu.boot.bios import vbe, video_card
from hillemu.boot.bios.vbe_modes import MASKS, MODES
from hillemu.boot.bios.video_palettes import vga_colors
from hillemu.boot.video_mode import BitField, Framebuffer, SetMode, VbeFacts
from hillemu.emu.guest import Guest


def mode_setter(guest: Guest) -> SetMode:
    """`set_video_mode` for this guest, as loaders take it."""
    return lambda width, height, depth: set_video_mode(guest, width, height, depth)


def set_video_mode(guest: Guest, width: int, height: int, depth: int) -> Framebuffer | None:
    """Set the graphics mode of just this size and depth (8, 15, 16, 24 or 32), and describe it.

    Returns `None` and changes nothing when there is no such mode, or no linear framebuffer.
    """
    mode = next((mode for mode in MODES if mode[1:] == (width, height, depth) and not mode.is_planar), None)
    if mode is None or not video_card.is_there(guest) or not mode.pages(video_card.memory_bytes(guest)):
        return None
    address = video_card.framebuffer_address(guest)
    if not address:
        return None
    vbe.enter(guest, mode, linear=True, keep=False)
    facts = VbeFacts(vbe.current_mode(guest), vbe.controller_info(guest), vbe.info_of(guest, mode))
    red, green, blue = (_field(*mask) for mask in MASKS.get(depth, ((0, 0),) * 4)[:3])
    return Framebuffer(
        address,
        mode.pitch_bytes,
        width,
        height,
        8 * mode.pixel_bytes,
        red,
        green,
        blue,
        palette=_wide_colors() if depth == 8 else b"",
        vbe=facts,
    )


def _field(bits: int, lowest: int) -> BitField:
    return lowest, bits


def _wide_colors() -> bytes:
    """The DAC's colors with eight bits a component."""
    return bytes(value << 2 | value >> 4 for value in vga_colors())
