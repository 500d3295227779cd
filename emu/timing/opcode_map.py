"""The opcode map of the Intel386, Intel486 and Pentium, as text that is laid out as the manuals print it.

A line is ``opcode[/reg] MNEMONIC operands``.  ``40+r`` stands for eight opcodes with a register in the low three bits,
``70+c`` for sixteen with a condition.  Operands are those of the manuals' opcode maps: a letter that says where the
operand is, and one that says how wide it is.

======  ===================================  =====  =================================
letter  operand                              width  bits
======  ===================================  =====  =================================
``E``   register or memory of ModR/M         ``b``  8
``M``   memory of ModR/M only                ``w``  16
``R``   register of ModR/M only              ``d``  32
``U``   register of ModR/M, whatever mod is  ``v``  16 or 32, the operand size
``G``   register of ModR/M's reg field       ``p``  far pointer, 16:16 or 16:32
``Z``   register of the opcode               ``s``  8, sign-extended (immediates only)
``A``   AL, AX or EAX                        ``x``  no width of its own
``I``   immediate
``J``   branch displacement
``O``   memory offset without ModR/M
``P``   far pointer in the instruction
======  ===================================  =====  =================================

Anything else (``CL``, ``sreg``, ``CR0``) is the operand's name.  ``:b``, ``:w``, ``:d`` or ``:v`` gives the width of an
instruction that has no operand to tell it.  The second table has the x87: a memory operand as in the first table,
``C0+i`` for a register form with ST(i), ``E8`` for one without.

Not in the map, so counted as instructions without an entry: undocumented ones (D6 SALC, F1 ICEBP, 0F 04-07, the x87's
aliases), opcodes that only raise #UD, and everything newer than the Pentium (MMX, CMOVcc, SYSENTER, SSE).

Source: Intel 80386 Programmer's Reference Manual, appendix A "Opcode Map"; i486 Programmer's Reference Manual, appendix
A; Pentium Processor Family Developer's Manual vol. 3, appendix A.
"""

