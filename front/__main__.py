"""``python -m hillemu`` is the command ``hillemu``."""

from hillemu.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
