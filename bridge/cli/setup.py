"""``bridge init`` and ``bridge config check``: before a relay runs."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.cli.exits import ExitCode
from bridge.cli.options import (
    Place,
    home_option,
    output_option,
    place_options,
    require_subcommand,
)
from bridge.cli.output import document, form, say, write
from bridge.config import (
    CONFIG_NAME,
    Settings,
    default_config_path,
    init_config,
    load_key,
    problems,
)
from bridge.exceptions import ConfigError

__all__ = ["config", "init"]


@click.command(short_help="Write a configuration and a key.")
@click.argument("aliases", metavar="[ALIAS]...", nargs=-1)
@home_option
@click.option("--force", is_flag=True, help="Write anew what exists; old keys are void then.")
def init(aliases: tuple[str, ...], home: Path | None, *, force: bool) -> None:
    """
    Write a commented configuration, and a key for each terminal ALIAS (default: demo).

    What exists is kept, so a second call with another ALIAS adds a terminal.
    """
    place = Place(home=home)
    file = default_config_path(place.environment())
    if file.name != CONFIG_NAME:
        raise click.UsageError(
            f"BRIDGE_CONFIG names {file}, and init writes files called {CONFIG_NAME}; "
            "say where with --home"
        )
    done = init_config(file.parent, aliases or ("demo",), force=force)
    for path in done.written:
        write(f"written: {path}")
    for path in done.kept:
        write(f"kept:    {path}")
    for alias in done.unlisted:
        say(f"bridge: add this line to {done.config_file}: [terminals.{alias}]")
    say(f"next: bridge run{place.flags()}")


@click.group(invoke_without_command=True, short_help="Check the configuration.")
@click.pass_context
def config(ctx: click.Context) -> None:
    """
    What concerns the configuration.
    """
    require_subcommand(ctx)


@config.command(short_help="Tell everything that is wrong with the configuration.")
@place_options
@output_option("table", "json", about="Form of the answer.  [default: table]")
@click.pass_context
def check(ctx: click.Context, place: Place, output: str | None) -> None:
    """
    Tell everything that is wrong with the configuration and its keys.

    Environment variables count too. Exit code 3 when anything is wrong.
    """
    env = place.environment()
    file = place.config or default_config_path(env)
    found = problems(place.config, env)
    settings = Settings() if found else place.settings()
    found = found or _key_problems(settings)
    if form(output, "table") == "json":
        write(document({"ok": not found, "file": str(file), "problems": _records(found)}))
    else:
        for problem in found:
            say(f"bridge: {problem}")
        if not found:
            source = str(file) if file.exists() else f"defaults, because there is no {file}"
            write(f"ok: {source}; terminals: {', '.join(settings.terminals) or 'none'}")
    if found:
        ctx.exit(ExitCode.CONFIG_INVALID)
    if not settings.terminals:
        say(f"bridge: no terminal is configured; 'bridge init{place.flags()}' writes one")


def _key_problems(settings: Settings) -> list[ConfigError]:
    found = []
    for terminal in settings.terminals.values():
        try:
            load_key(terminal.key_file)
        except ConfigError as error:
            found.append(error)
    return found


def _records(found: list[ConfigError]) -> list[dict[str, str]]:
    return [
        {"source": one.source, "key": one.key, "problem": one.problem, "hint": one.hint}
        for one in found
    ]
