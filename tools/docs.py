"""Write the tables in docs/ that are made from the code, or check that they are in step.

A page marks a place with ``<!-- BEGIN GENERATED name -->`` and ``<!-- END GENERATED
name -->`` on lines of their own; what is between them is replaced by ``TABLES[name]()``.

    python -m tools.docs            write (make docs)
    python -m tools.docs --check    only tell what differs; exit code 1 if anything does
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.cli.reference import commands_text, exit_codes_table
from bridge.config import settings_table
from tools import (
    bus_docs,
    conformance_docs,
    ea_docs,
    failpoint_docs,
    mql5_spec,
    policy_docs,
    wire_docs,
)

__all__ = ["DOCS", "TABLES", "main", "rendered"]

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"

#: Every generated table: the name in the markers, and what makes the text.
TABLES: Final[dict[str, Callable[[], str]]] = {
    "commands": commands_text,
    "exit-codes": exit_codes_table,
    "settings": settings_table,
    **bus_docs.TABLES,
    **conformance_docs.TABLES,
    **ea_docs.TABLES,
    **failpoint_docs.TABLES,
    **policy_docs.TABLES,
    **wire_docs.TABLES,
}

_BLOCK = re.compile(
    r"^<!-- BEGIN GENERATED (?P<name>[a-z_-]+) -->\n"
    r".*?"
    r"^<!-- END GENERATED (?P=name) -->$",
    re.MULTILINE | re.DOTALL,
)


def rendered(text: str) -> str:
    """
    Return a page with its tables made anew.

    Raises:
        KeyError: a marker names a table that is not in ``TABLES``.
    """

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        table = TABLES[name]().strip()
        return f"<!-- BEGIN GENERATED {name} -->\n\n{table}\n\n<!-- END GENERATED {name} -->"

    return _BLOCK.sub(block, text)


def main(arguments: list[str] | None = None) -> int:
    """
    Write or check every page; return the exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    check = parser.parse_args(arguments).check
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = rendered(before)
        if after != before:
            stale.append(page)
            if not check:
                page.write_text(after, encoding="utf-8", newline="\n")
    for page in stale:
        print(f"{'stale' if check else 'written'}: {page.relative_to(DOCS.parent)}")
    flag = ["--check"] if check else []
    others = [bus_docs.main(flag), mql5_spec.main(flag)]
    return 1 if check and (stale or any(others)) else 0


if __name__ == "__main__":
    sys.exit(main())
