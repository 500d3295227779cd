"""The graphics card: VGA registers, planes and modes, the Bochs VBE interface, and what is on the screen."""
