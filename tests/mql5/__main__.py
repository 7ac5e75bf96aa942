"""``python -m tests.mql5``: check, translate, build and run MQL5 sources.

check FILE...            tell what is wrong; 1 when something is
translate FILE           print the C++ of a program
build FILE -o PROGRAM    compile it
header                   print the declarations of the API for C++
run FILE ...             start it in a simulated terminal, see ``run --help``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mql5.findings import CODES, SourceError
from tests.mql5.frontend import check, compile_unit

__all__ = ["main"]

_SOURCES = {".mq5", ".mqh"}


def main(words: Sequence[str] | None = None) -> int:
    """
    Run a subcommand; return the exit code: 0 clean, 1 findings, 2 wrong usage.
    """
    words = list(sys.argv[1:] if words is None else words)
    if words[:1] == ["run"]:
        from tests.mql5 import run  # the simulated market is not needed to check a file

        return run.main(words[1:])
    arguments = _parser().parse_args(words)
    try:
        return int(arguments.do(arguments))
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mql5", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("check", help="tell what is wrong with sources")
    command.add_argument("files", nargs="*", type=Path, metavar="FILE", help="or a folder")
    command.add_argument("--codes", action="store_true", help="tell what each code means")
    command.set_defaults(do=_check)
    command = commands.add_parser("translate", help="print the C++ of a program")
    command.add_argument("file", type=Path, metavar="FILE")
    command.set_defaults(do=_translate)
    command = commands.add_parser("build", help="compile a program")
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("-o", "--output", type=Path, metavar="PROGRAM", required=True)
    command.add_argument("--mode", choices=("plain", "asan", "coverage"), default="plain")
    command.set_defaults(do=_build)
    command = commands.add_parser("header", help="print the declarations of the API")
    command.set_defaults(do=_header)
    return parser


def _check(arguments: argparse.Namespace) -> int:
    if arguments.codes:
        from tests.mql5 import rules

        for code, meaning in sorted({**CODES, **rules.CODES}.items()):
            print(f"{code}  {meaning}")
        return 0
    files: list[Path] = []
    for path in arguments.files:
        if path.is_dir():
            files += sorted(inner for inner in path.rglob("*") if inner.suffix in _SOURCES)
        else:
            files.append(path)
    if not files:
        print("no sources", file=sys.stderr)
        return 2
    findings = check(files)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def _translate(arguments: argparse.Namespace) -> int:
    from tests.mql5 import codegen

    print(codegen.translate(compile_unit(arguments.file)))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    import shutil

    from tests.mql5 import building

    shutil.copy2(building.build(arguments.file, mode=arguments.mode), arguments.output)
    return 0


def _header(arguments: argparse.Namespace) -> int:
    from tests.mql5 import header, manifest

    api = manifest.load()
    print(header.api_values(api))
    print(header.api(api))
    return 0


if __name__ == "__main__":
    sys.exit(main())
