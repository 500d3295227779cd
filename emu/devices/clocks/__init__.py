"""What counts time: the 8254, the HPET, the clock chip with its memory."""
