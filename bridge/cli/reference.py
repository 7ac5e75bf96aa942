"""The tables of ``docs/reference/command-line.md``, from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from bridge.cli.app import COMMANDS, cli
from bridge.cli.exits import MEANINGS

__all__ = ["commands_text", "exit_codes_table"]


def exit_codes_table() -> str:
    """
    Return the exit codes and what they mean.
    """
    rows = [f"| {code.value} | `{code.name}` | {MEANINGS[code]} |" for code in MEANINGS]
    return "\n".join(["| Code | Name | Meaning |", "|---|---|---|", *rows])


def commands_text() -> str:
    """
    Return a section for each command: usage, what it does, its options.
    """
    return "\n\n".join(_section(command, ctx) for command, ctx in _commands())


def _commands() -> Iterator[tuple[click.Command, click.Context]]:
    top = click.Context(cli, info_name="bridge")
    for name in COMMANDS:
        command = cli.get_command(top, name)
        if command is not None:
            yield from _with_subcommands(command, click.Context(command, top, info_name=name))


def _with_subcommands(
    command: click.Command, ctx: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    if not isinstance(command, click.Group):
        yield command, ctx
    else:
        for name, sub in command.commands.items():
            yield from _with_subcommands(sub, click.Context(sub, ctx, info_name=name))


def _section(command: click.Command, ctx: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(ctx))
    about = inspect.cleandoc(command.help or "")
    rows = [row for option in command.get_params(ctx) if (row := _row(option, ctx))]
    return "\n".join(
        [
            f"### `{ctx.command_path}`",
            "",
            f"`{ctx.command_path} {usage}`",
            "",
            about,
            "",
            "| Option | Meaning |",
            "|---|---|",
            *rows,
        ]
    )


def _row(option: click.Parameter, ctx: click.Context) -> str:
    # Arguments stand in the usage, and in the text when they need one.
    record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
    if record is None or "--help" in option.opts:
        return ""
    name, meaning = (" ".join(text.split()).replace("|", "\\|") for text in record)
    return f"| `{name}` | {meaning} |"
