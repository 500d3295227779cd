"""Processor models: what CPUID says, which MSRs and control bits exist.

A model advertises only what Unicorn executes.  So no model has VME (virtual interrupt flag), MTRR, machine check,
RDRAND (it would not be deterministic), XSAVE or 64-bit mode.
Not modelled: an older model executes the newer instructions that need no CPUID bit in Unicorn (a "386" runs XADD);
IA32_MISC_ENABLE keeps what is written and switches nothing (as in QEMU).

Source: Intel SDM Vol. 2A, "CPUID"; Vol. 4, "Model-Specific Registers"; Linux Documentation/virt/kvm/x86/cpuid.rst for
the hypervisor's leaves; the names and numbers of `qemu32`, `pentium` and `486` are QEMU's.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hillemu.emu.errors import OptionError

# CPUID.1:EDX
FPU, DE, PSE, TSC, MSR, PAE, CX8, APIC, SEP, PGE = (1 << n for n in (0, 2, 3, 4, 5, 6, 8, 9, 11, 13))
CMOV, PAT, PSE36, CLFLUSH, MMX, FXSR, SSE, SSE2 = (1 << n for n in (15, 16, 17, 19, 23, 24, 25, 26))
# CPUID.1:ECX
SSE3, PCLMULQDQ, SSSE3, SSE41, SSE42, MOVBE, POPCNT, AES = (1 << n for n in (0, 1, 9, 19, 20, 22, 23, 25))
HYPERVISOR = 1 << 31
"""CPUID.1:ECX of every model, as in QEMU: systems then do not look for what a processor of its family must have."""
# CPUID.7.0:EBX
BMI1, SMEP, BMI2, ERMS, ADX, SMAP, CLFLUSHOPT = (1 << n for n in (3, 7, 8, 9, 19, 20, 23))
# CPUID.7.0:ECX
UMIP = 1 << 2
# CPUID.80000001:EDX
NX, RDTSCP = 1 << 20, 1 << 27

HYPERVISOR_NAME = b"HILLEMU i386"
"""Leaf 40000000h's signature, which names the hypervisor; leaf 40000001h, the highest, tells of no interface."""

EFLAGS_AC, EFLAGS_ID = 1 << 18, 1 << 21

# Words of QEMU's feature array that the translator looks at
_FEAT_1_EDX, _FEAT_1_ECX, _FEAT_7_0_EBX, _FEAT_8000_0001_EDX, _FEATURE_WORDS = 0, 1, 2, 6, 34

_UNICORN_QEMU32 = 4
"""Every model starts from this one of Unicorn's; its feature words are then replaced."""

PHYSICAL_ADDRESS_BITS = 40
"""What Unicorn's page walk checks reserved bits against (QEMU's TCG_PHYS_ADDR_BITS)."""

_MISC_ENABLE = sum(1 << bit for bit in (0, 3, 16, 18, 22, 23, 34))
"""What WRMSR can set in IA32_MISC_ENABLE: fast strings, thermal control, SpeedStep, MONITOR, the limit of CPUID's
leaves, xTPR messages off, NX off."""

ANY_SUBLEAF = 0xFFFFFFFF
WRITABLE = (1 << 64) - 1


