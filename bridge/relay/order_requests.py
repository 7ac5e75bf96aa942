"""Requests about orders: which terminal they concern, and what they ask of it."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any, Final

from bridge.bus.order_params import CloseAllParams, HaltParams, OrderResolveParams
from bridge.bus.orders import command_id, command_of, status_command_id
from bridge.bus.requests import (
    DEFAULT_VALID_FOR_MS,
    ErrorName,
    Hop,
    Method,
    Request,
    error_map,
    identity_of,
)
from bridge.exceptions import InvalidRequest, JournalError
from bridge.journal import Journal, content_hash
from bridge.model.retcodes import retcode_name
from bridge.relay.asks import Answer
from bridge.relay.order_commands import Moment, Reply, Wanted, flags_of, request_of
from bridge.relay.trading import TerminalTrading
from bridge.wire.spec import TradingState

__all__ = ["OrderRequests"]

#: What the terminal's answer to each read is called.
_KEYS: Final = {
    Method.POSITIONS: "positions",
    Method.ORDERS: "orders",
    Method.ACCOUNT: "account",
    Method.ORDER_CHECK: "check",
}
_CONTROL: Final = "the control endpoint"


class OrderRequests:
    """
    What a client or an administrator asks about orders, for all terminals.
    """

    def __init__(self, journal: Journal, tradings: dict[str, TerminalTrading]) -> None:
        self._journal = journal
        self._tradings = tradings

    def submit(
        self,
        alias: str,
        request: Request,
        params: Any,
        reply: Reply,
        now: Moment,
        *,
        admin: bool = False,
    ) -> None:
        """
        Take a request of a trading method for this terminal.

        Raises:
            InvalidRequest: it has no identity.
        """
        client_id, client_order_id = identity_of(request)
        method = Method(request.method)
        close_all = params if isinstance(params, CloseAllParams) else None
        wanted = Wanted(
            command_id(client_id, client_order_id),
            method,
            content_hash(method, alias, params.model_dump()),
            request.valid_for_ms or DEFAULT_VALID_FOR_MS,
            command_of(params) if close_all is None else None,
            close_all,
            admin,
        )
        self._tradings[alias].orders.submit(wanted, reply, now)

    def status(self, request: Request, params: Any, reply: Reply) -> None:
        """
        Answer ``order_status``.

        Raises:
            InvalidRequest: no command is named.
        """
        name = status_command_id(params, request.client_id, request.client_order_id)
        result = None
        for trading in self._of_command(name):
            result = trading.orders.status(name)
            if result is not None:
                reply.result(result)
                return
        problem = self._journal.healthy
        if problem is None:
            reply.error(
                error_map(
                    ErrorName.NOT_AVAILABLE,
                    f"no command {name} is in the journal, which was begun at "
                    f"{_utc(self._journal.epoch)}, or it is older than the retention",
                    hint="nothing was sent under this id since then",
                )
            )
        else:
            # Never "not heard of" while it cannot be looked up.
            reply.error(
                error_map(
                    ErrorName.INTERNAL,
                    f"the journal cannot be read: {problem.problem}",
                    hint=problem.hint,
                )
            )

    def read(self, alias: str, method: Method, params: Any, reply: Reply, deadline_us: int) -> None:
        """
        Answer ``positions``, ``orders``, ``account`` or ``order_check`` from the terminal.
        """
        trading = self._tradings[alias]
        if method is Method.ORDER_CHECK:
            command = command_of(params)
            fields = request_of(command.values)._asdict()
            asked = {name: value for name, value in fields.items() if value is not None}
            asked["flags"] = flags_of(command, admin=False)
        else:
            asked = params.model_dump(exclude_none=True)
        done = partial(self._answered, trading, method, reply)
        trading.ask(method.value, asked, done, deadline_us)

    def halt(self, alias: str | None, params: HaltParams, reply: Reply, now: Moment) -> None:
        """
        Halt a terminal, or all.

        Raises:
            InvalidRequest: there is no such terminal.
        """
        state = TradingState.REDUCING if params.reducing else TradingState.HALTED
        self._set_state(alias, state, params.reason, reply, now)

    def resume(self, alias: str | None, reply: Reply, now: Moment) -> None:
        """
        Let a terminal, or all, trade again.

        Raises:
            InvalidRequest: there is no such terminal.
        """
        self._set_state(alias, TradingState.ACTIVE, "", reply, now)

    def alias_of(self, alias: str | None) -> str:
        """
        Return the terminal that is meant; it need not be named when there is only one.

        Raises:
            InvalidRequest: there is no such terminal, or more than one.
        """
        known = sorted(self._tradings)
        if alias is None and len(known) == 1:
            return known[0]
        if alias is None or alias not in self._tradings:
            raise InvalidRequest(
                f"no terminal {alias!r} is configured"
                if alias is not None
                else "there is more than one terminal",
                code=ErrorName.UNKNOWN_TERMINAL if alias is not None else None,
                field="terminal",
                hint=f"configured: {', '.join(known)}",
            )
        return alias

    def resolve(self, params: OrderResolveParams, reply: Reply, now: Moment) -> None:
        """
        Take a person's word for what became of a command.
        """
        name = params.command_id
        for trading in self._of_command(name):
            if trading.orders.status(name) is not None:
                trading.orders.resolve(
                    name,
                    executed=params.executed,
                    evidence=params.evidence,
                    who=_CONTROL,
                    order=params.order or 0,
                    deal=params.deal or 0,
                    reply=reply,
                    now=now,
                )
                return
        reply.error(
            error_map(
                ErrorName.NOT_AVAILABLE,
                f"there is no command {name}",
                field="params.command_id",
                hop=Hop.CLIENT,
            )
        )

    # --- inside ---------------------------------------------------------------------------

    def _of_command(self, name: str) -> list[TerminalTrading]:
        # That of the journal's entry; a command that is not there yet may be any terminal's.
        entry = self._journal.find(name)
        known = None if entry is None else self._tradings.get(entry.alias)
        return list(self._tradings.values()) if known is None else [known]

    def _set_state(
        self, alias: str | None, state: TradingState, reason: str, reply: Reply, now: Moment
    ) -> None:
        names = sorted(self._tradings) if alias is None else [self.alias_of(alias)]
        if not names:
            reply.result({"terminals": []})
        waiting = set(names)
        problems: list[JournalError] = []

        def latched(name: str, error: JournalError | None) -> None:
            waiting.discard(name)
            if error is not None:
                problems.append(error)
            if waiting:
                return
            if problems:
                reply.error(_not_latched(state, problems[0]))
                return
            told = {"trading_state": state.name, "reason": reason}
            reply.result({"terminals": [{"alias": name, **told} for name in names]})

        for name in names:
            orders = self._tradings[name].orders
            orders.set_state(state, reason, _CONTROL, partial(latched, name), now)

    @staticmethod
    def _answered(trading: TerminalTrading, method: Method, reply: Reply, answer: Answer) -> None:
        value = answer.value
        if answer.code:
            reply.error(
                error_map(
                    answer.code,
                    answer.message,
                    hop=answer.hop,
                    field=answer.field,
                    hint=answer.hint,
                )
            )
        elif not isinstance(value, dict) or not _is_answer(value.get(_KEYS[method])):
            reply.error(
                error_map(
                    ErrorName.TERMINAL_ERROR,
                    f"the terminal's answer to {method.value} is not what it should be",
                    hop=Hop.TERMINAL,
                )
            )
        elif method is Method.ORDER_CHECK:
            check = value["check"]
            reply.result({**check, "retcode_name": retcode_name(check.get("retcode", 0))})
        elif method is Method.ACCOUNT:
            reply.result({"account": value["account"]})
        else:
            key = _KEYS[method]
            reply.result({key: [trading.comments.put_back(record) for record in value[key]]})


def _utc(epoch: int) -> str:
    # A journal's epoch is the second in which it was made.
    return dt.datetime.fromtimestamp(epoch, dt.UTC).isoformat(" ")


def _not_latched(state: TradingState, problem: JournalError) -> dict[str, Any]:
    message = f"the state cannot be written: {problem.problem}"
    if state is not TradingState.ACTIVE:
        message = f"it holds until the relay ends, but is not on disk: {problem.problem}"
    return error_map(ErrorName.INTERNAL, message, hint=problem.hint)


def _is_answer(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(record, dict) for record in value)
    return isinstance(value, dict)
