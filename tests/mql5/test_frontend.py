from pathlib import Path

import pytest

from tests.mql5 import frontend
from tests.mql5.__main__ import main
from tests.mql5.findings import CODES, Finding, SourceError
from tests.mql5.frontend import check, compile_unit, include_root_of
from tests.mql5.lexer import TokenKind
from tests.mql5.tree import Place

ROOT = Path(__file__).resolve().parents[2]
CLEAN = (
    '#property version "1.00"\n#property description "a test"\nvoid OnStart(void) { Print("x"); }\n'
)


@pytest.fixture
def folder(tmp_path):
    """
    Return a folder as a terminal has it.
    """
    (tmp_path / "Include" / "Sub").mkdir(parents=True)
    (tmp_path / "Scripts").mkdir()
    return tmp_path


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_program_finds_its_include_folder(folder):
    write(folder / "Include" / "Sub" / "A.mqh", "int g_a=1;\n")
    main_file = write(folder / "Scripts" / "S.mq5", "#include <Sub/A.mqh>\nint g_b=2;\n")

    unit = compile_unit(main_file)

    assert ["g_a", "g_b"] == [item.declarators[0].name for item in unit.items]
    assert [str(main_file), str(folder / "Include" / "Sub" / "A.mqh")] == unit.files
    assert {"g_a", "g_b"} == set(unit.scope.values)
    assert TokenKind.DIRECTIVE is unit.tokens_by_file[str(main_file)][0].kind


def test_a_header_finds_its_include_folder(folder):
    header = write(folder / "Include" / "Sub" / "A.mqh", "int g_a=1;\n")

    assert folder / "Include" == include_root_of(header)


def test_a_source_elsewhere_uses_the_folder_of_this_project(tmp_path):
    assert frontend.INCLUDE == include_root_of(tmp_path / "a.mq5")


def test_the_findings_of_a_unit_are_sorted_and_told_in_lines(tmp_path):
    path = write(tmp_path / "a.mq5", "int b=c;\nint a=b+;\nauto d=1;\n")

    with pytest.raises(SourceError) as caught:
        compile_unit(path)

    assert ["2: P001", "3: P002"] == [
        line.removeprefix(f"{path}:")[:7] for line in str(caught.value).splitlines()
    ]


def test_types_are_not_looked_at_in_a_tree_with_holes(tmp_path):
    path = write(tmp_path / "a.mq5", "int a=missing;\nint b=1+;\n")

    assert ["P001"] == [finding.code for finding in check([path])]


def test_findings_of_a_shared_header_are_told_once(folder):
    header = write(folder / "Include" / "A.mqh", "int g_a=missing;\n")
    programs = [
        write(folder / "Scripts" / f"{name}.mq5", "#include <A.mqh>\n") for name in ("B", "C")
    ]

    findings = check([header, *programs])

    assert [(str(header), "N001")] == [(finding.place.path, finding.code) for finding in findings]


def test_findings_sort_by_place():
    places = [Place("a", 2, 1), Place("a", 1, 9), Place("a", 1, 2), Place("A", 9, 9)]
    findings = [Finding(place, "T001", "x") for place in places]

    assert [places[3], places[2], places[1], places[0]] == [
        finding.place for finding in sorted(findings)
    ]


def test_check_prints_findings_and_exits_with_one(tmp_path, capsys):
    path = write(tmp_path / "a.mqh", "int b=missing;\nint a=1.5;\n")

    assert 1 == main(["check", str(path)])
    assert [
        f"{path}:1: N001 missing is not declared",
        f"{path}:2: T001 a: double to int: write (int)",
    ] == capsys.readouterr().out.splitlines()


def test_check_of_a_clean_folder_is_silent(folder, capsys):
    write(folder / "Scripts" / "S.mq5", CLEAN)

    assert 0 == main(["check", str(folder / "Scripts")])
    assert "" == capsys.readouterr().out


def test_check_without_a_source_is_wrong_usage(tmp_path):
    assert 2 == main(["check", str(tmp_path)])


def test_a_missing_file_is_told(tmp_path, capsys):
    assert 2 == main(["translate", str(tmp_path / "a.mq5")])
    assert "No such file" in capsys.readouterr().err


def test_a_source_with_findings_is_not_translated(tmp_path, capsys):
    path = write(tmp_path / "a.mq5", "int a=missing;\n")

    assert 1 == main(["translate", str(path)])
    assert f"{path}:1: N001" in capsys.readouterr().err


def test_all_codes_are_told(capsys):
    assert 0 == main(["check", "--codes"])
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} >= set(CODES)


def test_the_sources_of_this_project_are_clean():
    sources = [path for path in (ROOT / "mql5").rglob("*") if path.suffix in {".mq5", ".mqh"}]

    assert [] == [str(finding) for finding in check(sources)]
