"""Builds the native core; everything else is in pyproject.toml."""

import sys
from glob import glob

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "hillemu.emu.cpu._core",
            sources=sorted(glob("emu/cpu/native/*.c")),
            depends=sorted(glob("emu/cpu/native/*.h")),
            extra_compile_args=[
                "-std=gnu11",
                "-O2",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-Wno-unused-parameter",
            ],
            extra_link_args=["-Wl,-Bsymbolic"] if sys.platform == "linux" else [],
        )
    ]
)
