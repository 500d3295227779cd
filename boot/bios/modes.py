"""Setting the video BIOS's modes (`mode_table`): the VGA's registers, its memory, and the BIOS data area.

The chip is programmed by its ports, as any BIOS does it.  Display memory is cleared and the font is loaded through the
video window, one plane at a time.

Source: IBM VGA XGA Technical Reference, "BIOS modes"; IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt
10h", "BIOS Data Area".
"""

from __future__ import annotations

from hillemu.boot.bios import bda, video_card
from hillemu.boot.bios.mode_table import COLOR_CRTC as COLOR_CRTC
from hillemu.boot.bios.mode_table import MODES as MODES
from hillemu.boot.bios.mode_table import Mode
from hillemu.boot.bios.video_rom import font_in_rom, install_video_rom, point_to_font
from hillemu.emu.guest import Guest
from hillemu.emu.i386.address import PhysAddr

KEEP_MEMORY = 0x80
"""In a mode number: do not clear display memory."""

MISC_WRITE, SEQUENCER, GRAPHICS, ATTRIBUTE = 0x3C2, 0x3C4, 0x3CE, 0x3C0
PIXEL_MASK, DAC_INDEX, DAC_DATA = 0x3C6, 0x3C8, 0x3C9
STATUS_FROM_CRTC = 6
"""Input status 1 lies so far behind the CRTC's index."""
SHOW = 0x20
"""In the attribute controller's index: the palette is the screen's again."""
WINDOW, WINDOW_BYTES = PhysAddr(0xA0000), 0x10000
FONT_BYTES = 32

# Of the CGA's mode select and color select registers, what the BIOS data area remembers.
_CGA_MODE_SELECT = {0: 0x2C, 1: 0x28, 2: 0x2D, 3: 0x29, 4: 0x2A, 5: 0x2E, 6: 0x1E, 7: 0x29}
_CGA_PALETTE = {6: 0x3F}
_DEFAULT_PALETTE = 0x30
_CURSOR_SHAPE = 0x0607
_MONO_EQUIPMENT, _COLOR_EQUIPMENT, _EQUIPMENT_MASK = 0x30, 0x20, 0x30
_VIDEO_CONTROL, _VIDEO_SWITCHES, _400_LINES_VGA, _VGA_COLOR = 0x60, 0xF9, 0x51, 0x08


def set_mode(guest: Guest, number: int) -> bool:
    """Set mode `number`, with bit 7 without clearing display memory; `False` if there is no such mode."""
    mode = MODES.get(number & ~KEEP_MEMORY)
    if mode is None:
        return False
    video_card.switch_off(guest)
    write_registers(guest, mode)
    load_dac(guest, mode.dac())
    keep = bool(number & KEEP_MEMORY)
    if not keep:
        clear_planes(guest)
    if mode.is_text:
        load_font(guest, font_in_rom(mode.character_lines), mode.character_lines)
    restore_window(guest, mode)
    if mode.is_text and not keep:
        clear_text(guest, mode)
    write_data_area(guest, mode, keep=keep)
    point_to_font(guest, mode.character_lines)
    guest.read_port(mode.crtc_port + STATUS_FROM_CRTC)
    guest.write_port(ATTRIBUTE, SHOW)
    return True


def start_video(guest: Guest) -> None:
    """What a video BIOS does at power-on with a chip that is in mode 3: its ROM, its font, an empty screen."""
    install_video_rom(guest)
    mode = MODES[3]
    load_font(guest, font_in_rom(mode.character_lines), mode.character_lines)
    restore_window(guest, mode)
    clear_text(guest, mode)


def clear_text(guest: Guest, mode: Mode) -> None:
    """Fill display memory with spaces."""
    guest.memory.write(PhysAddr(mode.window), b"\x20\x07" * 0x4000)


def write_registers(guest: Guest, mode: Mode) -> None:
    """Program the chip; the screen stays dark until the attribute controller's index gets `SHOW`."""
    guest.write_port(MISC_WRITE, mode.misc)
    crtc = mode.crtc_port
    guest.read_port(crtc + STATUS_FROM_CRTC)
    palette, (control, planes, panning) = bytes.fromhex(mode.palette), bytes.fromhex(mode.attribute)
    for index, value in enumerate((*palette, control, 0, planes, panning, 0)):
        guest.write_port(ATTRIBUTE, index)
        guest.write_port(ATTRIBUTE, value)
    _put(guest, SEQUENCER, 0, b"\x03" + bytes.fromhex(mode.sequencer))
    _put(guest, crtc, 0x11, b"\x00")  # registers 0-7 are protected by its bit 7
    _put(guest, crtc, 0, bytes.fromhex(mode.crtc))
    _put(guest, GRAPHICS, 0, bytes(5) + bytes.fromhex(mode.graphics) + b"\xff")


