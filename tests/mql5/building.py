"""From a source to a program: translated, compiled by g++, linked with the runtime.

Everything is kept in ``.mql5-build/`` under the hash of what it is made from, so nothing is
compiled twice and nothing there is ever stale; the folder may be deleted at any time. Files come
into being by a rename. Of several processes that need the same object one compiles it, and the
others wait for it; all processes together run two compilers at a time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.mql5 import header, posix
from tests.mql5.codegen import translate
from tests.mql5.frontend import compile_unit

__all__ = ["BUILD", "BuildError", "Mode", "build", "compile_program", "prune", "runtime_files"]

Mode = Literal["asan", "plain", "coverage"]

_HERE: Final = Path(__file__).resolve().parent
_RUNTIME: Final = _HERE / "runtime"
_ROOT: Final = _HERE.parents[1]
#: Where everything built is kept.
BUILD: Final = _ROOT / ".mql5-build"
#: Jobs of g++ at a time: each takes up to a gigabyte.
_JOBS: Final = 2
_KEEP_S: Final = 24 * 3600

# -fwrapv: integers wrap around in MQL5. -fno-lifetime-dse: a constructor that leaves a member
# without a value shall find the poison there. Structures are packed, so members may stand anywhere.
_FLAGS: Final = (
    "-std=c++17", "-g", "-pipe", "-fwrapv", "-fno-strict-aliasing", "-fno-lifetime-dse",
    "-ftrivial-auto-var-init=pattern", "-Wno-address-of-packed-member", "-Wno-trigraphs", "-Werror=return-type",
)  # fmt: skip
# Of what is left out: structures are packed; a null pointer is a critical error of the runtime
# before it is used, and a crash under the address sanitizer; what a pointer points to the translator
# has checked. The last two would be half of what a compilation takes.
_SANITIZE: Final = (
    "-fsanitize=address,undefined", "-fno-sanitize=alignment,null,vptr", "-fno-sanitize-recover=all",
)  # fmt: skip
# With the sanitizers an optimiser takes three times as long, for programs that wait most of their
# time. Both modes that check share the runtime.
_CHECKED: Final = ("-O0", "-fno-omit-frame-pointer", "-DMQL_POISON", *_SANITIZE)
_MODE_FLAGS: Final[dict[Mode, tuple[str, ...]]] = {
    "asan": _CHECKED,
    "plain": ("-O2",),
    "coverage": _CHECKED,
}
# Of the translated unit alone: the runtime's lines are not what is measured, and what MQL5 makes
# of a double that fits into no integer nobody knows.
_UNIT_FLAGS: Final[dict[Mode, tuple[str, ...]]] = {
    "asan": ("-fsanitize=float-cast-overflow",),
    "plain": (),
    "coverage": ("--coverage", "-DMQL_COVERAGE"),
}
_LINK_FLAGS: Final[dict[Mode, tuple[str, ...]]] = {
    "asan": _SANITIZE,
    "plain": (),
    "coverage": ("--coverage", *_SANITIZE),
}


class BuildError(Exception):
    """
    g++ is not there, or does not accept what it is given; says what g++ said.
    """


def build(source: Path, mode: Mode = "asan") -> Path:
    """
    Return the program made from an .mq5; nothing is done when nothing has changed.

    Raises:
        BuildError: see there.
        tests.mql5.findings.SourceError: the source is not in the subset.
        tests.mql5.codegen_types.TranslationError: the translator does not know a construct.

    """
    _compiler()
    record = BUILD / "built" / f"{_hash([str(source.resolve()), mode])}.json"
    found = _from_record(record, mode)
    if found is not None:
        return found
    # Before the translation: what changes meanwhile shall not look as if it had been built.
    tools = _tools(mode)
    unit = compile_unit(source.resolve())
    files = {name: _hash_of_file(Path(name)) for name in unit.files}
    program = compile_program(source.stem, translate(unit, f"{source.stem}.cpp", str(_ROOT)), mode)
    content = {"files": files, "tools": tools, "program": str(program)}
    _write(record, json.dumps(content, indent=1).encode())
    return program


def compile_program(
    name: str, text: str, mode: Mode, runtime: Iterable[Path] | None = None
) -> Path:
    """
    Return the program of a C++ text, linked with the runtime or with the sources given.

    Raises:
        BuildError: see there.

    """
    _compiler()
    api = _api_folder()
    sources = sorted(_runtime_sources() if runtime is None else runtime)
    unit = _Job(name, text, (*_FLAGS, *_MODE_FLAGS[mode], *_UNIT_FLAGS[mode]), api)
    jobs = [unit, *(_runtime_job(path, mode, api) for path in sources)]
    with ThreadPoolExecutor(_JOBS) as pool:
        objects = list(pool.map(_Job.run, jobs))
    key = _hash([*(item.name for item in objects), mode])
    program = BUILD / "programs" / f"{name}-{mode}-{key}"
    if not program.exists():
        with _locked(key), _new_file(program) as path:
            link = (*_LINK_FLAGS[mode], "-lsqlite3", "-o", str(path))
            _run([_compiler(), *map(str, objects), *link])
        prune()
    return program


def prune() -> None:
    """
    Remove what has not been used for a day: each change of a source leaves a program behind.
    """
    now = time.time()
    for folder in ("built", "locks", "objects", "programs", "sources"):
        for path in (BUILD / folder).glob("*"):
            with contextlib.suppress(FileNotFoundError):  # another process was first
                if now - path.stat().st_mtime > _KEEP_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- what there is to compile ------------------------------------------------------------------


def runtime_files(*names: str) -> list[Path]:
    """
    Return files of the runtime by their names.
    """
    return [_RUNTIME / name for name in names]


def _runtime_sources() -> list[Path]:
    return [path for path in _RUNTIME.glob("*.cpp") if not path.name.startswith("selftest")]


def _runtime_job(path: Path, mode: Mode, api: Path) -> _Job:
    return _Job(path.stem, path.read_text(), (*_FLAGS, *_MODE_FLAGS[mode]), api, path)


@dataclass(frozen=True, slots=True)
class _Job:
    """
    One compilation. ``path``: None for a text that is no file.
    """

    name: str
    text: str
    flags: tuple[str, ...]
    api: Path
    path: Path | None = None

    def run(self) -> Path:
        """
        Return the object file.
        """
        key = _hash([self.text, *self.flags, _headers(self.api), _compiler_version()])
        target = BUILD / "objects" / f"{self.name}-{key}.o"
        return self._found(target) or self._compile(target, key)

    @staticmethod
    def _in_folder(target: Path) -> Path:
        # For coverage the notes and counters stand beside the object, where g++ made it: there it
        # has a folder of its own, and stays.
        return target.with_suffix("") / target.name

    def _found(self, target: Path) -> Path | None:
        if target.exists():
            os.utime(target)
            return target
        made = self._in_folder(target)
        if not made.with_suffix(".done").exists():
            return None
        os.utime(made.parent)
        return made

    def _compile(self, target: Path, key: str) -> Path:
        with _locked(key):
            found = self._found(target)  # while this process waited
            if found is not None:
                return found
            source = self.path
            if source is None:
                source = BUILD / "sources" / f"{self.name}-{key}.cpp"
                _write(source, self.text.encode())
            made = self._in_folder(target)
            made.parent.mkdir(parents=True, exist_ok=True)
            includes = (f"-I{_RUNTIME}", f"-I{self.api}")
            with _slot(key):
                _run([_compiler(), *self.flags, *includes, "-c", str(source), "-o", str(made)])
            if made.with_suffix(".gcno").exists():
                made.with_suffix(".done").touch()
                return made
            made.replace(target)
            made.parent.rmdir()
            return target


def _api_folder() -> Path:
    target = BUILD / "api" / _hash_of_files([_HERE / "manifest.json", _HERE / "header.py"])
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=target.parent))
        header.write(folder)
        with contextlib.suppress(OSError):  # another process was first, and wrote the same
            folder.replace(target)
    return target


def _headers(api: Path) -> str:
    return _hash_of_files([*sorted(_RUNTIME.glob("*.hpp")), *sorted(api.glob("*.hpp"))])


# --- g++ -----------------------------------------------------------------------------------------


def _compiler() -> str:
    name = os.environ.get("CXX", "g++")
    found = shutil.which(name)
    if found is None:
        raise BuildError(
            f"{name} is not installed: the MQL5 sources are compiled as C++ (see CONTRIBUTING.md)"
        )
    return found


@functools.cache
def _compiler_version() -> str:
    command = [_compiler(), "-dumpfullversion", "-dumpmachine"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{done.stderr.strip()}\n\n{' '.join(command)}")


# --- files ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(key: str) -> Iterator[None]:
    folder = BUILD / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / key).open("w") as lock:
        posix.lock(lock)
        yield


@contextlib.contextmanager
def _slot(key: str) -> Iterator[None]:
    # One of as many locks as there may be compilers: a free one, or else that of the key.
    folder = BUILD / "locks"
    with contextlib.ExitStack() as stack:
        locks = [stack.enter_context((folder / f"slot{i}").open("w")) for i in range(_JOBS)]
        for lock in locks:
            if posix.try_to_lock(lock):
                break
        else:
            posix.lock(locks[int(key, 16) % _JOBS])
        yield


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    # A name to write to, which becomes the target when all went well.
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        yield path
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)


def _write(target: Path, content: bytes) -> None:
    with _new_file(target) as path:
        path.write_bytes(content)


def _from_record(record: Path, mode: Mode) -> Path | None:
    # The program that was built from the same files by the same tools.
    try:
        content = json.loads(record.read_bytes())
        unchanged = all(_hash_of_file(Path(name)) == key for name, key in content["files"].items())
        program = Path(content["program"])
        if unchanged and content["tools"] == _tools(mode):
            os.utime(program)
            return program
    except (OSError, ValueError, KeyError):
        return None  # no record, or one that another version wrote
    return None


def _tools(mode: Mode) -> str:
    names = [path for path in _HERE.glob("*.py") if not path.name.startswith("test_")]
    names += [_HERE / "manifest.json", *_RUNTIME.glob("*.[hc]pp")]
    return _hash([mode, _compiler_version(), _hash_of_files(sorted(names))])


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:24]


def _hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


def _hash_of_files(paths: Iterable[Path]) -> str:
    return _hash([part for path in paths for part in (path.name, _hash_of_file(path))])
