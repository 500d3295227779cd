/* Where things lie inside unicorn 2.1.4 (x86 target, 64-bit host).
 *
 * This is the only file that knows offsets.  They were taken with offsetof() from the 2.1.4 source, and
 * layout.c checks them on the running library before anything is used.  Source: unicorn 2.1.4,
 * include/uc_priv.h, qemu/include/hw/core/cpu.h, qemu/target/i386/cpu.h, qemu/include/tcg/tcg.h,
 * qemu/include/exec/{exec-all,cpu-defs}.h.
 */
#ifndef HILLEMU_LAYOUT_H
#define HILLEMU_LAYOUT_H

#include <stdint.h>

#define LAYOUT_UNICORN_VERSION 0x020104u /* uc_version() >> 8 of the library that these offsets describe */

/* The field of type `type` at `offset` bytes behind `base`. */
#define FIELD(type, base, offset) (*(type *)((char *)(base) + (offset)))

/* struct uc_struct */
enum {
    UC_CPU = 440,
    UC_TCG_CTX = 768,
    UC_STOP_REQUEST = 1389,
    UC_NO_EXIT_REQUEST = 2034,
    UC_INVALID_ADDR = 1416,
};

/* struct CPUState */
enum {
    CPU_EXIT_REQUEST = 21,
    CPU_CFLAGS_NEXT_TB = 24,
    CPU_INTERRUPT_REQUEST = 28,
    CPU_ICOUNT_BUDGET = 40, /* QEMU's own icount fields: idle in Unicorn, so the clock lives there */
    CPU_ICOUNT_EXTRA = 48,
    CPU_ENV_PTR = 296,
    CPU_ICOUNT_DECR_PTR = 304,
    CPU_MEM_IO_PC = 33144,
    CPU_HALTED = 33176,
    CPU_UC = 33192,
    CPU_CLASS = 33200,
};

/* struct CPUClass */
enum {
    CLASS_DO_INTERRUPT = 16,
    CLASS_DO_UNALIGNED_ACCESS = 24,
    CLASS_TLB_FILL = 72,
    CLASS_EXEC_INTERRUPT = 144,
};

/* CPUX86State, from its own start; it lies X86CPU_ENV behind the CPUState */
enum {
    X86CPU_ENV = 35408,
    ENV_REGS = 0, /* 8 bytes each: eax ecx edx ebx esp ebp esi edi */
    ENV_EIP = 128,
    ENV_CC_SRC = 152,
    ENV_DF = 172,
    ENV_EFLAGS = 136, /* without the condition codes, which are computed lazily */
    ENV_CC_OP = 168,
    ENV_HFLAGS = 176,
    ENV_HFLAGS2 = 180,
    ENV_SEGS = 184, /* es cs ss ds fs gs, SEG_SIZE each */
    ENV_LDT = 328,
    ENV_TR = 352,
    ENV_GDT = 376,
    ENV_IDT = 400,
    ENV_CR = 424, /* 8 bytes each */
    ENV_EFER = 592,
    ENV_FPUC = 610,
    ENV_MXCSR = 816,
    ENV_SYSENTER_CS = 4800,
    ENV_SYSENTER_ESP = 4808,
    ENV_SYSENTER_EIP = 4816,
    ENV_ERROR_CODE = 5384,
    ENV_EXCEPTION_IS_INT = 5388,
    ENV_EXCEPTION_NEXT_EIP = 5392,
    ENV_DR = 5400,
    ENV_BREAKPOINTS = 5464, /* pointers to those of DR0-DR3 */
    ENV_OLD_EXCEPTION = 5496,
    ENV_FEATURES = 5632, /* 8 bytes each, in the order of QEMU's FeatureWord */
    ENV_FEATURE_WORDS = 34,
    ENV_UC = 7000,
};

/* SegmentCache */
enum { SEG_SELECTOR = 0, SEG_BASE = 8, SEG_LIMIT = 16, SEG_FLAGS = 20, SEG_SIZE = 24 };
enum { REG_ESP = 4, REG_EBP = 5 };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/* env->hflags: facts that the translator depends on */
enum {
    HF_CPL = 3,
    HF_INHIBIT_IRQ = 1 << 3,
    HF_CS32 = 1 << 4,
    HF_SS32 = 1 << 5,
    HF_ADDSEG = 1 << 6,
    HF2_GIF = 1 << 0,
    HF2_NMI = 1 << 2,
};

