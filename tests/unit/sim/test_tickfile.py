"""``bridge.sim.tickfile``: MetaTrader's tick export, read and written."""

from __future__ import annotations

import calendar
import contextlib
import itertools
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.exceptions import TickFileError
from bridge.model.tick import MqlTick
from bridge.sim import tickfile
from bridge.sim.tickfile import MAX_LINE_LENGTH, read_ticks, symbol_from_filename, write_ticks

REAL_FILES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ticks"
HEADER = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>"
LINE = "2019.01.01\t23:00:00.078\t1.14605\t1.14643\t\t\t6"
FIRST_MSC = 1_546_383_600_078

needs_real_files = pytest.mark.skipif(
    not REAL_FILES.exists(), reason=f"the real tick files are not there: {REAL_FILES}"
)
# Each example writes the same file anew, so one folder for all of them is right.
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def file_of(tmp_path: Path, *lines: str, end: str = "\r\n", encoding: str = "utf-8") -> Path:
    path = tmp_path / "EURUSD_20190101.csv"
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode(encoding))
    return path


def read(tmp_path: Path, *lines: str) -> list[MqlTick]:
    return list(read_ticks(file_of(tmp_path, HEADER, *lines)))


# Real files.


@needs_real_files
@pytest.mark.parametrize(
    ("name", "digits", "first", "last_bid"),
    [
        ("EURUSD_20190101.csv", 5, MqlTick(FIRST_MSC, 1.14605, 1.14643), 1.14531),
        ("USDJPY_20190101.csv", 3, MqlTick(1_546_383_600_071, 109.676, 109.687), 109.592),
    ],
)
def test_real_file_survives_byte_for_byte(
    tmp_path: Path, name: str, digits: int, first: MqlTick, last_bid: float
) -> None:
    """A file from MetaTrader is read whole, and written back it has the same bytes."""
    ticks = list(read_ticks(REAL_FILES / name))
    written = write_ticks(tmp_path / name, ticks, digits=digits)

    assert (10_000, 10_000) == (len(ticks), written)
    assert (first, last_bid) == (ticks[0], ticks[-1].bid)
    assert (REAL_FILES / name).read_bytes() == (tmp_path / name).read_bytes()


@needs_real_files
@pytest.mark.parametrize("name", ["EURUSD_20190101.csv", "USDJPY_20190101.csv"])
def test_real_file_equals_a_naive_reading(name: str) -> None:
    """Time, prices and flags are what splitting the text and ``float`` give."""
    expected = []
    bid = ask = 0.0
    for line in (REAL_FILES / name).read_text("utf-8").splitlines()[1:]:
        date, time, bid_text, ask_text, _, _, flags = line.split("\t")
        year, month, day = map(int, date.split("."))
        clock, milliseconds = time.split(".")
        hour, minute, second = map(int, clock.split(":"))
        seconds = calendar.timegm((year, month, day, hour, minute, second))
        bid, ask = float(bid_text or bid), float(ask_text or ask)
        expected.append(MqlTick(seconds * 1000 + int(milliseconds), bid, ask, 0.0, 0.0, int(flags)))
    actual = list(read_ticks(REAL_FILES / name))

    assert expected == actual


# What the format means.


def test_blank_field_is_unchanged(tmp_path: Path) -> None:
    """A blank price or volume carries the value of the line before."""
    expected = [
        MqlTick(FIRST_MSC, 1.1, 1.2, 1.15, 3.0, 30),
        MqlTick(FIRST_MSC, 1.05, 1.2, 1.15, 3.0, 2),
        MqlTick(FIRST_MSC + 1, 1.05, 1.25, 1.15, 3.0, 4),
        MqlTick(FIRST_MSC + 2, 1.05, 1.25, 1.15, 0.5, 56),
    ]
    actual = read(
        tmp_path,
        "2019.01.01\t23:00:00.078\t1.1\t1.2\t1.15\t3\t30",
        "2019.01.01\t23:00:00.078\t1.05\t\t\t\t2",
        "2019.01.01\t23:00:00.079\t\t1.25\t\t\t4",
        "2019.01.01\t23:00:00.080\t\t\t1.15\t0.5\t56",
    )

    assert expected == actual


