"""
The specification of the bus protocol, its schemas and vectors agree with the code.
"""

from __future__ import annotations

import json
import re

import msgpack
import pytest

from bridge.bus.bodies import (
    StatusEvent,
    TradeKind,
    read_account,
    read_bulk,
    read_epoch_seq,
    read_position,
    read_relay,
    read_status,
    read_tick,
    read_trade,
)
from bridge.bus.codec import Encoding, decode, encode
from bridge.bus.orders import Outcome, Reason
from bridge.bus.requests import (
    CONTROL_PARAMS,
    PARAMS,
    TRADING_METHODS,
    ControlMethod,
    ErrorName,
    Method,
    identity_of,
    validate_control_params,
    validate_params,
    validate_request,
)
from bridge.bus.topics import exact, parse_topic, split_message
from bridge.exceptions import InvalidRequest
from tests.support.json_schema import problems
from tools import bus_docs, bus_schema, bus_vectors
from tools.bus_examples import CONTROL, ERRORS, EXAMPLES, to_json
from tools.bus_order_examples import CONTROL_EXAMPLES

PAGE = (bus_docs.SCHEMA.parent / "bus-protocol.md").read_text(encoding="utf-8")
SCHEMAS = bus_schema.schemas()


def vectors(name):
    rows = json.loads((bus_vectors.VECTORS / name).read_text(encoding="utf-8"))
    return [pytest.param(row, id=row.get("name") or row["topic"]) for row in rows]


def receive(data):
    """
    Take a request as the relay does, up to the point where it would act.
    """
    request = validate_request(decode(data, max_bytes=65_536))
    validate_params(Method(request.method), request.params)


def reply(request, **outcome):
    return to_json({"v": 1, "id": request["id"], **outcome})


# --- files -------------------------------------------------------------------------------


def test_schemas_are_in_step_with_the_code():
    there = {path.name: path.read_text(encoding="utf-8") for path in bus_docs.SCHEMA.glob("*.json")}

    assert there == bus_docs.files(), "run: make docs"


def test_vectors_are_in_step_with_the_code():
    folder = bus_vectors.VECTORS
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}

    assert there == bus_vectors.files(), "run: python -m tools.bus_vectors"


def test_check_tells_without_writing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bus_docs, "SCHEMA", tmp_path)

    assert bus_docs.main(["--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert "stale: docs/reference/schema/request.json" in capsys.readouterr().out


def test_writing_makes_it_current_and_removes_what_is_gone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bus_docs, "SCHEMA", tmp_path)
    (tmp_path / "params-gone.json").write_text("{}")

    assert (bus_docs.main([]), bus_docs.main(["--check"])) == (0, 0)
    assert not (tmp_path / "params-gone.json").exists()


def test_vectors_are_checked_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bus_vectors, "VECTORS", tmp_path)

    assert (bus_vectors.main(["--check"]), bus_vectors.main([]), bus_vectors.main(["--check"])) == (
        1,
        0,
        0,
    )


def test_references_between_the_files_lead_somewhere():
    text = json.dumps(bus_schema.asyncapi())
    files = set(re.findall(r'"\./([\w.-]+)"', text))

    assert files <= set(SCHEMAS)
    for pointer in re.findall(r'"#/([\w/-]+)"', text):
        place = bus_schema.asyncapi()
        for part in pointer.split("/"):
            place = place[part]


def test_bodies_have_the_fields_of_the_code():
    for documented, code in bus_schema.names_of_bodies().values():
        assert documented == code


# --- the page ----------------------------------------------------------------------------


def test_every_generated_part_is_on_the_page():
    assert [name for name in bus_docs.TABLES if f"BEGIN GENERATED {name} -->" not in PAGE] == []


@pytest.mark.parametrize(
    "name",
    [*Method, *ControlMethod, *ErrorName, *StatusEvent, *TradeKind, *Outcome, *Reason],
    ids=str,
)
def test_every_name_is_on_the_page(name):
    assert f"`{name}`" in PAGE or f"### {name}\n" in PAGE


def test_every_method_has_a_section():
    assert [method for method in Method if f"\n### {method}\n" not in PAGE] == []


def test_the_grammar_and_the_parser_know_the_same_kinds():
    grammar = re.search(r"```abnf\n(.*?)```", PAGE, re.DOTALL)[1]
    kinds = set(re.findall(r'"([a-z]+)/?"', grammar))
    rest = {"relay": "", "sync": "k3Jv9_xQ", "tick": "demo/X", "book": "demo/X", "bar": "demo/X/M5"}

    assert kinds >= set(rest)
    for kind in kinds:
        topic = f"{kind}/{rest.get(kind, 'demo')}".rstrip("/")

        assert parse_topic(topic) is not None
        assert kind == parse_topic(topic).kind


