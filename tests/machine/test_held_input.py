"""`--serial-input-after`: input that waits for a prompt, with a guest that echoes whatever comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from hillemu.emu.stop import StopReason
from hillemu.held_input import send_after

# Sends "start-up", three pages of virtual milliseconds and "$ ", and all the while echoes what it receives.
ECHO = """
    mov esi, offset text
again:
    mov edx, 0x3FD
    in al, dx
    test al, 1
    jz 1f
    mov edx, 0x3F8
    in al, dx
    out dx, al
    cmp al, '!'
    je end
1:  inc ecx
    test ecx, 0xFFFF
    jnz again
    lodsb
    test al, al
    jz 2f
    mov edx, 0x3F8
    out dx, al
    jmp again
2:  dec esi
    jmp again
end: mov al, 0
    mov edx, 0x501
    cli; hlt
text: .asciz "start-up$ "
"""


@pytest.mark.parametrize("prompt", [r"\$ $", "up. "])
def test_what_is_typed_comes_behind_the_prompt(boot: Callable[..., Any], prompt: str) -> None:
    machine = boot(ECHO)
    send_after(machine, re.compile(prompt, re.MULTILINE), b"ls!")
    assert machine.run(max_insns=100_000_000).reason is StopReason.HALT
    assert machine.serial.text == "start-up$ ls!"


def test_without_it_the_echo_is_somewhere_in_the_start_up(boot: Callable[..., Any]) -> None:
    machine = boot(ECHO)
    machine.serial.send(b"ls!")
    machine.run(max_insns=100_000_000)
    assert machine.serial.text.startswith("ls!")


def test_what_never_matches_holds_the_input_back_for_ever(boot: Callable[..., Any]) -> None:
    machine = boot(ECHO)
    send_after(machine, re.compile("login:"), b"ls!")
    assert machine.run(max_insns=10_000_000).reason is StopReason.MAX_INSNS
    assert machine.serial.text == "start-up$ "
