"""Which functions may be called where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tests.mql5 import tree
from tests.mql5.findings import Finding
from tests.mql5.rules.walking import Program, api_name, calls_in, constant_of, in_order

__all__ = ["RULES"]

_TLS_PORT: Final = 443
# Reading properties of orders is trading too: who reads them decides on them.
_TRADING: Final = ("Order", "Position", "History", "Deal")


def program_types(program: Program) -> Iterator[Finding]:
    """
    R303: a timer in a service, Sleep in an indicator.
    """
    if program.kind is None:
        return
    for call in calls_in(program.unit):
        name = api_name(call)
        if name and program.kind not in program.manifest.functions[name][0].programs:
            message = f"{name} does not work in a program of the type {program.kind}"
            yield Finding(call.place, "R303", message)


def blocking_reads(program: Program) -> Iterator[Finding]:
    """
    R304: SocketRead waits for bytes, for its whole timeout, and every event with it.
    """
    for function in program.functions:
        asked = False
        for node in in_order(function):
            name = api_name(node)
            if name == "SocketIsReadable":
                asked = True
            elif name in {"SocketRead", "SocketTlsRead"} and not asked:
                message = f"{name} without SocketIsReadable before it in the function"
                yield Finding(node.place, "R304", message)


def ports(program: Program) -> Iterator[Finding]:
    """
    R305: at port 443 the terminal makes a TLS handshake that a plain relay does not answer.
    """
    for call in calls_in(program.unit):
        if api_name(call) == "SocketConnect" and constant_of(call.arguments[2]) == _TLS_PORT:
            yield Finding(call.place, "R305", "port 443 starts TLS: take another one")
    for item in program.unit.items:
        if isinstance(item, tree.Declaration) and item.storage in {"input", "sinput"}:
            for declarator in item.declarators:
                port = "Port" in declarator.name and constant_of(declarator.initial) == _TLS_PORT
                if port:
                    yield Finding(declarator.place, "R305", "port 443 starts TLS: take another one")


def layers(program: Program) -> Iterator[Finding]:
    """
    R306: sockets are named in Net/ only, trading in Trade/ only (docs, architecture of the EA).
    """
    for call in calls_in(program.unit):
        name = api_name(call)
        folders = PurePosixPath(call.place.path).parts[:-1]
        if name is None or not {"Include", "Experts", "Scripts", "Services"} & set(folders):
            continue
        if name.startswith("Socket") and "Net" not in folders:
            yield Finding(call.place, "R306", f"{name} outside of the folder Net")
        elif name.startswith(_TRADING) and "Trade" not in folders:
            yield Finding(call.place, "R306", f"{name} outside of the folder Trade")


RULES: Final = (program_types, blocking_reads, ports, layers)