def test_blank_before_the_first_value_is_zero(tmp_path: Path) -> None:
    """A field that never had a value is 0."""
    assert [MqlTick(FIRST_MSC, 0.0, 1.2, 0.0, 0.0, 4)] == read(
        tmp_path, "2019.01.01\t23:00:00.078\t\t1.2\t\t\t4"
    )


def test_blank_flags_follow_from_the_fields(tmp_path: Path) -> None:
    """Without FLAGS, a field that is present counts as changed."""
    lines = [
        "\t".join(["2019.01.01", "23:00:00.078", *(("1" if on else "") for on in present), ""])
        for present in itertools.product((False, True), repeat=4)
    ]
    expected = [
        2 * bid + 4 * ask + 8 * last + 16 * volume
        for bid, ask, last, volume in itertools.product((False, True), repeat=4)
    ]
    actual = [tick.flags for tick in read(tmp_path, *lines)]

    assert expected == actual


@pytest.mark.parametrize("text", ["1e2", "+1.5", "-1.5", ".5", "2.", "00.10", "1" * 20, "1.0E-3"])
def test_any_decimal_number_is_a_price(tmp_path: Path, text: str) -> None:
    """Spellings that MetaTrader does not write are read as ``float`` reads them."""
    expected = [MqlTick(FIRST_MSC, float(text), 1.14643)]
    actual = read(tmp_path, LINE.replace("1.14605", text))

    assert expected == actual


@pytest.mark.parametrize("flags", [0, 2, 6, 126, 134, 255])
def test_flags_of_one_byte_are_kept(tmp_path: Path, flags: int) -> None:
    """Given FLAGS are kept as they are, with the undocumented bit 128 of MetaQuotes' samples."""
    ticks = read(tmp_path, f"2019.01.01\t23:00:00.078\t1.1\t\t\t\t{flags}")

    assert [flags] == [tick.flags for tick in ticks]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    """UTF-8 with and without mark, UTF-16 with mark, CRLF and LF read the same."""
    path = file_of(tmp_path, HEADER, LINE, LINE, end=end, encoding=encoding)

    assert [MqlTick(FIRST_MSC, 1.14605, 1.14643)] * 2 == list(read_ticks(path))


def test_big_endian_utf16(tmp_path: Path) -> None:
    """UTF-16 with the other byte order is told by its mark."""
    path = file_of(tmp_path, f"\ufeff{HEADER}", LINE, encoding="utf-16-be")

    assert [MqlTick(FIRST_MSC, 1.14605, 1.14643)] == list(read_ticks(path))


def test_last_line_needs_no_end(tmp_path: Path) -> None:
    """A file may end without a line end."""
    path = tmp_path / "ticks.csv"
    path.write_text(f"{HEADER}\n{LINE}", "utf-8")

    assert [MqlTick(FIRST_MSC, 1.14605, 1.14643)] == list(read_ticks(path))


def test_header_alone_has_no_ticks(tmp_path: Path) -> None:
    """A file of the header alone is a history without ticks."""
    assert [] == read(tmp_path)


def test_reading_is_streaming(tmp_path: Path) -> None:
    """The lines before a broken one are delivered before it raises."""
    ticks = read_ticks(file_of(tmp_path, HEADER, LINE, LINE, "broken"))

    assert [FIRST_MSC, FIRST_MSC] == [next(ticks).time_msc, next(ticks).time_msc]
    with pytest.raises(TickFileError, match="1 fields"):
        next(ticks)


