"""Grading: what a kernel of a course is worth, point by point.

::

    spec.py           a specification (SPEC.toml): boots, checks, facts; read and verified by spec_reading.py
    facts.py ...      what a check claims about a kernel, and whether it holds
    runs.py           boots a kernel once for all checks that want the same boot
    scoring.py        grade(spec, kernel) -> Score
    course_*.py       what is behind `hillemu.gradelib`, the drop-in for grade scripts of the MIT 6.828 kind

A kernel that is graded may be anything.  What it prints is data: it is matched, and shown with its control characters
escaped.  Every run has a budget of instructions, of virtual and of real time, and of serial output.
"""

from __future__ import annotations
