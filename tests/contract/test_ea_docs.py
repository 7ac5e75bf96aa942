"""
The page on installing the Expert Advisor names its inputs and its messages as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.ea_docs import Input, inputs

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "howto" / "install-the-ea.md"
SOURCES = sorted((ROOT / "mql5").rglob("*.mq[5h]"))
ADVICE = ROOT / "mql5" / "Include" / "Bridge" / "App" / "Advice.mqh"
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def said_by(paths):
    """
    Return the text literals of sources, one a line, as MetaTrader prints them.
    """
    found = [
        literal.replace("\\\\", "\\").replace('\\"', '"')
        for path in paths
        for literal in LITERAL.findall(path.read_text(encoding="utf-8"))
    ]
    # Neighbours are often parts of one sentence.
    return "\n".join(found) + "\n" + "".join(found)


def messages_of_the_page():
    """
    Return what stands in the first column of the table of messages.
    """
    table = PAGE.read_text(encoding="utf-8").partition("| It says |")[2].partition("\n\n")[0]
    columns = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [part for column in columns for part in re.findall(r"`([^`]+)`", column)]


@pytest.mark.parametrize("text", messages_of_the_page())
def test_the_ea_says_what_the_page_says(text):
    assert text in said_by(SOURCES)


def test_the_page_has_something_to_say_to_every_advice():
    """What a person must act on is on the page: nobody should have to guess."""
    page = messages_of_the_page()
    advice = [
        line
        for line in ADVICE.read_text(encoding="utf-8").splitlines()
        if re.match(r'\s*return\("[^"]* ', line)
    ]

    assert len(advice) >= 8
    assert [] == [
        line.strip()
        for line in advice
        if "of this role" not in line and not any(text in line for text in page)
    ]


def test_inputs_are_read_with_type_default_and_meaning():
    text = 'input group "x"\ninput int InpA = 1; // What it is\nsinput string InpB = ""; // Else\n'

    assert [
        Input("InpA", "int", "1", "What it is"),
        Input("InpB", "string", '""', "Else"),
    ] == inputs(text)


@pytest.mark.parametrize("text", ["input int InpA = 1;\n", "input const int InpA = 1; // What\n"])
def test_an_input_that_is_not_understood_is_an_error(text):
    with pytest.raises(ValueError, match=r"input|comment"):
        inputs(text)
