"""
The tutorial, as somebody follows it: its commands, in its order, and what it promises.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.processes import Bridge, Process, environment, ports_of_ones_own, run_bridge

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "first-ticks.md"
FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language):
    text = PAGE.read_text(encoding="utf-8")
    return [match["text"] for match in FENCE.finditer(text) if match["language"] == language]


@pytest.fixture
def ports():
    """
    Return four ports that are free now; the tutorial's are fixed, and may be in use here.
    """
    with ports_of_ones_own(4) as found:
        yield found


@pytest.mark.slow
def test_the_tutorial(tmp_path, ports):
    names = ("TERMINAL", "REQUEST", "PUBLISH", "CONTROL")
    env = {
        f"BRIDGE_ENDPOINTS_{name}": f"tcp://127.0.0.1:{port}"
        for name, port in zip(names, ports, strict=True)
    }
    home = tmp_path / "home"
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = iter(shlex.split(line) for line in lines)
    (program,) = blocks("python")
    assert program.count("Client()") == 1

    def step(*expected):
        words = next(commands)
        assert words[: len(expected)] == list(expected), words
        return words[1:]

    def run(*expected):
        finished = run_bridge(*step(*expected), home=home, env=env)
        assert finished.code == 0, finished.err
        return finished

    run("bridge", "init")
    with Bridge(*step("bridge", "run"), home=home, env=env) as relay:
        relay.err_line("relay ready")
        with Bridge(*step("bridge", "sim"), home=home, env=env) as sim:
            sim.err_line("logged on")
            assert '"connected"' in run("bridge", "status").out
            assert "EURUSD" in run("bridge", "symbols").out
            assert "EURUSD" in run("bridge", "quote").out
            assert len(run("bridge", "tail").out.splitlines()) == 5

            script = tmp_path / step("python")[0]
            script.write_text(program.replace("Client()", f"Client('tcp://127.0.0.1:{ports[1]}')"))
            with Process([sys.executable, str(script)], environment(home, env)) as mine:
                before = [mine.out_line().split() for _ in range(5)]
                run("bridge", "stop")
                assert relay.finish().code == 0
                sim.err_line("session ended")
                with Bridge(*step("bridge", "run"), home=home, env=env) as again:
                    sim.err_line("logged on")
                    after = [mine.out_line().split() for _ in range(12)]
                    run("bridge", "stop")
                    assert again.finish().code == 0

    numbers = [int(words[0]) for words in [*before, *after]]
    marks = {words[3] for words in after if len(words) > 3}
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    # Ticks may fall between: then nothing was read after the outage.
    assert marks <= {"backlog"}
    assert next(commands, None) is None