ONE_BYTE = """
00 ADD Eb,Gb; 01 ADD Ev,Gv; 02 ADD Gb,Eb; 03 ADD Gv,Ev; 04 ADD Ab,Ib; 05 ADD Av,Iv
08 OR  Eb,Gb; 09 OR  Ev,Gv; 0A OR  Gb,Eb; 0B OR  Gv,Ev; 0C OR  Ab,Ib; 0D OR  Av,Iv
10 ADC Eb,Gb; 11 ADC Ev,Gv; 12 ADC Gb,Eb; 13 ADC Gv,Ev; 14 ADC Ab,Ib; 15 ADC Av,Iv
18 SBB Eb,Gb; 19 SBB Ev,Gv; 1A SBB Gb,Eb; 1B SBB Gv,Ev; 1C SBB Ab,Ib; 1D SBB Av,Iv
20 AND Eb,Gb; 21 AND Ev,Gv; 22 AND Gb,Eb; 23 AND Gv,Ev; 24 AND Ab,Ib; 25 AND Av,Iv
28 SUB Eb,Gb; 29 SUB Ev,Gv; 2A SUB Gb,Eb; 2B SUB Gv,Ev; 2C SUB Ab,Ib; 2D SUB Av,Iv
30 XOR Eb,Gb; 31 XOR Ev,Gv; 32 XOR Gb,Eb; 33 XOR Gv,Ev; 34 XOR Ab,Ib; 35 XOR Av,Iv
38 CMP Eb,Gb; 39 CMP Ev,Gv; 3A CMP Gb,Eb; 3B CMP Gv,Ev; 3C CMP Ab,Ib; 3D CMP Av,Iv
06 PUSH sreg :v; 0E PUSH sreg :v; 16 PUSH sreg :v; 1E PUSH sreg :v
07 POP sreg :v; 17 POP sreg :v; 1F POP sreg :v
27 DAA; 2F DAS; 37 AAA; 3F AAS
40+r INC Zv; 48+r DEC Zv; 50+r PUSH Zv; 58+r POP Zv
60 PUSHA :v; 61 POPA :v; 62 BOUND Gv,Mx; 63 ARPL Ew,Gw
68 PUSH Iv :v; 69 IMUL Gv,Ev,Iv; 6A PUSH Is :v; 6B IMUL Gv,Ev,Is
6C INS :b; 6D INS :v; 6E OUTS :b; 6F OUTS :v
70+c Jcc Js
80/0 ADD Eb,Ib; 80/1 OR Eb,Ib; 80/2 ADC Eb,Ib; 80/3 SBB Eb,Ib
80/4 AND Eb,Ib; 80/5 SUB Eb,Ib; 80/6 XOR Eb,Ib; 80/7 CMP Eb,Ib
81/0 ADD Ev,Iv; 81/1 OR Ev,Iv; 81/2 ADC Ev,Iv; 81/3 SBB Ev,Iv
81/4 AND Ev,Iv; 81/5 SUB Ev,Iv; 81/6 XOR Ev,Iv; 81/7 CMP Ev,Iv
82/0 ADD Eb,Ib; 82/1 OR Eb,Ib; 82/2 ADC Eb,Ib; 82/3 SBB Eb,Ib
82/4 AND Eb,Ib; 82/5 SUB Eb,Ib; 82/6 XOR Eb,Ib; 82/7 CMP Eb,Ib
83/0 ADD Ev,Is; 83/1 OR Ev,Is; 83/2 ADC Ev,Is; 83/3 SBB Ev,Is
83/4 AND Ev,Is; 83/5 SUB Ev,Is; 83/6 XOR Ev,Is; 83/7 CMP Ev,Is
84 TEST Eb,Gb; 85 TEST Ev,Gv; 86 XCHG Eb,Gb; 87 XCHG Ev,Gv
88 MOV Eb,Gb; 89 MOV Ev,Gv; 8A MOV Gb,Eb; 8B MOV Gv,Ev
8C/0 MOV Ew,sreg; 8C/1 MOV Ew,sreg; 8C/2 MOV Ew,sreg; 8C/3 MOV Ew,sreg; 8C/4 MOV Ew,sreg; 8C/5 MOV Ew,sreg
8E/0 MOV sreg,Ew; 8E/2 MOV sreg,Ew; 8E/3 MOV sreg,Ew; 8E/4 MOV sreg,Ew; 8E/5 MOV sreg,Ew
8D LEA Gv,Mx; 8F/0 POP Rv long; 8F/0 POP Mv
90 NOP; 91+r XCHG Av,Zv
98 CBW :v; 99 CWD :v; 9A CALL Pp; 9B WAIT; 9C PUSHF :v; 9D POPF :v; 9E SAHF; 9F LAHF
A0 MOV Ab,Ob; A1 MOV Av,Ov; A2 MOV Ob,Ab; A3 MOV Ov,Av
A4 MOVS :b; A5 MOVS :v; A6 CMPS :b; A7 CMPS :v; A8 TEST Ab,Ib; A9 TEST Av,Iv
AA STOS :b; AB STOS :v; AC LODS :b; AD LODS :v; AE SCAS :b; AF SCAS :v
B0+r MOV Zb,Ib; B8+r MOV Zv,Iv
C0/0 ROL Eb,Ib; C0/1 ROR Eb,Ib; C0/2 RCL Eb,Ib; C0/3 RCR Eb,Ib; C0/4 SHL Eb,Ib; C0/5 SHR Eb,Ib; C0/7 SAR Eb,Ib
C1/0 ROL Ev,Is; C1/1 ROR Ev,Is; C1/2 RCL Ev,Is; C1/3 RCR Ev,Is; C1/4 SHL Ev,Is; C1/5 SHR Ev,Is; C1/7 SAR Ev,Is
D0/0 ROL Eb,1; D0/1 ROR Eb,1; D0/2 RCL Eb,1; D0/3 RCR Eb,1; D0/4 SHL Eb,1; D0/5 SHR Eb,1; D0/7 SAR Eb,1
D1/0 ROL Ev,1; D1/1 ROR Ev,1; D1/2 RCL Ev,1; D1/3 RCR Ev,1; D1/4 SHL Ev,1; D1/5 SHR Ev,1; D1/7 SAR Ev,1
D2/0 ROL Eb,CL; D2/1 ROR Eb,CL; D2/2 RCL Eb,CL; D2/3 RCR Eb,CL; D2/4 SHL Eb,CL; D2/5 SHR Eb,CL; D2/7 SAR Eb,CL
D3/0 ROL Ev,CL; D3/1 ROR Ev,CL; D3/2 RCL Ev,CL; D3/3 RCR Ev,CL; D3/4 SHL Ev,CL; D3/5 SHR Ev,CL; D3/7 SAR Ev,CL
C2 RET Iw near; C3 RET near; CA RET Iw far; CB RET far
C4 LES Gv,Mx; C5 LDS Gv,Mx; C6/0 MOV Eb,Ib; C7/0 MOV Ev,Iv
C8 ENTER Iw,Ib :v; C9 LEAVE :v; CC INT3; CD INT Ib; CE INTO; CF IRET :v
D4 AAM Ib; D5 AAD Ib; D7 XLAT
E0 LOOPNE Js; E1 LOOPE Js; E2 LOOP Js; E3 JCXZ Js
E4 IN Ab,Ib; E5 IN Av,Ib; E6 OUT Ib,Ab; E7 OUT Ib,Av; EC IN Ab,DX; ED IN Av,DX; EE OUT DX,Ab; EF OUT DX,Av
E8 CALL Jv; E9 JMP Jv; EA JMP Pp; EB JMP Js
F4 HLT; F5 CMC; F8 CLC; F9 STC; FA CLI; FB STI; FC CLD; FD STD
F6/0 TEST Eb,Ib; F6/2 NOT Eb; F6/3 NEG Eb; F6/4 MUL Eb; F6/5 IMUL Eb; F6/6 DIV Eb; F6/7 IDIV Eb
F7/0 TEST Ev,Iv; F7/2 NOT Ev; F7/3 NEG Ev; F7/4 MUL Ev; F7/5 IMUL Ev; F7/6 DIV Ev; F7/7 IDIV Ev
FE/0 INC Eb; FE/1 DEC Eb
FF/0 INC Ev; FF/1 DEC Ev; FF/2 CALL Ev near; FF/3 CALL Mp far; FF/4 JMP Ev near; FF/5 JMP Mp far; FF/6 PUSH Ev
"""

