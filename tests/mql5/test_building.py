import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mql5 import building, line_coverage
from tests.mql5.building import BuildError, build, compile_program, runtime_files
from tests.mql5.findings import SourceError
from tests.mql5.line_coverage import FileCoverage

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is what is tested")
slow = [needs_compiler, pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = """\
void OnStart()
  {
   int value=3;
   if(value>5)
      Print("never");
   Print("value ",value);
  }
"""


@pytest.fixture
def source(tmp_path):
    (tmp_path / "Include").mkdir()
    path = tmp_path / "Scripts" / "some.mq5"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    return path


def test_without_a_compiler_the_error_says_what_is_missing(source, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")

    with pytest.raises(BuildError, match="no-such-compiler is not installed"):
        build(source)


@needs_compiler
def test_a_source_outside_of_the_subset_is_not_compiled(source):
    source.write_text("void OnStart()\n  {\n   goto end;\n  }\n")

    with pytest.raises(SourceError):
        build(source)


@needs_compiler
def test_what_the_compiler_says_is_in_the_error():
    with pytest.raises(BuildError, match=r"mql5/Some\.mqh:7:"):
        compile_program("broken", '#line 7 "mql5/Some.mqh"\nint x = "text";\n', "plain", [])


@needs_compiler
def test_several_processes_may_build_at_the_same_time():
    text = 'extern "C" int puts(const char *);\nint main() { return puts("once") < 0; }\n'
    with ThreadPoolExecutor(4) as pool:
        programs = set(pool.map(lambda _: compile_program("once", text, "plain", []), range(4)))

    assert 1 == len(programs)
    assert b"once\n" == subprocess.check_output([programs.pop()])


class TestPrograms:
    pytestmark = slow

    def test_a_source_that_changed_is_built_again(self, source):
        first = build(source, "asan")

        assert first == build(source, "asan")
        source.write_text(SCRIPT.replace("value=3", "value=7"))
        second = build(source, "asan")
        done = subprocess.run(
            [second], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True
        )
        assert first != second
        assert "print: value 7" in done.stderr.splitlines()

    def test_coverage_is_told_by_the_lines_of_the_source(self, source):
        program = build(source, "coverage")
        for _ in range(2):
            subprocess.run([program], capture_output=True, stdin=subprocess.DEVNULL, check=True)
        (found,) = line_coverage.collect(source.parent)

        assert [5] == found.missing
        assert 2 == found.counts[6]


def test_counters_can_be_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(line_coverage, "BUILD", tmp_path)
    counters = tmp_path / "objects" / "some-1" / "some-1.gcda"
    counters.parent.mkdir(parents=True)
    counters.touch()
    line_coverage.reset()

    assert not counters.exists()
    with pytest.raises(BuildError, match="nothing was counted"):
        line_coverage.collect()


def test_what_nobody_used_for_a_day_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "BUILD", tmp_path)
    folder = tmp_path / "objects"
    (folder / "old").mkdir(parents=True)
    for name in ("old/old.o", "new.o"):
        (folder / name).touch()
    for path in (folder / "old" / "old.o", folder / "old"):
        os.utime(path, (0, 0))
    building.prune()

    assert [folder / "new.o"] == list(folder.iterdir())


def test_the_report_tells_lines_percent_and_what_did_not_run(tmp_path):
    files = [
        FileCoverage(tmp_path / "A.mqh", {1: 5, 2: 0, 3: 0, 5: 0}),
        FileCoverage(tmp_path / "B.mqh", {}),
    ]
    table = [line.split() for line in line_coverage.report(files).splitlines()]
    expected = [
        ["file", "lines", "ran", "percent", "missing"],
        [f"{tmp_path}/A.mqh", "4", "1", "25.0%", "2-3,", "5"],
        [f"{tmp_path}/B.mqh", "0", "0", "100.0%", "in", "no", "program"],
        ["total", "4", "1", "25.0%"],
    ]

    assert expected == table


def test_the_runtime_is_where_it_is_said_to_be():
    assert [True] == [path.is_file() for path in runtime_files("language.hpp")]