/* struct TCGContext */
enum {
    TCG_NB_OPS = 56,
    TCG_CODE_GEN_BUFFER = 160,
    TCG_CPU = 224,   /* the processor that is being translated for; NULL between translations */
    TCG_OPS = 29576, /* QTAILQ_HEAD(, TCGOp) */
    TCG_CPU_ENV = 39152,
    TCG_UC = 39280,
    TCG_CC_DST = 39288, /* where the temporary of the flags' result is */
    TCG_REGISTERS = 39320, /* 8 bytes each: where the temporaries of eax, ecx, ... are */
    TCG_SEG_BASES = 39768, /* 8 bytes each: where the temporaries of es, cs, ss, ds, fs, gs bases are */
};

/* TCGOp and opcodes that the clock's prologue is made of */
enum { OP_OPCODE = 0, OP_CALL_ARGS = 8 /* bit */, OP_LINK = 8, OP_ARGS = 24 };
enum {
    OPC_SET_LABEL = 1,
    OPC_CALL = 2,
    OPC_BR = 3,
    OPC_ST_I32 = 16,
    OPC_MULU2_I32 = 41,
    OPC_MULS2_I32 = 42,
    OPC_LD32S_I64 = 72,
    OPC_LD_I64 = 73,
    OPC_ST_I64 = 77,
    OPC_ADD_I64 = 78,
    OPC_SUB_I64 = 79,
    OPC_MOV_I64 = 63,
    OPC_MOVI_I64 = 64,
    OPC_MUL_I64 = 80,
    OPC_AND_I64 = 87,
    OPC_OR_I64 = 88,
    OPC_XOR_I64 = 89,
    OPC_DEPOSIT_I64 = 95,
    OPC_BRCOND_I64 = 103,
    OPC_EXT32U_I64 = 109,
    OPC_INSN_START = 129,
    OPC_GOTO_TB = 131,
    OPC_QEMU_LD_I32 = 133,
    OPC_QEMU_ST_I32 = 134,
    OPC_QEMU_LD_I64 = 135,
    OPC_QEMU_ST_I64 = 136,
};
enum { TCG_TYPE_I32 = 0, TCG_TYPE_I64 = 1, TCG_COND_LT = 2, TCG_COND_EQ = 8 };

/* struct TranslationBlock */
enum {
    TB_PC = 0,
    TB_CS_BASE = 8,
    TB_FLAGS = 16, /* hflags and some of EFLAGS */
    TB_SIZE = 20,
    TB_ICOUNT = 22,
    TB_CFLAGS = 24,
    TB_TC_PTR = 32,
    TB_TC_SIZE = 40,
};
enum { CF_COUNT_MASK = 0x7fff, CF_INVALID = 0x40000 };

/* The soft TLB: its CPUTLBCommon, one CPUTLBDesc and one CPUTLBDescFast per MMU index lie before env */
enum {
    TLB_MODES = 3,
    TLB_COMMON_FROM_ENV = -2192,
    TLB_COMMON_DIRTY = 0, /* 16 bits: which modes' tables were filled since their last flush */
    TLB_DESC_FROM_ENV = -2160,
    TLB_DESC_SIZE = 696,
    TLB_DESC_LARGE_PAGES = 0, /* address and mask */
    TLB_DESC_WINDOW_BEGIN = 16,
    TLB_DESC_WINDOW_MAX = 24,
    TLB_DESC_USED = 32,
    TLB_DESC_EVICTED = 40, /* how many entries went to the victims since the last flush */
    TLB_DESC_VICTIMS = 48, /* entries, and their other halves */
    TLB_VICTIMS = 8,
    TLB_DESC_OTHER_HALVES = 688,
    TLB_OTHER_HALF_SIZE = 16, /* struct CPUIOTLBEntry */
    TLB_FAST_FROM_ENV = -64,
    TLB_FAST_SIZE = 16,
    TLB_FAST_MASK = 0,
    TLB_FAST_TABLE = 8,
    TLB_ENTRY_SIZE = 64,
    TLB_ENTRY_WRITE = 8,
    TLB_ENTRY_CODE = 16,
    TLB_ENTRY_PADDR = 24,
    TLB_ENTRY_ADDEND = 32, /* from a guest's address to the host's */
    TLB_ENTRY_READ = 0,
    TLB_DISCARD_WRITE = 64,
    TLB_NOT_DIRTY = 1024,
    TLB_INVALID = 2048,
    TLB_WATCHPOINT = 256,
};

/* Loop exits */
enum {
    CPU_INTERRUPT_HARD = 2,
    GETPC_ADJ = 2,
    CC_OP_EFLAGS = 1,
    ACCESS_LOAD = 0, /* MMU_DATA_LOAD */
    ACCESS_STORE = 1,
    ACCESS_FETCH = 2, /* MMU_INST_FETCH */
};

#endif
