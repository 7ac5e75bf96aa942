"""``python benchmarks/run.py`` is ``python -m benchmarks`` from anywhere."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    os.chdir(root)
    sys.path[0] = str(root)
    runpy.run_module("benchmarks", run_name="__main__")
