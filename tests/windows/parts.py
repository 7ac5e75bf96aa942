"""What Windows processes need on Linux: where it comes from, and how it is put together.

Nothing of it is in the repository. CPython for Windows and Microsoft's C runtime come from
Maven Central, the wheels from PyPI, Wine from Debian; all of it is kept in ``.windows-build/``.
A download is pinned by its SHA-256, the wheels by what ``pyproject.toml`` asks for.
"""

from __future__ import annotations

import contextlib
import email.parser
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.windows.forwarder import exports_of_library, forwarder_dll

if sys.platform != "win32":
    import fcntl

__all__ = [
    "BUILD",
    "PYTHON",
    "ROOT",
    "Download",
    "Unavailable",
    "end_all",
    "environment",
    "fetched",
    "missing_requirements",
    "only_one",
    "prepare",
    "requirements_of_project",
    "windows_path",
    "wine_command",
]

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / ".windows-build"
PREFIX: Final = BUILD / "prefix"
#: As a user's: with a blank and letters outside of ASCII, which code page 1252 still has.
USER: Final = "Jörg Müller"
#: Where an administrator puts it; the blank is the point.
PYTHON: Final = PREFIX / "drive_c" / "Program Files" / "Python 3.13" / "python.exe"

_MINUTE: Final = 60
#: What pip on Linux does not know about the machine that the wheels are for.
_MARKERS: Final = {
    "implementation_name": "cpython",
    "implementation_version": "3.13.5",
    "os_name": "nt",
    "platform_machine": "AMD64",
    "platform_python_implementation": "CPython",
    "platform_release": "10",
    "platform_system": "Windows",
    "platform_version": "10.0.18362",
    "python_full_version": "3.13.5",
    "python_version": "3.13",
    "sys_platform": "win32",
    "extra": "",
}
#: The interpreter's own tests and its editor, and a module that ends the process under Wine 8
#: (``propsys.dll.VariantToString`` is not there); without it ``platform`` asks otherwise.
_LEFT_OUT: Final = ("lib/test/", "lib/idlelib/", "lib/_wmi.pyd", "include/")
_MAVEN: Final = "https://repo1.maven.org/maven2/org/bytedeco"


class Unavailable(Exception):
    """
    A part cannot be had here. The text says which, and why.
    """


