"""``bridge journal``: look at the journal of orders, and the way out when it is in doubt.

Both work on the files of this machine; neither needs a relay.
"""

from __future__ import annotations

import time
from typing import Any, Final

import click

from bridge.cli.options import Place, output_option, place_options, require_subcommand
from bridge.cli.output import document, form, printable, write
from bridge.journal.quarantine import Checked, Quarantined, check_journal
from bridge.journal.quarantine import quarantine as quarantine_journal

__all__ = ["journal"]

_FORMS_ABOUT: Final = "Form of the answer.  [default: table for people, json for programs]"
_SHOWN_MAX: Final = 20


@click.group(invoke_without_command=True, short_help="Check the journal of orders.")
@click.pass_context
def journal(ctx: click.Context) -> None:
    """
    Check the journal of orders, and get on when it is in doubt.
    """
    require_subcommand(ctx)


@journal.command(short_help="Check every record of the journal.")
@place_options
@output_option("table", "json", about=_FORMS_ABOUT)
def check(place: Place, output: str | None) -> None:
    """
    Check every record of the journal. A relay may run meanwhile.

    Exit code 1 when it is in doubt; the line on stderr says why and what to do.
    """
    found = check_journal(place.settings().journal_file)
    if form(output) == "json":
        write(document({"ok": True, **_plain(found)}))
        return
    write(f"sound: {printable(str(found.path))}")
    write(f"{found.commands} commands, {_open_text(found.open_ids)}")


@journal.command(short_help="Move a journal in doubt away, begin a new one.")
@place_options
@click.option(
    "--damaged-version",
    is_flag=True,
    help="There never was a newer version here: a version that is too high is damage.",
)
@output_option("table", "json", about=_FORMS_ABOUT)
def quarantine(place: Place, output: str | None, *, damaged_version: bool) -> None:
    """
    Move a journal in doubt away, and begin a new one with all of it that can still be read.

    Nothing is deleted, and a journal that is sound is not touched. Stop the relay before. All
    terminals are halted afterwards: compare their positions and orders with what your
    strategies believe, then `bridge resume`.
    """
    settings = place.settings()
    found = quarantine_journal(
        settings.journal_file,
        sorted(settings.terminals),
        who="bridge journal quarantine",
        now_utc_msc=time.time_ns() // 1_000_000,
        damaged_version=damaged_version,
    )
    if form(output) == "json":
        write(document(_plain(found)))
        return
    write("\n".join(_lines(found, place)))


def _lines(found: Quarantined, place: Place) -> list[str]:
    then = (
        "start the relay; compare 'bridge positions' and 'bridge orders' with what your "
        f"strategies believe; then 'bridge resume{place.flags()}'"
    )
    return [
        f"in doubt: {printable(found.problem)}",
        f"moved to: {printable(str(found.moved_to))}",
        f"kept: {found.commands} commands, {_open_text(found.open_ids)}",
        f"lost: {_lost_text(found)}",
        f"halted: {', '.join(found.halted) or 'none'}",
        f"next: {then}",
    ]


def _open_text(open_ids: tuple[str, ...]) -> str:
    if not open_ids:
        return "each with its end"
    names = ", ".join(open_ids[:_SHOWN_MAX])
    more = f" and {len(open_ids) - _SHOWN_MAX} more" if len(open_ids) > _SHOWN_MAX else ""
    return f"{len(open_ids)} of them without an end: {names}{more}"


def _lost_text(found: Quarantined) -> str:
    parts = []
    if found.lost_commits:
        parts.append(f"the last {found.lost_commits} transactions")
    if found.damaged:
        parts.append(f"{found.damaged} records that are damaged")
    if not found.whole:
        parts.append("what could not be read, nobody knows how much")
    if not parts:
        return "nothing that was acknowledged"
    return (
        f"{'; '.join(parts)}. An order in it is unknown to the relay now: asked for again under its "
        "own id it is not executed twice, for the terminal's ledger knows it; under another id it is"
    )


def _plain(found: Checked | Quarantined) -> dict[str, Any]:
    told = found._asdict()
    return {
        name: str(value) if name in ("path", "moved_to") else value for name, value in told.items()
    }
