"""The Expert Advisor's own mechanisms, each taken out alone: the simulation has to notice.

Nothing in ``mql5/`` knows of this. A copy of it has one line more or less for each mechanism, under
an input that says which one is out: so one program is built for all of them, and it is the whole
Expert Advisor with none.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

from bridge.journal import Journal
from tests.mql5 import building
from tests.mql5.scenarios.expert import SOURCE
from tests.simulation.ablations import CROWDED, QUICK, SPLIT, VIOLENT, no_place
from tests.simulation.runs import Report, run_seed
from tests.simulation.terminal_ea import options_of_ea
from tests.simulation.world import Options, Plan

__all__ = ["ABLATIONS", "Ablation", "build_without", "changed_sources", "unnoticed"]

_INPUT: Final = "InpTakenOut"
#: most of them are noticed in the first one
_SEEDS: Final = range(1, 17)
_SYNCHRONOUS: Final = {"InpSendAsync": False}


class _Change(NamedTuple):
    # ``old`` must stand exactly once in the file; in ``new`` TAKEN is the condition.
    file: str
    old: str
    new: str


#: The numbers are those of the input.
_CHANGES: Final = {
    1: _Change(
        "Include/Bridge/Trade/Ledger.mqh",
        "   if(LoadState())\n      return(true);\n",
        "   if(TAKEN)\n"
        "     {\n"
        '      const int all=m_store.Prepare("DELETE FROM commands",true);\n'
        "      m_store.Run(all);\n"
        "      m_store.Finish(all);\n"
        "     }\n"
        "   if(LoadState())\n"
        "      return(true);\n",
    ),
    2: _Change(
        "Include/Bridge/Trade/Executor.mqh",
        "   if(m_commands.Intend(m_entry))\n",
        "   if(TAKEN || m_commands.Intend(m_entry))\n",
    ),
    3: _Change(
        "Include/Bridge/Trade/TradingDeskQuery.mqh",
        "   return(now_us-since_us>=(long)settle_ms*1000);\n",
        "   return(TAKEN || now_us-since_us>=(long)settle_ms*1000);\n",
    ),
    4: _Change(
        "Include/Bridge/Support/Identity.mqh",
        "   if(epoch>m_relay_epoch)\n",
        "   if(!(TAKEN) && epoch>m_relay_epoch)\n",
    ),
    5: _Change(
        "Include/Bridge/Trade/TradeEvents.mqh",
        "   m_marked=has_cursor;\n"
        "   m_from_msc=(has_cursor ? cursor_msc : moment.server_msc);\n"
        "   m_places.Begin(has_cursor,m_from_msc,cursor_ticket,m_known);\n"
        "   if(!has_cursor)\n",
        "   m_marked=(has_cursor && !(TAKEN));\n"
        "   m_from_msc=(has_cursor && !(TAKEN) ? cursor_msc : moment.server_msc);\n"
        "   m_places.Begin(has_cursor && !(TAKEN),m_from_msc,cursor_ticket,m_known);\n"
        "   if(!has_cursor || TAKEN)\n",
    ),
    6: _Change(
        "Include/Bridge/Trade/Executor.mqh",
        "   const uint outcome=OutcomeOf(answer.retcode,(uint)m_entry.sent.action);\n",
        "   uint outcome=OutcomeOf(answer.retcode,(uint)m_entry.sent.action);\n"
        "   if(TAKEN && outcome==(uint)OUTCOME_UNKNOWN)\n"
        "      outcome=(uint)OUTCOME_REJECTED;\n",
    ),
    7: _Change(
        "Include/Bridge/Trade/Freshness.mqh",
        "   if(!closes || ArraySize(m_last)==0)\n",
        "   if(TAKEN || !closes || ArraySize(m_last)==0)\n",
    ),
}


def changed_sources() -> dict[Path, str]:
    """
    Return the copy in which each mechanism can be taken out, by path.

    Raises:
        ValueError: a line that is changed is not there any more.
    """
    root = SOURCE.parents[1]
    files = {
        path.relative_to(root): path.read_text()
        for path in sorted(root.rglob("*.mq[5h]"))
        if path == SOURCE or path.suffix == ".mqh"
    }
    main = SOURCE.relative_to(root)
    files[main] = files[main].replace("#include", f"input int {_INPUT} = 0;\n\n#include", 1)
    for number, change in _CHANGES.items():
        path = Path(change.file)
        if files[path].count(change.old) != 1:
            raise ValueError(f"{change.file}: these lines are not there once:\n{change.old}")
        files[path] = files[path].replace(
            change.old, change.new.replace("TAKEN", f"{_INPUT}=={number}")
        )
    return files


def build_without(mode: building.Mode = "plain") -> Path:
    """
    Return the program of that copy.
    """
    files = changed_sources()
    digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:16]
    folder = building.BUILD / "sources" / f"without-{digest}"
    if not (folder / ".whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        (folder / ".whole").touch()
    return building.build(folder / SOURCE.relative_to(SOURCE.parents[1]), mode)


@dataclasses.dataclass(frozen=True)
class Ablation:
    """
    One mechanism taken out, in a world that needs it; ``number`` of the input, 0: the world does it.

    ``kinds``: failures of which at least one must be found, in one of few seeds; with the mechanism
    the same seed is clean.
    """

    name: str
    kinds: frozenset[str]
    plan: Plan
    number: int = 0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    two_relays: bool = False
    patch: Callable[[], AbstractContextManager[Any]] = nullcontext

    def run(self, seed: int, program: Path) -> Report:
        """
        Run a seed without the mechanism.
        """
        with self.patch():
            return run_seed(seed, self.plan, self._options(program, self.number, self.options))

    def run_whole(self, seed: int, program: Path) -> Report:
        """
        Run the same with it.
        """
        return run_seed(seed, self.plan, self._options(program, 0, {}))

    def _options(self, program: Path, number: int, options: dict[str, Any]) -> Options:
        inputs = {**_SYNCHRONOUS, _INPUT: number}
        made = options_of_ea(program, inputs=inputs, options=options)
        return dataclasses.replace(made, two_relays=self.two_relays)


ABLATIONS: tuple[Ablation, ...] = (
    Ablation("no ledger", frozenset({"wrong_verdicts", "duplicated"}), VIOLENT, 1),
    Ablation(
        "no sync of the ledger",
        frozenset({"wrong_verdicts", "duplicated"}),
        VIOLENT,
        options={"sqlite": "sync_ignored"},
    ),
    Ablation("no intent before it is sent", frozenset({"wrong_verdicts"}), VIOLENT, 2),
    Ablation("not found is believed at once", frozenset({"wrong_verdicts"}), QUICK, 3),
    Ablation("no fencing", frozenset({"wrong_verdicts", "duplicated"}), SPLIT, 4, two_relays=True),
    Ablation("no event cursor", frozenset({"lost"}), VIOLENT, 5),
    Ablation(
        "no event cursor in the relay",
        frozenset({"lost"}),
        VIOLENT,
        patch=functools.partial(mock.patch.object, Journal, "event_cursor", no_place),
    ),
    Ablation("no answer is an answer", frozenset({"wrong_verdicts"}), CROWDED, 6),
    Ablation("a close does not wait for what it closes", frozenset({"duplicated"}), CROWDED, 7),
)


def unnoticed(say: Callable[[str], Any]) -> list[str]:
    """
    Run them all; return the names of those that were not noticed, or that fail when they are whole.
    """
    program = build_without()
    missed = []
    for one in ABLATIONS:
        for seed in _SEEDS:
            counts = one.run(seed, program).counts
            if any(counts[kind] for kind in one.kinds):
                break
        else:
            say(f"{one.name}: not noticed in {len(_SEEDS)} seeds")
            missed.append(one.name)
            continue
        whole = one.run_whole(seed, program).failures
        if whole:
            say(f"{one.name}: seed {seed} fails without it too: {whole[0]}")
            missed.append(one.name)
        else:
            told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
            say(f"{one.name}: noticed in seed {seed}, {told}")
    return missed
