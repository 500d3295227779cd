"""Kernels to choose from: one composition each of boot chain, memory layout and allocators; see `profile`."""
