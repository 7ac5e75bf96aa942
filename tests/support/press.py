"""Presses Ctrl-C or Ctrl-Break in the console of another process, on Windows.

Called as a program, ``python -S -I press.py PID c|break``: whoever attaches to a console is
sent what is pressed there too, and a process has one console only. All processes of that
console are told, as when a person presses the keys.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["FLAGS", "press", "under_wine"]

#: A console of its own that needs no screen: keys pressed in it reach this process only.
FLAGS = getattr(subprocess, "CREATE_NO_WINDOW", 0)
_EVENTS = {"c": 0, "break": 1}
_DEADLINE_S = 30.0


def press(pid: int, key: str) -> None:
    """
    Press Ctrl-C (``c``) or Ctrl-Break (``break``) for a process that was started with ``FLAGS``.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(Path(__file__)), str(pid), key],
        check=False,
        capture_output=True,
        timeout=_DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")


def under_wine() -> bool:
    """
    Tell whether this Windows is Wine's.
    """
    return sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


if sys.platform == "win32":
    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)

    def _checked(result: int, what: str) -> int:
        if not result:
            raise OSError(f"{what}: {ctypes.WinError(ctypes.get_last_error())}")
        return result

    def _generate(pid: int, event: int) -> None:
        _kernel32.FreeConsole()
        _checked(_kernel32.AttachConsole(pid), "AttachConsole")
        # Not for us.
        _checked(_kernel32.SetConsoleCtrlHandler(None, True), "SetConsoleCtrlHandler")
        _checked(_kernel32.GenerateConsoleCtrlEvent(event, 0), "GenerateConsoleCtrlEvent")

    def _call_handlers(pid: int, event: int) -> None:
        # Wine's server knows Ctrl-C only. What it does then, and Windows for both, is to start
        # this function in the process; it calls the handlers one after the other.
        all_access = 0x1FFFFF
        handle, address = ctypes.c_void_p, ctypes.c_void_p
        _kernel32.OpenProcess.restype = handle
        _kernel32.GetModuleHandleW.restype = handle
        _kernel32.GetProcAddress.restype = address
        _kernel32.GetProcAddress.argtypes = [handle, ctypes.c_char_p]
        _kernel32.CreateRemoteThread.restype = handle
        _kernel32.CreateRemoteThread.argtypes = [
            handle, ctypes.c_void_p, ctypes.c_size_t, address, ctypes.c_void_p,
            ctypes.c_ulong, ctypes.c_void_p,
        ]  # fmt: skip
        process = _checked(_kernel32.OpenProcess(all_access, False, pid), "OpenProcess")
        library = _kernel32.GetModuleHandleW("kernelbase")
        routine = _checked(_kernel32.GetProcAddress(library, b"CtrlRoutine"), "GetProcAddress")
        _checked(
            _kernel32.CreateRemoteThread(process, None, 0, routine, event, 0, None),
            "CreateRemoteThread",
        )

    if __name__ == "__main__":
        number, wanted = int(sys.argv[1]), _EVENTS[sys.argv[2]]
        if wanted and under_wine():
            _call_handlers(number, wanted)
        else:
            _generate(number, wanted)
        # Not through the interpreter's end: what is left of a console may be gone by now.
        os._exit(0)