def restore_window(guest: Guest, mode: Mode) -> None:
    """Have the processor see display memory as `mode` has it."""
    _put(guest, SEQUENCER, 1, bytes.fromhex(mode.sequencer))
    _put(guest, GRAPHICS, 0, bytes(5) + bytes.fromhex(mode.graphics) + b"\xff")


def load_dac(guest: Guest, colors: bytes) -> None:
    """Load all 256 colors."""
    guest.write_port(PIXEL_MASK, 0xFF)
    guest.write_port(DAC_INDEX, 0)
    for value in colors:
        guest.write_port(DAC_DATA, value)


def clear_planes(guest: Guest) -> None:
    """Clear all 256 KiB.  The window is left to show the last plane."""
    for plane in range(4):
        _select_plane(guest, plane)
        guest.memory.fill(WINDOW, WINDOW_BYTES)


def load_font(guest: Guest, glyphs: bytes, height: int, *, at: int = 0, first: int = 0) -> None:
    """Load `glyphs`, `height` lines each, as characters from code `first` on, into plane 2 at `at`.

    The window is left to show plane 2: `restore_window` is next.
    """
    _select_plane(guest, 2)
    slots = b"".join(glyphs[start : start + height].ljust(FONT_BYTES, b"\0") for start in range(0, len(glyphs), height))
    guest.memory.write(PhysAddr(WINDOW + at + first * FONT_BYTES), slots)


def _select_plane(guest: Guest, plane: int) -> None:
    """Have the window at 0xA0000 be one plane."""
    _put(guest, SEQUENCER, 2, bytes([1 << plane]))
    _put(guest, SEQUENCER, 4, b"\x06")  # neither odd/even nor chained
    _put(guest, GRAPHICS, 0, bytes([0, 0, 0, 0, plane, 0, 0x04, 0, 0xFF]))


def write_data_area(guest: Guest, mode: Mode, *, keep: bool) -> None:
    """Tell programs, by the BIOS data area, which mode is set."""

    def store(at: int, value: int, size: int = 1) -> None:
        guest.memory.write(PhysAddr(at), value.to_bytes(size, "little"))

    equipment = int.from_bytes(guest.memory.read(PhysAddr(bda.EQUIPMENT), 2), "little") & ~_EQUIPMENT_MASK
    store(bda.EQUIPMENT, equipment | (_MONO_EQUIPMENT if mode.number == 7 else _COLOR_EQUIPMENT), 2)
    store(bda.VIDEO_MODE, mode.number)
    store(bda.COLUMNS, mode.columns, 2)
    store(bda.PAGE_BYTES, mode.page_bytes, 2)
    store(bda.PAGE_START, 0, 2)
    guest.memory.fill(PhysAddr(bda.CURSORS), 16)
    store(bda.CURSOR_SHAPE, _CURSOR_SHAPE if mode.is_text else 0, 2)
    store(bda.ACTIVE_PAGE, 0)
    store(bda.CRTC_PORT, mode.crtc_port, 2)
    if mode.number in _CGA_MODE_SELECT:
        store(bda.MODE_SELECT, _CGA_MODE_SELECT[mode.number])
        store(bda.CGA_PALETTE, _CGA_PALETTE.get(mode.number, _DEFAULT_PALETTE))
    store(bda.LAST_ROW, mode.rows - 1)
    store(bda.CHARACTER_LINES, mode.character_lines, 2)
    store(bda.VIDEO_CONTROL, _VIDEO_CONTROL | (KEEP_MEMORY if keep else 0))
    store(bda.VIDEO_SWITCHES, _VIDEO_SWITCHES)
    store(bda.MODE_SET_CONTROL, _400_LINES_VGA)
    store(bda.DISPLAY_CODE, _VGA_COLOR)


def _put(guest: Guest, port: int, first: int, values: bytes) -> None:
    """Write `values` to the indexed registers of `port` from index `first` on."""
    for index, value in enumerate(values, first):
        guest.write_port(port, index)
        guest.write_port(port + 1, value)
