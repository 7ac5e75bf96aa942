"""Starts Python with the arguments given, in a console of its own; runs under Wine only.

A program that Wine starts from a pipe has no console, and without one there is no Ctrl-C.
``CREATE_NO_WINDOW`` gives one that needs no screen.
"""

from __future__ import annotations

import subprocess
import sys

if __name__ == "__main__" and sys.platform == "win32":
    done = subprocess.run(
        [sys.executable, "-u", *sys.argv[1:]],
        check=False,
        stdin=subprocess.DEVNULL,
        creationflags=subprocess.CREATE_NO_WINDOW,
    )
    sys.exit(done.returncode)
