"""NMI, the model-specific registers of devices, and data windows: what devices beside the processor's bus use."""

from __future__ import annotations

from typing import Any

import pytest

from hillemu.emu.cpu.core import CoreStop

PROBE = 0x500


def pull_nmi_at_each_probe(machine: Any) -> None:
    machine.probe.on_access = machine.processor.pull_nmi


def test_an_nmi_comes_through_with_interrupts_disabled(lab: Any) -> None:
    machine = lab(f"mov edx, {PROBE}; out dx, al; jmp 1f; 1: nop; hlt; vector_2: inc ebx; iretd")
    pull_nmi_at_each_probe(machine)
    assert machine.run() is CoreStop.HALT
    assert machine.get("ebx") == 1
    assert [delivery.vector for delivery in machine.processor.deliveries] == [2]


def test_a_second_nmi_waits_for_the_firsts_iret(lab: Any) -> None:
    machine = lab(
        f"""
        mov edx, {PROBE}; out dx, al; jmp 1f; 1: nop; hlt
        vector_2: inc ebx; cmp ebx, 1; jne 2f; out dx, al; jmp 3f; 3: mov ecx, ebx; 2: iretd
        """
    )
    pull_nmi_at_each_probe(machine)
    assert machine.run() is CoreStop.HALT
    assert (machine.get("ebx"), machine.get("ecx")) == (2, 1)


def test_an_nmi_ends_a_halt(lab: Any) -> None:
    machine = lab("sti; hlt; mov ecx, 5; cli; hlt; vector_2: inc ebx; iretd")
    machine.pc.clock.schedule(1000, machine.processor.pull_nmi)
    assert machine.run() is CoreStop.HALT
    assert (machine.get("ebx"), machine.get("ecx")) == (1, 5)


def test_no_nmi_comes_between_a_load_of_ss_and_the_next_instruction(lab: Any) -> None:
    machine = lab(
        f"""
        mov edx, {PROBE}; mov ax, ss
        out dx, al; mov ss, ax; mov esp, 0x70000; nop; jmp 1f; 1: nop; hlt
        vector_2: mov ecx, esp; iretd
        """
    )
    pull_nmi_at_each_probe(machine)
    assert machine.run() is CoreStop.HALT
    assert machine.get("ecx") == 0x70000 - 12


def test_a_devices_msr_is_read_and_written_through_it_and_a_refused_value_is_a_general_protection_fault(
    lab: Any,
) -> None:
    machine = lab(
        """
        mov ecx, 0x1B; rdmsr; mov esi, eax
        mov eax, 0x1234; xor edx, edx; wrmsr
        mov eax, 0xBAD; wrmsr; hlt
        vector_13: mov edi, 13; cli; hlt
        """
    )
    if machine.processor.mode == "portable":
        pytest.skip("the portable core leaves MSRs to Unicorn")
    written: list[int] = []

    def write(value: int) -> bool:
        written.append(value)
        return value != 0xBAD

    machine.processor.device_msrs[0x1B] = (lambda: 0xFEE00900, write)
    machine.run()
    assert (machine.get("esi"), machine.get("edi"), written) == (0xFEE00900, 13, [0x1234, 0xBAD])


def test_a_data_window_gives_what_the_device_would_and_leaves_it_the_last_item(lab: Any) -> None:
    machine = lab(f"mov edx, {PROBE}; mov edi, 0x200000; mov ecx, 8; cld; rep insw; in ax, dx; hlt")
    data = bytearray(range(16))
    window = machine.processor.data_window(PROBE)
    window.open(data, 0, 14, size=2, output=False)
    closed: list[int | None] = []
    machine.probe.replies.extend([0x0F0E, 0x7777])
    machine.probe.on_access = lambda: closed.append(window.close())
    assert machine.run() is CoreStop.HALT
    assert machine.memory.read(0x200000, 16) == bytes(range(16))
    assert closed == [14, None]
    assert machine.get("eax") & 0xFFFF == 0x7777


def test_a_window_takes_as_long_as_the_device(lab: Any) -> None:
    source = f"mov edx, {PROBE}; mov esi, 0x200000; mov ecx, 256; cld; rep outsw; hlt"
    plain, windowed = lab(source), lab(source)
    plain.run()
    room = bytearray(512)
    windowed.memory.write(0x200000, bytes(range(256)) * 2)
    window = windowed.processor.data_window(PROBE)
    window.open(room, 0, 510, size=2, output=True)
    windowed.run()
    assert windowed.processor.ticks() == plain.processor.ticks()
    assert windowed.count == plain.count
    assert window.close() == 510
    assert bytes(room[:510]) == (bytes(range(256)) * 2)[:510]
    assert len(windowed.probe.log) == 1


def test_an_access_of_another_width_or_direction_goes_past_the_window(lab: Any) -> None:
    machine = lab(f"mov edx, {PROBE}; in al, dx; out dx, ax; in ax, dx; hlt")
    window = machine.processor.data_window(PROBE)
    window.open(bytearray(b"\x34\x12\x78\x56"), 0, 4, size=2, output=False)
    machine.run()
    assert [row[1:4] for row in machine.probe.log] == [("in", 0, 1), ("out", 0, 2)]
    assert machine.get("eax") & 0xFFFF == 0x1234
    assert window.close() == 2


def test_the_local_apics_id_reads_as_it_was_last_written_wherever_its_registers_are(lab: Any) -> None:
    machine = lab(
        f"""
        mov edx, {PROBE}; mov edi, 0xFEE00020
        mov eax, [edi]; out dx, eax
        mov dword ptr [edi], 0x05000000; mov eax, [edi]; out dx, eax
        mov al, [edi + 3]; out dx, al
        mov ecx, 0x1B; rdmsr; and eax, 0xFFF; or eax, 0xFEA00000; wrmsr
        mov edx, {PROBE}; mov eax, [edi]; out dx, eax
        mov edi, 0xFEA00020; mov eax, [edi]; out dx, eax
        hlt
        """
    )
    if machine.processor.mode == "portable":
        pytest.skip("the portable core leaves MSRs to Unicorn")
    machine.run()
    assert machine.probe.values == [0, 0x05000000, 0x05, 0xFFFFFFFF, 0x05000000]


def test_reading_the_local_apics_id_does_not_call_the_device(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = lab("mov ecx, 100; 1: mov eax, [0xFEE00020]; dec ecx; jnz 1b; mov ebx, [0xFEE00030]; hlt")
    asked: list[int] = []
    read = machine.pc.lapic.read
    monkeypatch.setattr(machine.pc.lapic, "read", lambda offset, size: asked.append(offset) or read(offset, size))
    machine.run()
    assert asked == [0x30]
