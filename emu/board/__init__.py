"""Groups of chips and the wires between them; `hillemu.emu.pc` puts the groups together."""
