"""Disks, CDs and floppies: ATA channels and drives, the bus master, the floppy controller, DMA."""