# --- examples ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", Method)
def test_an_example_is_what_it_says(method):
    request, result = EXAMPLES[method]
    shown = to_json(request)

    validate_params(method, validate_request(request).params)
    validate_params(method, validate_request(shown).params)
    assert request["method"] == method
    if method in TRADING_METHODS:
        identity_of(validate_request(shown))
    assert problems(SCHEMAS["request.json"], shown) == []
    assert problems(SCHEMAS[f"params-{method}.json"], shown.get("params", {})) == []
    assert problems(SCHEMAS[f"result-{method}.json"], to_json(result)) == []
    assert problems(SCHEMAS["reply.json"], reply(request, ok=True, result=result)) == []


@pytest.mark.parametrize(("request_", "error"), ERRORS)
def test_an_example_of_an_error_is_one(request_, error):
    assert problems(SCHEMAS["reply.json"], reply(request_, ok=False, error=error)) == []
    assert error["code"] in list(ErrorName)


def test_the_control_example_is_one():
    request, result = CONTROL

    assert validate_request(request).method in list(ControlMethod)
    assert problems(SCHEMAS["reply.json"], reply(request, ok=True, result=result)) == []


@pytest.mark.parametrize("method", CONTROL_PARAMS)
def test_an_example_of_a_control_method_is_what_it_says(method):
    request, result = CONTROL_EXAMPLES[method]
    shown = to_json(request)

    validate_control_params(method, validate_request(shown).params)
    assert request["method"] == method
    assert problems(SCHEMAS["request.json"], shown) == []
    assert problems(SCHEMAS[f"params-{method}.json"], shown.get("params", {})) == []
    assert problems(SCHEMAS[f"result-{method}.json"], to_json(result)) == []
    assert problems(SCHEMAS["reply.json"], reply(request, ok=True, result=result)) == []


# --- vectors -----------------------------------------------------------------------------

READERS = {
    "tick": read_tick,
    "ticks": read_bulk,
    "status": read_status,
    "trade": read_trade,
    "account": read_account,
    "position": read_position,
    "relay": read_relay,
    "sync": None,
}


@pytest.mark.parametrize("row", vectors("bodies.json"))
def test_a_published_frame_reads_as_its_vector_says(row):
    topic, body = split_message(bytes.fromhex(row["hex"]))
    kind = parse_topic(topic).kind
    value = to_json({"body": msgpack.unpackb(body)})["body"]
    reader = READERS[kind]

    assert (row["topic"], row["body"]) == (topic, value)
    assert [str(number) for number in read_epoch_seq(body)] == [str(n) for n in row["body"][:2]]
    assert problems(SCHEMAS[f"body-{kind}.json"], row["body"]) == []
    if reader is not None:
        read = to_json({"body": reader(body)})["body"]

        assert read == row["body"][: len(read)]


@pytest.mark.parametrize("name", ["requests.json", "replies.json"])
def test_both_encodings_of_a_vector_say_the_same(name):
    schema = SCHEMAS["request.json" if name == "requests.json" else "reply.json"]
    for parameter in vectors(name):
        row = parameter.values[0]
        packed = decode(bytes.fromhex(row["msgpack"]), max_bytes=65_536)
        written = decode(row["json"].encode(), max_bytes=65_536)

        assert row["value"] == written == to_json(packed)
        assert bytes.fromhex(row["msgpack"]) == encode(packed, Encoding.MSGPACK)
        assert problems(schema, row["value"]) == []


@pytest.mark.parametrize("row", vectors("topics.json"))
def test_a_subscription_matches_as_its_vector_says(row):
    subscription = exact(row["topic"])

    assert row["subscription"] == subscription.hex()
    assert all(bytes.fromhex(m).startswith(subscription) for m in row["matches"])
    assert not any(bytes.fromhex(m).startswith(subscription) for m in row["does_not_match"])


@pytest.mark.parametrize("row", vectors("refused.json"))
def test_a_hostile_request_is_refused_at_the_field_that_its_vector_names(row):
    with pytest.raises(InvalidRequest) as caught:
        receive(bytes.fromhex(row["hex"]))

    assert row["field"] == caught.value.field


#: What JSON Schema cannot say: in JSON bytes are text, a pattern has no upper bound, decimals of
#: a double are not counted (``multipleOf`` fails on 0.1), and two fields are not compared.
BEYOND_SCHEMAS = {
    "bytes for text",
    "beyond 64 bits",
    "a ticket beyond 64 bits",
    "a volume of nine decimals",
    "a position with itself",
}


@pytest.mark.parametrize(
    "row",
    [
        parameter
        for parameter in vectors("refused.json")
        if parameter.values[0]["field"] and parameter.id not in BEYOND_SCHEMAS
    ],
)
def test_what_a_schema_can_say_of_it_it_refuses_too(row):
    """A field that the relay would refuse is refused by the schema a client checks with."""
    value = to_json(decode(bytes.fromhex(row["hex"]), max_bytes=65_536))
    if row["field"].startswith("params."):
        schema, value = SCHEMAS[f"params-{value['method']}.json"], value["params"]
    else:
        schema = SCHEMAS["request.json"]

    assert problems(schema, value) != []


def test_every_method_has_schemas():
    assert {f"params-{m}.json" for m in PARAMS} | {f"result-{m}.json" for m in PARAMS} <= set(
        SCHEMAS
    )