# What is broken.


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "1 fields"),
        (LINE.replace("\t", ","), "1 fields"),
        (LINE.removesuffix("\t6"), "6 fields"),
        (f"{LINE}\t", "8 fields"),
        (LINE.replace("2019.01.01", "2019-01-01"), "<DATE>"),
        (LINE.replace("2019.01.01", "2019.1.1"), "<DATE>"),
        (LINE.replace("2019.01.01", "2019.02.29"), "<DATE>"),
        (LINE.replace("2019.01.01", "2019.13.01"), "<DATE>"),
        (LINE.replace("2019.01.01", "1969.12.31"), "<DATE>"),
        (LINE.replace("2019.01.01", ""), "<DATE>"),
        (LINE.replace("2019.01.01", "٢٠١٩.01.01"), "<DATE>"),
        (LINE.replace("23:00:00.078", "24:00:00.078"), "<TIME>"),
        (LINE.replace("2019.01.01", "2019.02.30").replace("23:00", "25:00"), "<DATE>"),
        (LINE.replace("23:00:00.078", "23:60:00.078"), "<TIME>"),
        (LINE.replace("23:00:00.078", "23:00:60.078"), "<TIME>"),
        (LINE.replace("23:00:00.078", "23:00:00"), "<TIME>"),
        (LINE.replace("23:00:00.078", "23:00:00.78"), "<TIME>"),
        (LINE.replace("1.14605", "x"), "<BID>"),
        (LINE.replace("1.14605", "1,14605"), "<BID>"),
        (LINE.replace("1.14605", "nan"), "<BID>"),
        (LINE.replace("1.14643", "inf"), "<ASK>"),
        (LINE.replace("1.14643", "-Infinity"), "<ASK>"),
        (LINE.replace("1.14643", "1e999"), "<ASK>"),
        (LINE.replace("1.14643", "9" * 400), "<ASK>"),
        (LINE.replace("1.14643", "1_000"), "<ASK>"),
        (LINE.replace("1.14643", " 1.14643"), "<ASK>"),
        (LINE.replace("1.14643", "1.14643\u00a0"), "<ASK>"),
        (LINE.replace("1.14643", "."), "<ASK>"),
        (LINE.replace("\t\t\t6", "\tlast\t\t6"), "<LAST>"),
        (LINE.replace("\t\t\t6", "\t\t-1\t6"), "<VOLUME>"),
        (LINE.replace("\t\t\t6", "\t\tnan\t6"), "<VOLUME>"),
        (LINE.replace("\t\t\t6", "\t\t\t256"), "<FLAGS>"),
        (LINE.replace("\t\t\t6", "\t\t\t-2"), "<FLAGS>"),
        (LINE.replace("\t\t\t6", "\t\t\t6.0"), "<FLAGS>"),
        (LINE.replace("\t\t\t6", "\t\t\tBID"), "<FLAGS>"),
        (LINE.replace("\t\t\t6", "\t\t\t" + "9" * 300), "<FLAGS>"),
        (LINE.replace("23:00:00.078", "23:00:00.077"), "time goes back"),
        (LINE.replace("2019.01.01", "2018.12.31"), "time goes back"),
        (LINE.replace("1.14605", "1.1\x00605"), "NUL"),
        (LINE + " " * MAX_LINE_LENGTH, "line too long"),
    ],
)
def test_broken_line_is_named(tmp_path: Path, line: str, named: str) -> None:
    """A broken line raises with the file, its number, what is wrong and what was expected."""
    path = file_of(tmp_path, HEADER, LINE, line, LINE)
    with pytest.raises(TickFileError) as raised:
        list(read_ticks(path))

    assert (str(path), 3) == (raised.value.path, raised.value.line)
    assert named in raised.value.problem
    assert ", expected " in raised.value.problem


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        LINE.encode(),
        HEADER.replace("\t", ";").encode(),
        HEADER.lower().encode(),
        f"{HEADER}\t<SPREAD>\r\n".encode(),
        HEADER.encode("utf-16-le"),
        b"\0" * 2000,
        b"x" * 2000,
        b"\xff\xfe",
        b"\xff\xfe\x00",
        b"\x80\x81\x82",
    ],
)
def test_missing_header_is_line_1(tmp_path: Path, content: bytes) -> None:
    """An empty file or one without the header raises for line 1."""
    path = tmp_path / "ticks.csv"
    path.write_bytes(content)
    with pytest.raises(TickFileError, match="expected") as raised:
        list(read_ticks(path))

    assert 1 == raised.value.line


def test_undecodable_bytes_name_their_own_line(tmp_path: Path) -> None:
    """Bytes that are no text raise for the line they are in, not for the buffer read ahead."""
    path = file_of(tmp_path, HEADER, LINE, LINE, LINE)
    content = path.read_bytes().split(b"\r\n")
    content[2] = content[2].replace(b"1.14605", b"1.1\xff605")
    path.write_bytes(b"\r\n".join(content))
    with pytest.raises(TickFileError, match="<BID>") as raised:
        list(read_ticks(path))

    assert 3 == raised.value.line