TWO_BYTE = """
00/0 SLDT Ew; 00/1 STR Ew; 00/2 LLDT Ew; 00/3 LTR Ew; 00/4 VERR Ew; 00/5 VERW Ew
01/0 SGDT Mx; 01/1 SIDT Mx; 01/2 LGDT Mx; 01/3 LIDT Mx; 01/4 SMSW Ew; 01/6 LMSW Ew; 01/7 INVLPG Mx
02 LAR Gv,Ev; 03 LSL Gv,Ev; 06 CLTS; 08 INVD; 09 WBINVD
20/0 MOV Ud,CR0; 20/2 MOV Ud,CR2; 20/3 MOV Ud,CR3; 20/4 MOV Ud,CR4
22/0 MOV CR0,Ud; 22/2 MOV CR2,Ud; 22/3 MOV CR3,Ud; 22/4 MOV CR4,Ud
21/0 MOV Ud,DR0-3; 21/1 MOV Ud,DR0-3; 21/2 MOV Ud,DR0-3; 21/3 MOV Ud,DR0-3
21/4 MOV Ud,DR4-5; 21/5 MOV Ud,DR4-5; 21/6 MOV Ud,DR6-7; 21/7 MOV Ud,DR6-7
23/0 MOV DR0-3,Ud; 23/1 MOV DR0-3,Ud; 23/2 MOV DR0-3,Ud; 23/3 MOV DR0-3,Ud
23/4 MOV DR4-5,Ud; 23/5 MOV DR4-5,Ud; 23/6 MOV DR6-7,Ud; 23/7 MOV DR6-7,Ud
24/3 MOV Ud,TR3; 24/4 MOV Ud,TR4-5; 24/5 MOV Ud,TR4-5; 24/6 MOV Ud,TR6-7; 24/7 MOV Ud,TR6-7
26/3 MOV TR3,Ud; 26/4 MOV TR4-5,Ud; 26/5 MOV TR4-5,Ud; 26/6 MOV TR6-7,Ud; 26/7 MOV TR6-7,Ud
30 WRMSR; 31 RDTSC; 32 RDMSR; A2 CPUID; AA RSM
80+c Jcc Jv; 90+c SETcc Eb
A0 PUSH sreg :v; A1 POP sreg :v; A8 PUSH sreg :v; A9 POP sreg :v
A3 BT Ev,Gv; AB BTS Ev,Gv; B3 BTR Ev,Gv; BB BTC Ev,Gv
BA/4 BT Ev,Is; BA/5 BTS Ev,Is; BA/6 BTR Ev,Is; BA/7 BTC Ev,Is
A4 SHLD Ev,Gv,Is; A5 SHLD Ev,Gv,CL; AC SHRD Ev,Gv,Is; AD SHRD Ev,Gv,CL
AF IMUL Gv,Ev; B0 CMPXCHG Eb,Gb; B1 CMPXCHG Ev,Gv; B2 LSS Gv,Mx; B4 LFS Gv,Mx; B5 LGS Gv,Mx
B6 MOVZX Gv,Eb; B7 MOVZX Gv,Ew; BE MOVSX Gv,Eb; BF MOVSX Gv,Ew; BC BSF Gv,Ev; BD BSR Gv,Ev
C0 XADD Eb,Gb; C1 XADD Ev,Gv; C7/1 CMPXCHG8B Mx; C8+r BSWAP Zd
"""

