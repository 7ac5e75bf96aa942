"""Plays a script against a side under test: says its lines, and holds what comes against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from tests.conformance.defaults import Defaults
from tests.conformance.language import Script, ScriptError, Step
from tests.conformance.ports import Peer
from tests.conformance.speech import (
    KEYS,
    Conversation,
    Received,
    pack_body,
    pack_ticks,
)
from tests.conformance.values import (
    Assignment,
    Clock,
    Mismatch,
    SyntaxProblem,
    blank,
    make,
    match,
)
from tests.conformance.vocabulary import QUIET, SPOKEN, number_of

__all__ = ["Player"]

_MS: Final = 1_000
_SECOND: Final = 1_000_000
#: how long a line that expects something waits for it
_PATIENCE_US: Final = 1_000_000
#: and how long ``< nothing`` watches
_WATCH_US: Final = 200_000
_STEP_US: Final = 10_000
_HEARTBEAT_US: Final = 1_000_000
#: how long ``I`` waits for a terminal to dial: its back-off goes up to 72 s
_DIAL_US: Final = 75_000_000


class Player:
    """
    One run of a script.
    """

    def __init__(self, script: Script, peer: Peer) -> None:
        self._script = script
        self._peer = peer
        self._plays_relay = script.side == "terminal"
        self._talks: dict[int, Conversation] = {}
        self._newest = 0
        self._variables: dict[str, Any] = {}
        self._published: dict[str, list[Any]] = {}
        self._replies: dict[str, dict[str, Any]] = {}
        self._heartbeats = True
        self._acks = True
        self._passed: set[str] = set()
        self._defaults = Defaults(peer, plays_relay=self._plays_relay)

    def play(self) -> None:
        """
        Play it to the end.

        Raises:
            ScriptError: the first line that does not hold.
        """
        last = self._script.steps[-1]
        for step in self._script.steps:
            self._at(step, partial(self._play, step))
        self._at(last, self._end)

    def _at(self, step: Step, call: Callable[[], None]) -> None:
        try:
            call()
        except (Mismatch, SyntaxProblem) as problem:
            told = f"{step.text}\n    {problem}"
            raise ScriptError(self._script.path, step.line, told) from None

    # --- lines ------------------------------------------------------------------------------

    def _play(self, step: Step) -> None:
        if step.sign != "<":
            # What came before this line and nobody asked for is old.
            for talk in self._talks.values():
                talk.waiting = [one for one in talk.waiting if one.name not in QUIET]
        _PLAYED[step.sign](self, step)
        self._collect()

    def _hang_up(self, step: Step) -> None:
        number, talk = self._talk(step)
        talk.ended, talk.active = True, False
        self._peer.cut(number)

    def _command(self, step: Step) -> None:
        self._peer.command(step.words[0], self._plain(step.fields))

    def _subscribe(self, step: Step) -> None:
        self._peer.subscribe(step.words[0], wanted=step.sign == "+")
        self._published.setdefault(step.words[0], [])

    def _end(self) -> None:
        # What came and no line expected is wrong, too.
        self._wait_for(lambda: False, _STEP_US)
        for number, talk in self._talks.items():
            left = self._loud(talk)
            if left:
                raise Mismatch(f"behind the last line, on connection {number}: {left[0]}")
        for topic, bodies in self._published.items():
            if bodies:
                raise Mismatch(f"behind the last line, on {topic}: {bodies[0]}")

    # --- connections and logon ------------------------------------------------------------------

    def _connect(self, step: Step) -> None:
        key = next((str(one.value.content) for one in step.fields if one.name == "key"), "demo")
        if key not in KEYS:
            raise SyntaxProblem(f"there is no key {key!r}: one of {sorted(KEYS)}")
        number = step.connection or 1 + max(self._talks, default=0)
        if step.words == ("nothing",):
            if self._wait_for(lambda: self._peer.connect(number), _WATCH_US):
                raise Mismatch("it dialled")
            return
        patience = _WATCH_US if step.words else _DIAL_US
        if not self._wait_for(lambda: self._peer.connect(number), patience):
            raise Mismatch("no connection was made")
        talk = Conversation(self._plays_relay, KEYS[key], checks=key != "wrong")
        self._talks[number] = talk
        self._newest = number
        self._collect()

    def _log_on(self, step: Step) -> None:
        self._connect(step)
        number, talk = self._newest, self._talks[self._newest]
        if self._plays_relay:
            self._next(talk, "HELLO")
            self._send(talk, number, "CHALLENGE", self._of("CHALLENGE", step))
            self._next(talk, "PROOF")
            self._send(talk, number, "WELCOME", self._of("WELCOME", step))
        else:
            self._send(talk, number, "HELLO", self._of("HELLO", step))
            self._next(talk, "CHALLENGE")
            self._send(talk, number, "PROOF", {})
            self._next(talk, "WELCOME")
            if self._heartbeats:
                # A terminal's state is in its first heartbeat, which follows at once.
                self._beat(talk, number)

    def _of(self, message: str, step: Step) -> dict[str, Any]:
        known = SPOKEN[message]
        return self._made(message, [one for one in step.fields if one.name in known])

    # --- saying -------------------------------------------------------------------------------

    def _say(self, step: Step) -> None:
        number, talk = self._talk(step)
        message = step.words[0]
        self._send(talk, number, message, self._made(message, step.fields))

    def _send(
        self,
        talk: Conversation,
        number: int,
        message: str,
        given: dict[str, Any],
        damage: dict[str, Any] | None = None,
    ) -> None:
        data = talk.frame(message, self._body(talk, message, given), damage)
        talk.sent.append(data)
        self._defaults.said(message, given)
        self._peer.send(number, data)
        if message == "WELCOME" and self._heartbeats:
            self._beat(talk, number)
        self._collect()

    def _body(self, talk: Conversation, message: str, given: dict[str, Any]) -> bytes:
        if message == "PROOF":
            return bytes(given["proof"]) if "proof" in given else talk.proof("terminal")
        values = self._filled(talk, message, given)
        if message == "TICKS":
            return pack_ticks(values, self._peer.now_us)
        if message == "CHALLENGE":
            body = talk.challenge_body(pack_body(message, values))
            return body[:-32] + given["proof"] if "proof" in given else body
        return pack_body(message, values)

    def _harm(self, step: Step) -> None:
        number, talk = self._talk(step)
        what = step.words[0]
        if what == "bytes":
            self._peer.send(number, bytes.fromhex(step.words[1]))
        elif what == "again":
            for frame in self._recorded(step.words[1]):
                self._peer.send(number, frame)
        else:
            given = self._made(what, step.fields)
            self._send(talk, number, what, given, self._plain(step.more))
        self._collect()

    def _recorded(self, number: str) -> list[bytes]:
        if not number.isdigit() or int(number) not in self._talks:
            raise SyntaxProblem(f"there is no connection {number}")
        return list(self._talks[int(number)].sent)

    def _beat(self, talk: Conversation, number: int, test_id: int = 0) -> None:
        talk.next_heartbeat_us = self._peer.now_us + _HEARTBEAT_US
        self._send(talk, number, "HEARTBEAT", {"test_id": test_id})

    # --- what a line leaves out ------------------------------------------------------------------

    def _made(self, message: str, fields: Any) -> dict[str, Any]:
        known = SPOKEN[message]
        return {
            one.name: make(
                one.value,
                known[one.name],
                one.name,
                lambda field, word: number_of(message, field, word),
                self._variables,
                self._clock,
            )
            for one in fields
        }

    def _plain(self, fields: Any) -> dict[str, Any]:
        # Without a field nothing is known of names: they are text.
        return {
            one.name: make(one.value, None, one.name, _no_name, self._variables, self._clock)
            for one in fields
        }

    def _filled(self, talk: Conversation, message: str, given: dict[str, Any]) -> dict[str, Any]:
        blanks = {name: blank(field) for name, field in SPOKEN[message].items()}
        return blanks | self._defaults.of(message, talk, given) | given

    # --- expecting ------------------------------------------------------------------------------

    def _expect(self, step: Step) -> None:
        number, talk = self._talk(step)
        wanted = step.words[0]
        if wanted == "nothing":
            heard = set(step.words[1:])
            if self._wait_for(lambda: bool(self._loud(talk, heard)), _WATCH_US):
                raise Mismatch(f"came: {self._loud(talk, heard)[0]}")
            return
        if wanted == "END":
            self._expect_end(number, talk)
            return
        received = self._next(talk, wanted)
        kinds = SPOKEN[wanted]
        for one in step.fields:
            if one.name not in received.fields:
                raise Mismatch(f"no {one.name} in {received}")
            self._match(one, received.fields[one.name], kinds[one.name], wanted, received)

    def _expect_end(self, number: int, talk: Conversation) -> None:
        if not self._wait_for(lambda: not self._peer.is_open(number), _PATIENCE_US):
            raise Mismatch("the connection is still open")
        left = self._loud(talk)
        if left:
            raise Mismatch(f"before the end came: {left[0]}")
        talk.ended, talk.active = True, False

    def _match(self, one: Assignment, actual: Any, field: Any, message: str, whole: object) -> None:
        try:
            match(
                one,
                actual,
                field,
                lambda name, word: number_of(message, name, word),
                self._variables,
                self._clock,
            )
        except Mismatch as problem:
            raise Mismatch(f"{problem}\n    in {whole}") from None

    def _next(self, talk: Conversation, wanted: str) -> Received:
        # The next message that counts, waiting for it.
        passed = (QUIET | self._passed) - {wanted}

        def came() -> bool:
            while talk.waiting and talk.waiting[0].name in passed:
                del talk.waiting[0]
            return bool(talk.waiting)

        if not self._wait_for(came, _PATIENCE_US):
            raise Mismatch(f"no {wanted} came within a second")
        received = talk.waiting[0]
        if received.name != wanted:
            raise Mismatch(f"expected {wanted}, got {received}")
        del talk.waiting[0]
        return received

    def _loud(self, talk: Conversation, heard: Iterable[str] = ()) -> list[Received]:
        passed = (QUIET | self._passed) - set(heard)
        return [one for one in talk.waiting if one.name not in passed]

    def _question(self, step: Step) -> None:
        problem = self._peer.question(step.words[0], self._plain(step.fields))
        if problem:
            raise Mismatch(problem)

    # --- clients ------------------------------------------------------------------------------

    def _ask(self, step: Step) -> None:
        label, method = step.words
        request = {"method": method, **self._plain(step.fields)}
        self._peer.ask(label, request)

    def _expect_reply(self, step: Step) -> None:
        label = step.words[0]

        def came() -> bool:
            if label not in self._replies:
                reply = self._peer.reply(label)
                if reply is not None:
                    self._replies[label] = reply
            return label in self._replies

        if step.words[1:] == ("nothing",):
            if self._wait_for(came, _WATCH_US):
                raise Mismatch(f"came: {self._replies[label]}")
            return
        if not self._wait_for(came, _PATIENCE_US):
            raise Mismatch("no reply came within a second")
        reply = self._replies.pop(label)
        wants_error = step.words[1:] == ("error",)
        if reply["ok"] is wants_error:
            raise Mismatch(f"came: {reply}")
        self._match_plain(step.fields, reply["error" if wants_error else "result"])

    def _expect_published(self, step: Step) -> None:
        topic = step.words[0]
        if topic not in self._published:
            raise SyntaxProblem(f"nobody subscribed to {topic}")
        waiting = self._published[topic]
        if step.words[1:] == ("nothing",):
            if self._wait_for(lambda: bool(waiting), _WATCH_US):
                raise Mismatch(f"came: {waiting[0]}")
            return
        if not self._wait_for(lambda: bool(waiting), _PATIENCE_US):
            raise Mismatch("nothing was published within a second")
        self._match_plain(step.fields, waiting.pop(0))

    def _match_plain(self, fields: Any, actual: dict[str, Any]) -> None:
        for one in fields:
            if one.name not in actual:
                raise Mismatch(f"no {one.name} in {actual}")
            try:
                match(one, actual[one.name], None, _no_name, self._variables, self._clock)
            except Mismatch as problem:
                raise Mismatch(f"{problem}\n    in {actual}") from None

    # --- time -----------------------------------------------------------------------------------

    @property
    def _clock(self) -> Clock:
        peer = self._peer
        return Clock(peer.now_us, peer.utc_msc, peer.server_msc)

    def _wait_for(self, happened: Callable[[], bool], within_us: int) -> bool:
        until = self._peer.now_us + within_us
        self._collect()
        while not happened():
            if self._peer.now_us >= until:
                return False
            self._advance(min(until, self._peer.now_us + _STEP_US))
        return True

    def _let_time_pass(self, step: Step) -> None:
        before, self._heartbeats = self._heartbeats, self._heartbeats and not step.words
        until = self._peer.now_us + step.us
        while self._peer.now_us < until:
            self._advance(until)
        self._heartbeats = before

    def _advance(self, until_us: int) -> None:
        # As far as that, but no further than our own next heartbeat.
        beats = [talk.next_heartbeat_us for talk in self._talks.values() if talk.active]
        at = min([until_us, *beats]) if self._heartbeats else until_us
        self._peer.advance(max(at, self._peer.now_us + 1))
        self._collect()
        if not self._heartbeats:
            return
        for number, talk in self._talks.items():
            # An answer takes a moment: nobody is asked and has answered at the same time.
            asked, talk.asked = talk.asked, []
            for test_id in asked if talk.active else ():
                self._beat(talk, number, test_id)
            if talk.active and self._peer.now_us >= talk.next_heartbeat_us:
                self._beat(talk, number)

    def _collect(self) -> None:
        # Take what came, and do what a polite side does at once.
        for number, talk in self._talks.items():
            before = len(talk.waiting)
            talk.take(self._peer.receive(number), self._peer.now_us)
            if not talk.active:
                continue
            for received in talk.waiting[before:]:
                if received.name == "TEST_REQUEST" and self._heartbeats:
                    talk.asked.append(received.fields["test_id"])
            if self._plays_relay and self._acks and talk.market_seq > talk.acknowledged:
                talk.acknowledged = talk.market_seq
                self._send(talk, number, "ACK", {"seq": talk.market_seq})
        for topic in self._published:
            self._published[topic] += self._peer.published(topic)

    def _habit(self, step: Step) -> None:
        name, *words = step.words
        if name == "pass":
            unknown = set(words) - set(SPOKEN)
            if unknown:
                raise SyntaxProblem(f"there is no message {min(unknown)}")
            self._passed = set(words)
        elif words not in (["on"], ["off"]):
            raise SyntaxProblem(f"expected '% {name} on' or '% {name} off'")
        elif name == "heartbeats":
            self._heartbeats = words == ["on"]
        else:
            self._acks = words == ["on"]

    def _talk(self, step: Step) -> tuple[int, Conversation]:
        number = step.connection or self._newest
        if number not in self._talks:
            raise SyntaxProblem(f"there is no connection {number}")
        return number, self._talks[number]


def _no_name(field: str, word: str) -> int | None:
    return None


_PLAYED: Final[dict[str, Callable[[Player, Step], None]]] = {
    "I": Player._log_on,
    "C": Player._connect,
    ">": Player._say,
    "!": Player._harm,
    "<": Player._expect,
    "x": Player._hang_up,
    "@": Player._let_time_pass,
    "=": Player._command,
    "=?": Player._question,
    "%": Player._habit,
    "?": Player._ask,
    ":": Player._expect_reply,
    "+": Player._subscribe,
    "-": Player._subscribe,
    "*": Player._expect_published,
}
