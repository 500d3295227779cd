"""System registers, with their bits named as the manual prints them.

>>> Eflags(0x00000246)
Eflags(0x00000246 IF ZF PF)
>>> Cr0(0x80010011)
Cr0(0x80010011 PG WP ET PE)
>>> Eflags.IF.mask == 0x200
True

Source: Intel SDM Vol. 3A, "System Flags and Fields in the EFLAGS Register", "Control Registers", "Extended Feature
Enable Register"; Vol. 3B, "Debug Registers".
"""

from __future__ import annotations

from hillemu.emu.word import Bit, Bits, Word


class Eflags(Word):
    """The flags register.  Bit 1 always reads as one."""

    ID = Bit(21)
    VIP = Bit(20)
    VIF = Bit(19)
    AC = Bit(18)
    VM = Bit(17)
    RF = Bit(16)
    NT = Bit(14)
    IOPL = Bits(13, 12)
    OF = Bit(11)
    DF = Bit(10)
    IF = Bit(9)
    TF = Bit(8)
    SF = Bit(7)
    ZF = Bit(6)
    AF = Bit(4)
    PF = Bit(2)
    CF = Bit(0)


class Cr0(Word):
    """How the processor runs: paging, protection, the FPU."""

    PG = Bit(31)
    CD = Bit(30)
    NW = Bit(29)
    AM = Bit(18)
    WP = Bit(16)
    NE = Bit(5)
    ET = Bit(4)
    TS = Bit(3)
    EM = Bit(2)
    MP = Bit(1)
    PE = Bit(0)


class Cr3(Word):
    """Where the page directory is, with 32-bit paging."""

    directory = Bits(31, 12)
    PCD = Bit(4)
    PWT = Bit(3)


class PaeCr3(Word):
    """Where the four page-directory pointers are, with PAE paging: a multiple of 32, divided by 32."""

    pointers = Bits(31, 5)
    PCD = Bit(4)
    PWT = Bit(3)


class Cr4(Word):
    """Extensions that the system software has switched on."""

    PKE = Bit(22)
    SMAP = Bit(21)
    SMEP = Bit(20)
    OSXSAVE = Bit(18)
    PCIDE = Bit(17)
    FSGSBASE = Bit(16)
    SMXE = Bit(14)
    VMXE = Bit(13)
    LA57 = Bit(12)
    UMIP = Bit(11)
    OSXMMEXCPT = Bit(10)
    OSFXSR = Bit(9)
    PCE = Bit(8)
    PGE = Bit(7)
    MCE = Bit(6)
    PAE = Bit(5)
    PSE = Bit(4)
    DE = Bit(3)
    TSD = Bit(2)
    PVI = Bit(1)
    VME = Bit(0)


class Efer(Word):
    """IA32_EFER, MSR 0xC0000080; the upper half is reserved."""

    NXE = Bit(11)
    LMA = Bit(10)
    LME = Bit(8)
    SCE = Bit(0)


class Dr6(Word):
    """Why the last #DB came."""

    BT = Bit(15)
    BS = Bit(14)
    BD = Bit(13)
    B3 = Bit(3)
    B2 = Bit(2)
    B1 = Bit(1)
    B0 = Bit(0)


class Dr7(Word):
    """Which of the breakpoints DR0-DR3 are on, what they watch (R/W) and how many bytes (LEN)."""

    LEN3 = Bits(31, 30)
    RW3 = Bits(29, 28)
    LEN2 = Bits(27, 26)
    RW2 = Bits(25, 24)
    LEN1 = Bits(23, 22)
    RW1 = Bits(21, 20)
    LEN0 = Bits(19, 18)
    RW0 = Bits(17, 16)
    GD = Bit(13)
    GE = Bit(9)
    LE = Bit(8)
    G3 = Bit(7)
    L3 = Bit(6)
    G2 = Bit(5)
    L2 = Bit(4)
    G1 = Bit(3)
    L1 = Bit(2)
    G0 = Bit(1)
    L0 = Bit(0)
