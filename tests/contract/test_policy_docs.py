"""
The pages of policy and return codes agree with the code.
"""

from __future__ import annotations

from bridge.bus.orders import Outcome
from bridge.model.retcodes import RETCODES, RetcodeClass
from bridge.policy import RULES
from tools import policy_docs
from tools.docs import DOCS


def test_each_class_of_return_codes_has_an_outcome_of_the_bus():
    assert set(policy_docs.OUTCOMES) == set(RetcodeClass)
    assert set(policy_docs.OUTCOMES.values()) == set(Outcome) - {Outcome.DENIED}


def test_every_rule_and_every_code_is_on_its_page():
    policy = (DOCS / "reference" / "policy.md").read_text(encoding="utf-8")
    retcodes = (DOCS / "reference" / "retcodes.md").read_text(encoding="utf-8")

    assert [] == [rule.reason for rule in RULES if f"| `{rule.reason}` |" not in policy]
    assert [] == [code for code in RETCODES if f"| {code} | `" not in retcodes]


def test_every_row_has_as_many_cells_as_its_head():
    for table in policy_docs.TABLES.values():
        rows = table().splitlines()

        assert {rows[0].count("|")} == {row.count("|") for row in rows}
