"""Compiling the C++ helpers with g++ into ``benchmarks/build``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["CannotBuildError", "build", "missing_tools"]

_SOURCES: Final = Path(__file__).resolve().parent
_PROGRAMS: Final = ("generator", "publisher", "subscriber")
_FLAGS: Final = ("-std=c++17", "-O2", "-Wall", "-Wextra")
_HINT: Final = "install them with: apt-get install g++ libzmq3-dev"


class CannotBuildError(Exception):
    """
    The helpers cannot be compiled here; the text says what to install.
    """


def missing_tools() -> str:
    """
    Return what is missing to compile, as one line, or ``""``.
    """
    if shutil.which("g++") is None:
        return f"g++ is not on the PATH; {_HINT}"
    probe = subprocess.run(
        ["g++", "-x", "c++", "-fsyntax-only", "-"],
        input="#include <zmq.h>\n",
        text=True,
        capture_output=True,
        check=False,
    )
    return "" if probe.returncode == 0 else f"zmq.h is not there; {_HINT}"


def build(folder: Path | None = None) -> dict[str, Path]:
    """
    Return the path of each helper, compiled anew where a source has changed.

    Raises:
        CannotBuildError: g++ or zmq.h is missing, or the compiler says no.
    """
    folder = folder or _SOURCES / "build"
    made = _fingerprint()
    stamp = folder / "fingerprint"
    programs = {name: folder / name for name in _PROGRAMS}
    if (
        stamp.exists()
        and stamp.read_text(encoding="ascii") == made
        and all(path.exists() for path in programs.values())
    ):
        return programs
    problem = missing_tools()
    if problem:
        raise CannotBuildError(problem)
    folder.mkdir(parents=True, exist_ok=True)
    # Not over a program that runs: a test and a benchmark may build at the same time.
    new = {name: path.with_name(f"{name}.{os.getpid()}") for name, path in programs.items()}
    compilers = [
        subprocess.Popen(
            ["g++", *_FLAGS, "-o", str(new[name]), str(_SOURCES / f"{name}.cpp"), "-lzmq"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in programs
    ]
    problems = []
    for name, compiler in zip(programs, compilers, strict=True):
        _, errors = compiler.communicate()
        if compiler.returncode:
            problems.append(f"g++ cannot compile {name}.cpp:\n{errors}")
    if problems:
        raise CannotBuildError("\n".join(problems))
    for name, path in programs.items():
        new[name].replace(path)
    stamp.write_text(made, encoding="ascii")
    return programs


def _fingerprint() -> str:
    # By content, because a checkout gives every file the same time.
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for path in sorted([*_SOURCES.glob("*.cpp"), *_SOURCES.glob("*.hpp")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