class Download(NamedTuple):
    """
    A file with the digest that it has to have.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


CPYTHON: Final = Download(
    f"{_MAVEN}/cpython/3.13.5-1.5.12/cpython-3.13.5-1.5.12-windows-x86_64.jar",
    "cfe5502ffa7ea369be707b6d88bf68344732a7800450665080fb4267c01bfeae",
)
#: With Wine's own C runtime a Ctrl-Break does not become a signal, and ends the process.
C_RUNTIME: Final = Download(
    f"{_MAVEN}/javacpp/1.5.12/javacpp-1.5.12-windows-x86_64.jar",
    "282ac3f7a9296fa1184af490a1e56386e511775d41a675967d33746afc72103d",
)
_RUNTIME_FILES: Final = ("ucrtbase", "vcruntime140", "vcruntime140_1", "msvcp140")
#: Wine 8 has no bcryptprimitives; the function does there what this one does.
_RANDOM: Final = {"ProcessPrng": "advapi32.SystemFunction036"}


# What to run with ---------------------------------------------------------------------


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """
    Return the environment of a program under Wine: our prefix, our user, no display.
    """
    kept = {name: value for name, value in base.items() if not name.startswith(("BRIDGE_", "LC_"))}
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "PYTHONPATH", "PYTHONHOME"):
        kept.pop(name, None)
    # No offers to install Mono and Gecko, no menu entries; the C runtime as it came.
    native = ",".join(_RUNTIME_FILES)
    return {
        **kept,
        "WINEPREFIX": str(PREFIX),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": f"mscoree,mshtml,winemenubuilder.exe=;{native}=n,b",
        "USER": USER,
        "LOGNAME": USER,
        # Names of files are UTF-8 for Wine only then; the code page stays 1252.
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        # Not beside the sources: there are those of the interpreter of this machine.
        "PYTHONPYCACHEPREFIX": r"C:\pycache",
        # pip reads configuration of its own in Windows' places, and none of this machine's.
        "PIP_CONFIG_FILE": "nul",
        "PIP_FIND_LINKS": "",
        "PIP_CERT": "",
    }


def wine_command() -> list[str]:
    """
    Return the command that starts a Windows program; Debian's package is installed if need be.

    Raises:
        Unavailable: there is no Wine, and it cannot be installed.
    """
    if sys.platform != "linux":
        raise Unavailable(f"Wine is started on Linux only, and this is {sys.platform}")
    for attempt in range(2):
        found = shutil.which("wine") or shutil.which("wine64") or _inside_of_debian()
        if found is not None:
            return [found]
        if attempt == 0:
            _install_wine()
    raise Unavailable("Wine was installed, but there is no command wine")


def _inside_of_debian() -> str | None:
    # Where the package wine64 puts it, which comes without the command.
    path = "/usr/lib/wine/wine64"
    return path if os.access(path, os.X_OK) else None


def _install_wine() -> None:
    if shutil.which("apt-get") is None:
        raise Unavailable(
            "there is no Wine here and no apt-get to install it (packages wine wine64)"
        )
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and (shutil.which("sudo") is None or not _runs(["sudo", "-n", "true"])):
        raise Unavailable(
            "there is no Wine here, and installing it takes root: apt-get install wine wine64"
        )
    _say("installing Wine (apt-get install wine wine64) ...")
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    _run([*apt, "update"], "apt-get update", timeout_s=5 * _MINUTE)
    packages = ["--no-install-recommends", "wine", "wine64"]
    _run([*apt, "install", "-y", *packages], "apt-get install wine", timeout_s=15 * _MINUTE)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """
    Keep a second run of this tree out while one is under way.

    Raises:
        Unavailable: one is.
    """
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable("another 'make test-windows' runs in this tree") from None
        yield


# Putting it together ------------------------------------------------------------------


def prepare() -> list[str]:
    """
    Fetch and build what is missing; return the command that starts Python for Windows.

    Raises:
        Unavailable: a part cannot be had.
    """
    wine = wine_command()
    BUILD.mkdir(exist_ok=True)
    _make_prefix(wine)
    _unpack_python()
    command = [*wine, str(PYTHON)]
    _install(command, _wheels(), "wheels")
    _install(command, [_own_wheel()], "bridge")
    return command


def _make_prefix(wine: Sequence[str]) -> None:
    stamp = PREFIX / ".made"
    if stamp.exists():
        return
    _say("making a Windows of Wine ...")
    shutil.rmtree(PREFIX, ignore_errors=True)
    env = environment(os.environ)
    for arguments in (["wineboot", "-i"], ["winecfg", "-v", "win10"]):
        _run([*wine, *arguments], "wineboot", env=env, timeout_s=5 * _MINUTE)
    _run([_server(), "-w"], "wineserver", env=env, timeout_s=2 * _MINUTE)
    if not (PREFIX / "drive_c" / "users" / USER).is_dir():
        raise Unavailable(f"this Wine made no user {USER} (other versions name users otherwise)")
    stamp.touch()


def _unpack_python() -> None:
    folder = PYTHON.parent
    stamp = folder / ".unpacked"
    if stamp.exists():
        return
    jar, runtime = fetched(CPYTHON), fetched(C_RUNTIME)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(jar) as archive:
        top = "org/bytedeco/cpython/windows-x86_64/"
        for name in archive.namelist():
            inside = name.removeprefix(top)
            wanted = inside != name and not inside.startswith(_LEFT_OUT)
            if wanted and inside and not inside.endswith("/"):
                _extract(archive, name, folder / inside)
    with zipfile.ZipFile(runtime) as archive:
        for stem in _RUNTIME_FILES:
            name = f"org/bytedeco/javacpp/windows-x86_64/{stem}.dll"
            _extract(archive, name, folder / f"{stem}.dll")
    # The jar has it beside a second python.exe, without the DLL that both need.
    (folder / "bin" / "pythonw.exe").replace(folder / "pythonw.exe")
    stable = exports_of_library((folder / "libs" / "python3.lib").read_bytes())
    for name, targets in {
        "python3.dll": {export: f"python313.{export}" for export in stable},
        "bcryptprimitives.dll": _RANDOM,
    }.items():
        (folder / name).write_bytes(forwarder_dll(name, targets))
    stamp.touch()


def _extract(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def fetched(download: Download) -> Path:
    """
    Return a file in the cache, which is downloaded if need be.

    Raises:
        Unavailable: it cannot be had, or is not what it was.
    """
    path = BUILD / "downloads" / download.name
    if path.exists() and _sha256(path) == download.sha256:
        return path
    _say(f"fetching {download.url} ...")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    try:
        with (
            urllib.request.urlopen(download.url, timeout=_MINUTE) as source,  # noqa: S310 - https, written above
            partial.open("wb") as file,
        ):
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise Unavailable(f"{download.url} cannot be fetched: {error}") from error
    if _sha256(partial) != download.sha256:
        raise Unavailable(f"{download.url} is not the file that it was (SHA-256)")
    partial.replace(path)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Wheels -------------------------------------------------------------------------------


def requirements_of_project(pyproject: str) -> list[str]:
    """
    Return what the tests need installed: the dependencies and the extra ``test``.
    """
    project = tomllib.loads(pyproject)["project"]
    return sorted([*project["dependencies"], *project["optional-dependencies"]["test"]])


def missing_requirements(metadata: Iterable[str]) -> list[str]:
    """
    Return what these distributions need on Windows and is not among them.

    pip, asked for wheels of another system, still decides by the system that it runs on.

    Args:
        metadata: The text of the file METADATA of each.
    """
    parsed = [email.parser.HeaderParser().parsestr(text) for text in metadata]
    there = {canonicalize_name(one["Name"]) for one in parsed}
    needed = [
        Requirement(text) for one in parsed for text in one.get_all("Requires-Dist", failobj=[])
    ]
    return sorted(
        f"{one.name}{one.specifier}"
        for one in needed
        if (one.marker is None or one.marker.evaluate(_MARKERS))
        and canonicalize_name(one.name) not in there
    )


def _wheels() -> list[Path]:
    wanted = requirements_of_project((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
    folder = BUILD / f"wheels-{digest}"
    stamp = folder / ".complete"
    if not stamp.exists():
        _say("fetching the Windows wheels from PyPI ...")
        folder.mkdir(exist_ok=True)
        missing = wanted
        while missing:
            _download_wheels(missing, folder)
            missing = missing_requirements(_metadata(path) for path in folder.glob("*.whl"))
        stamp.touch()
    return sorted(folder.glob("*.whl"))


def _download_wheels(requirements: Sequence[str], folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    target = ["--platform", "win_amd64", "--only-binary=:all:", "--python-version", "3.13"]
    _run(
        [*pip, *target, "--implementation", "cp", "--dest", str(folder), *requirements],
        "pip download of the Windows wheels",
        timeout_s=10 * _MINUTE,
    )


def _metadata(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return archive.read(name).decode("utf-8")


def _own_wheel() -> Path:
    sources = [ROOT / "pyproject.toml", *sorted((ROOT / "bridge").rglob("*.py"))]
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    folder = BUILD / "own" / digest.hexdigest()[:16]
    if not list(folder.glob("*.whl")):
        _say("building our own wheel ...")
        shutil.rmtree(folder.parent, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        _run(
            [*pip, "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
            "pip wheel",
            timeout_s=5 * _MINUTE,
        )
    return next(folder.glob("*.whl"))


def _install(python: Sequence[str], wheels: Sequence[Path], what: str) -> None:
    # By the pip of Python for Windows: it makes the programs in Scripts, and finds out itself
    # whether anything is missing.
    stamp = PYTHON.parent / f".installed-{what}"
    wanted = "\n".join(str(wheel) for wheel in wheels)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    _say(f"installing {what} ...")
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--no-warn-script-location"]
    _run(
        [*python, *pip, "--no-index", "--no-deps", "--no-compile", "--force-reinstall",
         *(windows_path(wheel) for wheel in wheels)],
        f"pip install of {what} under Wine",
        env=environment(os.environ),
        timeout_s=10 * _MINUTE,
    )  # fmt: skip
    stamp.write_text(wanted, encoding="utf-8")


def windows_path(path: Path) -> str:
    """
    Return how Wine names a file of this machine.
    """
    return "Z:" + str(path).replace("/", "\\")


# Running ------------------------------------------------------------------------------


def end_all() -> None:
    """
    End every process of this Windows, and no other.
    """
    nowhere = subprocess.DEVNULL
    env = environment(os.environ)
    subprocess.run([_server(), "-k"], check=False, env=env, stdout=nowhere, stderr=nowhere)


def _server() -> str:
    return shutil.which("wineserver") or "/usr/lib/wine/wineserver64"


def _runs(command: Sequence[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _run(
    command: Sequence[str],
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    timeout_s: float,
) -> None:
    # The output goes through a pipe: Python for Windows fails on a file of Wine 8 as stdout.
    try:
        done = subprocess.run(
            command,
            check=False,
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{what} took longer than {timeout_s:g} s") from None
    except OSError as error:
        raise Unavailable(f"{what}: {error}") from error
    if done.returncode:
        last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-5:]
        raise Unavailable(f"{what} failed ({done.returncode}): {' / '.join(last)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