X87 = """
D8/0 FADD m32; D8/1 FMUL m32; D8/2 FCOM m32; D8/3 FCOMP m32; D8/4 FSUB m32; D8/5 FSUBR m32; D8/6 FDIV m32
D8/7 FDIVR m32; D8 C0+i FADD ST(i); D8 C8+i FMUL ST(i); D8 D0+i FCOM ST(i); D8 D8+i FCOMP ST(i); D8 E0+i FSUB ST(i)
D8 E8+i FSUBR ST(i); D8 F0+i FDIV ST(i); D8 F8+i FDIVR ST(i)
D9/0 FLD m32; D9/2 FST m32; D9/3 FSTP m32; D9/4 FLDENV m; D9/5 FLDCW m16; D9/6 FNSTENV m; D9/7 FNSTCW m16
D9 C0+i FLD ST(i); D9 C8+i FXCH ST(i); D9 D0 FNOP; D9 E0 FCHS; D9 E1 FABS; D9 E4 FTST; D9 E5 FXAM
D9 E8 FLD1; D9 E9 FLDL2T; D9 EA FLDL2E; D9 EB FLDPI; D9 EC FLDLG2; D9 ED FLDLN2; D9 EE FLDZ
D9 F0 F2XM1; D9 F1 FYL2X; D9 F2 FPTAN; D9 F3 FPATAN; D9 F4 FXTRACT; D9 F5 FPREM1; D9 F6 FDECSTP; D9 F7 FINCSTP
D9 F8 FPREM; D9 F9 FYL2XP1; D9 FA FSQRT; D9 FB FSINCOS; D9 FC FRNDINT; D9 FD FSCALE; D9 FE FSIN; D9 FF FCOS
DA/0 FIADD m32; DA/1 FIMUL m32; DA/2 FICOM m32; DA/3 FICOMP m32; DA/4 FISUB m32; DA/5 FISUBR m32; DA/6 FIDIV m32
DA/7 FIDIVR m32; DA E9 FUCOMPP
DB/0 FILD m32; DB/2 FIST m32; DB/3 FISTP m32; DB/5 FLD m80; DB/7 FSTP m80; DB E2 FNCLEX; DB E3 FNINIT
DC/0 FADD m64; DC/1 FMUL m64; DC/2 FCOM m64; DC/3 FCOMP m64; DC/4 FSUB m64; DC/5 FSUBR m64; DC/6 FDIV m64
DC/7 FDIVR m64; DC C0+i FADD ST(i); DC C8+i FMUL ST(i); DC E0+i FSUBR ST(i); DC E8+i FSUB ST(i)
DC F0+i FDIVR ST(i); DC F8+i FDIV ST(i)
DD/0 FLD m64; DD/2 FST m64; DD/3 FSTP m64; DD/4 FRSTOR m; DD/6 FNSAVE m; DD/7 FNSTSW m16
DD C0+i FFREE ST(i); DD D0+i FST ST(i); DD D8+i FSTP ST(i); DD E0+i FUCOM ST(i); DD E8+i FUCOMP ST(i)
DE/0 FIADD m16; DE/1 FIMUL m16; DE/2 FICOM m16; DE/3 FICOMP m16; DE/4 FISUB m16; DE/5 FISUBR m16; DE/6 FIDIV m16
DE/7 FIDIVR m16; DE C0+i FADDP ST(i); DE C8+i FMULP ST(i); DE D9 FCOMPP; DE E0+i FSUBRP ST(i); DE E8+i FSUBP ST(i)
DE F0+i FDIVRP ST(i); DE F8+i FDIVP ST(i)
DF/0 FILD m16; DF/2 FIST m16; DF/3 FISTP m16; DF/4 FBLD m80; DF/5 FILD m64; DF/6 FBSTP m80; DF/7 FISTP m64
DF E0 FNSTSW AX
"""
