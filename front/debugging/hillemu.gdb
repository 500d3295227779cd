# For GDB with hillemu: `gdb -x hillemu.gdb KERNEL`, or `source hillemu.gdb` in a .gdbinit, before `target remote`.
#
# GDB asks a machine once what it is, but an i386 changes between 16-bit and 32-bit code.  This hook looks at every stop
# and has GDB disassemble accordingly.

set $hillemu_code_size = 0

define hook-stop
  # At the end of a run there is no thread and there are no registers; another target than hillemu has no such one.
  if $_thread != 0 && !$_isvoid($code_size)
    if $code_size != $hillemu_code_size
      set $hillemu_code_size = $code_size
      if $code_size == 16
        # GDB takes the i386 of an earlier answer for the better i8086: it has to ask again.
        unset tdesc filename
        set architecture i8086
      else
        set architecture i386
      end
    end
  end
end

# GDB divides what stands behind a command at spaces: of 'pt table + 4' it would take the table.

define pt
  if $argc == 1
    eval "monitor pt 0x%x", (unsigned int)($arg0)
  else
    help pt
  end
end
document pt
Walk the guest's page tables for an address and show every entry: pt ADDRESS
ADDRESS is an expression without spaces.
end

define xp
  if $argc == 1
    eval "monitor xp 0x%x", (unsigned int)($arg0)
  else
    help xp
  end
end
document xp
Show 64 bytes of physical memory: xp ADDRESS
ADDRESS is an expression without spaces.
end

define who-wrote
  if $argc == 1
    watch -location *(unsigned int *)($arg0)
    reverse-continue
    x/i $pc
    # The newest one is what was set here.
    delete $bpnum
  else
    help who-wrote
  end
end
document who-wrote
Go back to the instruction that last changed four bytes of memory, such as a page-table entry: who-wrote ADDRESS
ADDRESS is an expression without spaces, for a linear address, as for 'x'. 'continue' goes forward again; what happened happens again.
end

define stack16
  x/8xh $ss_base + ((unsigned int)$esp & 0xffff)
end
document stack16
Show the top of a 16-bit stack, wherever SS points.
end

# GDB finds the end of a call by the stack, and knows none of 16 bits: its nexti goes into calls and interrupts there.

define nexti16
  set $hillemu_at = (unsigned int) $pc
  # Prefixes: segments, operand size, address size, lock.
  set $hillemu_byte = *(unsigned char *) $hillemu_at
  while ($hillemu_byte & 0xe7) == 0x26 || ($hillemu_byte & 0xfc) == 0x64 || $hillemu_byte == 0xf0
    set $hillemu_at = $hillemu_at + 1
    set $hillemu_byte = *(unsigned char *) $hillemu_at
  end
  set $hillemu_group = *(unsigned char *) ($hillemu_at + 1) >> 3 & 7
  # Calls, INT, LOOP, REP, and calls by a pointer.
  if $hillemu_byte == 0xe8 || $hillemu_byte == 0x9a || $hillemu_byte == 0xcd || $hillemu_byte >= 0xe0 && $hillemu_byte <= 0xe2 || $hillemu_byte == 0xf2 || $hillemu_byte == 0xf3 || $hillemu_byte == 0xff && ($hillemu_group == 2 || $hillemu_group == 3)
    x/2i $pc
    # Deeper in the stack it is the same place in an inner call.
    eval "tbreak *0x%x if (unsigned int) $esp >= 0x%x", (unsigned int) $_, (unsigned int) $esp
    continue
  else
    stepi
  end
end
document nexti16
Execute one instruction of 16-bit code, with all that it calls: procedures, software interrupts, REP, LOOP.
In 32-bit code, GDB's own nexti does that.
end

define sysregs
  # GDB ignores a group that the machine names for a register of an i386, so there is no 'info registers system'.
  info registers ip code_size cs_base ss_base ds_base es_base fs_base gs_base
  info registers cr0 cr2 cr3 cr4 efer
  info registers gdtr_base gdtr_limit idtr_base idtr_limit ldtr ldtr_base tr tr_base
  info registers dr0 dr1 dr2 dr3 dr6 dr7
end
document sysregs
Show segment bases, control registers, descriptor tables and debug registers.
end

# GDB does not see that a monitor command has moved the machine: it has to read the registers anew, and no stop comes.

define reset
  monitor system_reset
  maintenance flush register-cache
  hook-stop
  x/i $pc
end
document reset
Boot the machine again, and stop before the first instruction.
end

define load-snapshot
  if $argc == 1
    monitor snapshot load $arg0
    maintenance flush register-cache
    hook-stop
    x/i $pc
  else
    help load-snapshot
  end
end
document load-snapshot
Go to where 'monitor snapshot save' kept the machine: load-snapshot NAME
end

define physical
  maintenance packet Qqemu.PhyMemMode:1
  maintenance flush dcache
end
document physical
Have x and print read physical memory, until 'linear'.
end

define linear
  maintenance packet Qqemu.PhyMemMode:0
  maintenance flush dcache
end
document linear
Have x and print read memory through the page tables again.
end