def test_longest_line_is_read(tmp_path: Path) -> None:
    """A line of exactly the maximum, its end included, is read."""
    price = "1." + "0" * (MAX_LINE_LENGTH - len(LINE) - 2 + len("1.14605") - 2)
    line = LINE.replace("1.14605", price)

    assert MAX_LINE_LENGTH == len(f"{line}\r\n")
    assert [1.0] == [tick.bid for tick in read(tmp_path, line)]


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """A file that is not there is reported as the system reports it."""
    with pytest.raises(FileNotFoundError):
        list(read_ticks(tmp_path / "none.csv"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_truncation_anywhere_is_read_or_refused(tmp_path: Path, encoding: str) -> None:
    """A file cut after any byte gives only whole ticks of it, then ends or raises TickFileError."""
    path = file_of(tmp_path, HEADER, LINE, LINE.replace(".078", ".079"), encoding=encoding)
    content = path.read_bytes()
    times = [FIRST_MSC, FIRST_MSC + 1]
    for size in range(len(content)):
        path.write_bytes(content[:size])
        found: list[int] = []
        with contextlib.suppress(TickFileError):
            found.extend(tick.time_msc for tick in read_ticks(path))

        assert times[: len(found)] == found


@quick
@given(content=st.binary(max_size=300), with_header=st.booleans())
@example(content=b"\xff\xfe\x00\xd8", with_header=False)
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, with_header: bool) -> None:
    """Arbitrary bytes raise nothing but TickFileError."""
    path = tmp_path / "ticks.csv"
    path.write_bytes(f"{HEADER}\n".encode() + content if with_header else content)
    # Refused with the documented exception is as right as read; anything else fails the test.
    with contextlib.suppress(TickFileError):
        list(read_ticks(path))


# One definition, two parsers.

FIELD = st.sampled_from(
    [
        "",
        "1",
        "1.5",
        "-1.5",
        "0.00000",
        "1.",
        ".5",
        "+1",
        "1e2",
        "1e999",
        "nan",
        "9" * 16,
        "x",
        "1 ",
    ]
)
LINES = st.tuples(
    st.sampled_from(
        ["2019.01.01", "2019.01.02", "2019.02.29", "0000.01.01", "1969.12.31", "2019.1.1"]
    ),
    st.sampled_from(
        ["00:00:00.000", "23:59:59.999", "24:00:00.000", "12:60:00.000", "12:00:60.000", "1"]
    ),
    FIELD,
    FIELD,
    FIELD,
    FIELD,
    st.sampled_from(["", "0", "6", "255", "256", "999", "1000", "-1", "06", "x"]),
    st.sampled_from(["\r\n", "\n", "", "\r", " \n", "\n\n"]),
).map(lambda parts: "\t".join(parts[:-1]) + parts[-1])


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES, max_size=3))
def test_fast_parser_equals_the_definition(lines: list[str]) -> None:
    """The regular expression takes and refuses what the field-by-field parser does."""
    fast, defined = tickfile._TickLines("x"), tickfile._TickLines("x")
    for line in lines:
        outcomes: list[object] = []
        for parse in (fast.parse, defined.parse_field_by_field):
            defined._line = fast._line
            try:
                outcomes.append(repr(parse(line)))
            except TickFileError as error:
                outcomes.append(str(error))

        assert outcomes[0] == outcomes[1]


# Writing.

PRICES = st.integers(-(10**7), 10**9).map(lambda points: points / 10**5)
TICKS = st.lists(
    st.builds(
        MqlTick,
        time_msc=st.integers(0, 253_402_300_799_999),
        bid=PRICES,
        ask=PRICES,
        last=PRICES,
        volume_real=st.floats(0, 1e15) | st.integers(0, 2**53).map(float),
        flags=st.integers(0, 255),
    ),
    max_size=8,
).map(sorted)


@quick
@given(ticks=TICKS)
def test_reading_gives_back_what_was_written(tmp_path: Path, ticks: list[MqlTick]) -> None:
    """Any ticks with prices of the given digits come back equal, fields without a flag too."""
    path = tmp_path / "ticks.csv"
    write_ticks(path, ticks, digits=5)

    assert ticks == list(read_ticks(path))