class CpuModel(NamedTuple):
    """One `--cpu`.  `signature` is CPUID.1:EAX, which is in EDX after reset too."""

    name: str
    signature: int
    edx: int
    ecx: int = 0
    leaf7_ebx: int = 0
    leaf7_ecx: int = 0
    extended_edx: int = 0
    has_cpuid: bool = True
    has_cr4: bool = True
    eflags_fixed: int = 0
    brand: str = ""

    @property
    def unicorn_model(self) -> int:
        """Unicorn's number of the model to start from."""
        return _UNICORN_QEMU32

    @property
    def cpuid_leaves(self) -> list[tuple[int, int, int, int, int, int]]:
        """Rows (leaf, subleaf, eax, ebx, ecx, edx)."""
        if not self.has_cpuid:
            return []
        highest = 7 if self.leaf7_ebx else 1
        vendor = struct.unpack("<III", b"GenuineIntel")
        rows = [
            (0, ANY_SUBLEAF, highest, vendor[0], vendor[2], vendor[1]),
            # EBX: CLFLUSH line of 8 quadwords, one logical processor, APIC ID 0
            (1, ANY_SUBLEAF, self.signature, 0x00010800 if self.edx & CLFLUSH else 0, self.ecx | HYPERVISOR, self.edx),
            (0x40000000, ANY_SUBLEAF, 0x40000001, *struct.unpack("<III", HYPERVISOR_NAME)),
            (0x40000001, ANY_SUBLEAF, 0, 0, 0, 0),
        ]
        if highest == 7:
            rows.append((7, 0, 0, self.leaf7_ebx, self.leaf7_ecx, 0))
        if self.brand:
            text = struct.unpack("<12I", self.brand.encode().ljust(48, b"\0"))
            highest_extended = 0x80000008 if self.edx & PSE36 or self.edx & PAE else 0x80000004
            rows.append((0x80000000, ANY_SUBLEAF, highest_extended, vendor[0], vendor[2], vendor[1]))
            rows.append((0x80000001, ANY_SUBLEAF, 0, 0, 0, self.extended_edx))
            rows.extend((0x80000002 + n, ANY_SUBLEAF, *text[4 * n : 4 * n + 4]) for n in range(3))
            if highest_extended == 0x80000008:
                # No cache or TLB of AMD's kind, no invariant TSC: there, but zero.
                rows.extend((leaf, ANY_SUBLEAF, 0, 0, 0, 0) for leaf in (0x80000005, 0x80000006, 0x80000007))
                rows.append((0x80000008, ANY_SUBLEAF, PHYSICAL_ADDRESS_BITS | 32 << 8, 0, 0, 0))
        return rows

    @property
    def msrs(self) -> list[tuple[int, int, int]]:
        """Rows (index, value at reset, bits that WRMSR may change)."""
        rows: list[tuple[int, int, int]] = []
        if self.edx & MSR and self.edx & TSC:
            rows.append((0x10, 0, WRITABLE))  # IA32_TIME_STAMP_COUNTER
        if self.edx & SEP:
            rows += [(0x174, 0, WRITABLE), (0x175, 0, WRITABLE), (0x176, 0, WRITABLE)]  # IA32_SYSENTER_CS/ESP/EIP
            rows += [(0x17, 0, 0), (0x8B, 0, WRITABLE)]  # IA32_PLATFORM_ID, IA32_BIOS_SIGN_ID
        if self.edx & PAT:
            rows.append((0x277, 0x0007040600070406, 0x0707070707070707))  # IA32_PAT
        if self.extended_edx & NX:
            rows.append((0xC0000080, 0, 1 << 11))  # IA32_EFER: NXE
        if self.extended_edx & RDTSCP:
            rows.append((0xC0000103, 0, 0xFFFFFFFF))  # IA32_TSC_AUX, which RDTSCP puts into ECX
        if self.name == "max":
            rows.append((0x1A0, 1, _MISC_ENABLE))  # fast strings are on
        return rows

    @property
    def feature_words(self) -> list[int]:
        words = [0] * _FEATURE_WORDS
        words[_FEAT_1_EDX] = self.edx
        words[_FEAT_1_ECX] = self.ecx
        words[_FEAT_7_0_EBX] = self.leaf7_ebx
        words[_FEAT_8000_0001_EDX] = self.extended_edx
        return words

    @property
    def cr4_valid(self) -> int:
        """Bits of CR4 that may be set."""
        bits = 0
        for feature, mask in ((TSC, 1 << 2), (DE, 1 << 3), (PSE, 1 << 4), (PAE, 1 << 5), (PGE, 1 << 7)):
            bits |= mask if self.edx & feature else 0
        bits |= 1 << 9 if self.edx & FXSR else 0
        bits |= 1 << 10 if self.edx & SSE else 0
        bits |= 1 << 11 if self.leaf7_ecx & UMIP else 0
        bits |= 1 << 20 if self.leaf7_ebx & SMEP else 0
        bits |= 1 << 21 if self.leaf7_ebx & SMAP else 0
        return bits


_PENTIUM = FPU | DE | PSE | TSC | MSR | CX8 | APIC | MMX
_P6 = _PENTIUM | PAE | SEP | PGE | CMOV | PAT | FXSR | SSE | SSE2

MODELS = {
    model.name: model
    for model in (
        CpuModel("386", 0x308, FPU, has_cpuid=False, has_cr4=False, eflags_fixed=EFLAGS_AC | EFLAGS_ID),
        CpuModel("486", 0x480, FPU | PSE),
        CpuModel("pentium", 0x543, _PENTIUM),
        CpuModel("qemu32", 0x663, _P6, SSE3, brand="hillemu virtual CPU (qemu32)"),
        CpuModel(
            "max",
            0x663,
            _P6 | PSE36 | CLFLUSH,
            SSE3 | PCLMULQDQ | SSSE3 | SSE41 | SSE42 | MOVBE | POPCNT | AES,
            BMI1 | SMEP | BMI2 | ERMS | ADX | SMAP | CLFLUSHOPT,
            UMIP,
            NX | RDTSCP,
            brand="hillemu virtual CPU (max)",
        ),
    )
}


def model_named(name: str) -> CpuModel:
    """Look up a model; `OptionError` lists what there is."""
    try:
        return MODELS[name]
    except KeyError:
        raise OptionError("--cpu", f"there is no {name!r}; choose one of {', '.join(MODELS)}") from None
