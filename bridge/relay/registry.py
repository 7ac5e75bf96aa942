"""The registry: all configured terminals, and who may be connected for them.

Admission (wire protocol, "one live session"): for an account and a role there is one
session. The same incarnation with a higher connection counter replaces the old one at
once: it is the same program, reconnecting. Another incarnation is refused as long as the
old session answers a test request.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from bridge.relay.terminals import SessionLink, Terminal
from bridge.wire.messages import Hello
from bridge.wire.session import NEVER_US
from bridge.wire.spec import LogoutCode, Role

__all__ = ["Terminals"]

#: how long the old session of another incarnation has to answer a test request
_ADMISSION_TEST_US: Final = 2_000_000


@dataclasses.dataclass(slots=True)
class _Admission:
    link: SessionLink
    terminal: Terminal
    old: SessionLink
    tested_us: int

    @property
    def answered(self) -> bool:
        return self.old.last_received_us > self.tested_us

    @property
    def gone(self) -> bool:
        return self.terminal.link is not self.old


class Terminals:
    """
    All configured terminals, and the rules of admission.
    """

    def __init__(self, terminals: dict[str, Terminal]) -> None:
        self._terminals = terminals
        self._admissions: list[_Admission] = []

    def __iter__(self) -> Iterator[Terminal]:
        return iter(self._terminals.values())

    def get(self, alias: str) -> Terminal | None:
        """
        Return the terminal of this alias.
        """
        return self._terminals.get(alias)

    def aliases(self) -> list[str]:
        """
        Return all configured aliases.
        """
        return sorted(self._terminals)

    def check(self, terminal: Terminal, hello: Hello) -> tuple[int, str] | None:
        """
        Return why this account may not log on under this alias, or ``None``.
        """
        pins = terminal.pins
        if not hello.role & Role.BOTH:
            return LogoutCode.ROLE_UNSUPPORTED, f"this relay knows no role {hello.role}"
        if not hello.login:
            return LogoutCode.WRONG_ACCOUNT, "no account is logged on in the terminal"
        if pins.login is not None and hello.login != pins.login:
            return (
                LogoutCode.WRONG_ACCOUNT,
                f"alias {terminal.alias!r} is pinned to login {pins.login}, not {hello.login}",
            )
        if pins.server is not None and hello.server != pins.server:
            return (
                LogoutCode.WRONG_ACCOUNT,
                f"alias {terminal.alias!r} is pinned to server {pins.server!r}",
            )
        if pins.demo_only and hello.trade_mode != 0:
            return LogoutCode.NOT_DEMO, f"alias {terminal.alias!r} takes demo accounts only"
        return None

    def admit(self, terminal: Terminal, link: SessionLink, now_us: int) -> None:
        """
        Let a proved session in, refuse it, or first test the one that is there.
        """
        hello = link.hello
        if hello is None:
            return
        problem = self.check(terminal, hello)
        if problem is not None:
            link.close(problem[0], problem[1], 10_000)
            return
        if self._is_elsewhere(terminal, link, hello):
            return
        old = terminal.link
        if old is None:
            terminal.link_up(link, now_us)
            return
        known = old.hello
        if (
            known is not None
            and known.incarnation == hello.incarnation
            and hello.connection_counter > known.connection_counter
        ):
            self._replace(terminal, old, link, now_us)
            return
        for waiting in self._admissions:
            if waiting.terminal is terminal:
                link.close(LogoutCode.DUPLICATE_SESSION, "another logon is being decided", 3_000)
                return
        old.test(now_us)
        self._admissions.append(_Admission(link, terminal, old, now_us))

    def decide(self, now_us: int) -> None:
        """
        Decide the logons that wait for the answer to a test request.
        """
        for waiting in list(self._admissions):
            answered, gone = waiting.answered, waiting.gone
            if not (answered or gone or now_us - waiting.tested_us > _ADMISSION_TEST_US):
                continue
            self._admissions.remove(waiting)
            hello = waiting.link.hello
            if hello is None or self._is_elsewhere(waiting.terminal, waiting.link, hello):
                continue
            if gone and waiting.terminal.link is None:
                waiting.terminal.link_up(waiting.link, now_us)
            elif answered or gone:
                waiting.link.close(
                    LogoutCode.DUPLICATE_SESSION,
                    f"alias {waiting.terminal.alias!r} has a living session; "
                    "is the EA attached to two charts or terminals?",
                    10_000,
                )
            else:
                self._replace(waiting.terminal, waiting.old, waiting.link, now_us)

    def next_deadline(self) -> int:
        """
        Return when ``decide`` has something to do, in microseconds; 0 for at once.
        """
        deadline = NEVER_US
        for waiting in self._admissions:
            if waiting.answered or waiting.gone:
                return 0
            deadline = min(deadline, waiting.tested_us + _ADMISSION_TEST_US + 1)
        return deadline

    def forget(self, link: SessionLink) -> None:
        """
        A connection is gone before its logon was decided.
        """
        self._admissions = [waiting for waiting in self._admissions if waiting.link is not link]

    def _is_elsewhere(self, terminal: Terminal, link: SessionLink, hello: Hello) -> bool:
        # The account is connected under another alias: refused.
        for other in self:
            known = None if other is terminal or other.link is None else other.hello
            if (
                known is not None
                and (known.login, known.server) == (hello.login, hello.server)
                and known.role & hello.role
            ):
                text = f"account {hello.login} is connected already, under alias {other.alias!r}"
                link.close(LogoutCode.DUPLICATE_SESSION, text, 10_000)
                return True
        return False

    @staticmethod
    def _replace(terminal: Terminal, old: SessionLink, new: SessionLink, now_us: int) -> None:
        old.close(LogoutCode.REPLACED, "a newer session of this terminal took over", 0)
        terminal.link_down(old, LogoutCode.REPLACED, "a newer session took over")
        terminal.link_up(new, now_us)