def test_unchanged_fields_are_left_blank(tmp_path: Path) -> None:
    """A field is blank when it has neither changed nor its flag; the rest has its digits."""
    path = tmp_path / "ticks.csv"
    count = write_ticks(
        path,
        iter(
            [
                MqlTick(FIRST_MSC, 1.1, 1.2),
                MqlTick(FIRST_MSC, 1.1, 1.25, flags=4),
                MqlTick(FIRST_MSC + 1, 1.1, 1.25, 1.2, 2.5, 56),
                MqlTick(FIRST_MSC + 1, 1.15, 1.25, 1.2, 2.5, 0),
            ]
        ),
        digits=2,
    )
    expected = [
        HEADER,
        "2019.01.01\t23:00:00.078\t1.10\t1.20\t\t\t6",
        "2019.01.01\t23:00:00.078\t\t1.25\t\t\t4",
        "2019.01.01\t23:00:00.079\t\t\t1.20\t2.5\t56",
        "2019.01.01\t23:00:00.079\t1.15\t\t\t\t0",
        "",
    ]
    actual = path.read_bytes().decode("ascii").split("\r\n")

    assert 4 == count
    assert expected == actual


@pytest.mark.parametrize(
    "tick",
    [
        MqlTick(1, 1.123456, 1.2),
        MqlTick(1, math.nan, 1.2),
        MqlTick(1, 1.1, math.inf),
        MqlTick(1, 1e300, 1e300),
        MqlTick(1, 1.1, 1.2, 0.0, -1.0),
        MqlTick(1, 1.1, 1.2, 0.0, math.inf),
        MqlTick(1, 1.1, 1.2, 0.0, 0.0, 256),
        MqlTick(1, 1.1, 1.2, 0.0, 0.0, -1),
        MqlTick(-1, 1.1, 1.2),
        MqlTick(253_402_300_800_000, 1.1, 1.2),
    ],
)
def test_what_would_be_lost_is_refused(tmp_path: Path, tick: MqlTick) -> None:
    """A tick that the format cannot carry without loss raises instead of being altered."""
    with pytest.raises(ValueError, match=r"expected|goes back"):
        write_ticks(tmp_path / "ticks.csv", [tick], digits=5)


def test_writing_backwards_is_refused(tmp_path: Path) -> None:
    """Ticks out of order raise; the lines before stay."""
    path = tmp_path / "ticks.csv"
    with pytest.raises(ValueError, match="goes back"):
        write_ticks(path, [MqlTick(2, 1.1, 1.2), MqlTick(1, 1.1, 1.2)], digits=5)

    assert [2] == [tick.time_msc for tick in read_ticks(path)]


def test_negative_digits_are_refused(tmp_path: Path) -> None:
    """Digits below 0 are refused before the file is touched."""
    path = tmp_path / "ticks.csv"
    with pytest.raises(ValueError, match="digits"):
        write_ticks(path, [], digits=-1)

    assert not path.exists()


# Names.


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("EURUSD_20190101.csv", "EURUSD"),
        ("EURUSD_201901012300_201901022359.csv", "EURUSD"),
        ("EURUSD.r_20190101.csv", "EURUSD.r"),
        ("EURUSD.r_2019.01.01.csv", "EURUSD.r"),
        ("EURUSD_2019-01-01.csv", "EURUSD"),
        ("EURUSD.csv", "EURUSD"),
        ("EURUSD.r.CSV", "EURUSD.r"),
        ("EURUSD.r", "EURUSD.r"),
        ("EURUSD", "EURUSD"),
        ("US_500.csv", "US_500"),
        ("US_500_20190101.csv", "US_500"),
        ("#AAPL_20190101.txt", "#AAPL"),
        ("/data/2019/EURUSD_20190101.csv", "EURUSD"),
        (r"C:\ticks\EURUSD_20190101.csv", "EURUSD"),
    ],
)
def test_symbol_from_filename(name: str, symbol: str) -> None:
    """The symbol is the file's name without folder, extension and trailing dates."""
    assert symbol == symbol_from_filename(name)


@pytest.mark.parametrize("name", ["", "_20190101.csv", "/data/"])
def test_filename_without_symbol_is_refused(name: str) -> None:
    """A name with nothing left for a symbol raises."""
    with pytest.raises(TickFileError, match="no symbol"):
        symbol_from_filename(name)
