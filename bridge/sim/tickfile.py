"""MetaTrader's tick export (Symbols window, tab Ticks, "Export Ticks"): reader and writer.

The format, as MetaTrader writes it: a header line, then one line per tick, tab-separated, CRLF::

    <DATE> <TIME> <BID> <ASK> <LAST> <VOLUME> <FLAGS>
    2019.01.01 23:00:00.078 1.14605 1.14643 . . 6          ("." stands for an empty field here)

A blank field is unchanged since the line before, and 0 before its first value. Blank FLAGS
follow from the fields that are present. Times are the trade server's clock.

Two parsers stand here. A regular expression takes the lines MetaTrader writes, because splitting
and checking every field in Python takes nearly three times as long. Whatever it does not take goes
field by field through ``_TickLines.parse_field_by_field``, which is the definition: it accepts the
rest of what is legal and names what is wrong. A test holds the two together.
"""

from __future__ import annotations

import calendar
import codecs
import decimal
import math
import ntpath
import re
from datetime import date as calendar_date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.exceptions import TickFileError
from bridge.model.tick import MqlTick, TickFlag

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_LINE_LENGTH", "read_ticks", "symbol_from_filename", "write_ticks"]

#: Characters of one line, its end included. MetaTrader's own lines are below 100.
MAX_LINE_LENGTH: Final = 512

#: MetaTrader's flags fit one byte. Bit 128 is undocumented, and MetaQuotes' own samples show it
#: (flags 134); the bridge's bits begin at 256 and have no place in a terminal's file.
_MAX_FLAGS: Final = 255

_COLUMNS: Final = ("<DATE>", "<TIME>", "<BID>", "<ASK>", "<LAST>", "<VOLUME>", "<FLAGS>")
_HEADER: Final = "\t".join(_COLUMNS)
_DAY_MSC: Final = 86_400_000
_EPOCH_DAY: Final = calendar_date(1970, 1, 1).toordinal()
# Plain integers: an operation on an IntFlag takes longer than parsing the field.
_BID: Final = int(TickFlag.BID)
_ASK: Final = int(TickFlag.ASK)
_LAST: Final = int(TickFlag.LAST)
_VOLUME: Final = int(TickFlag.VOLUME)

# The digits are bounded so that no match can be an infinite number or an over-long line.
_PRICE = r"(-?[0-9]{1,15}(?:\.[0-9]{0,15})?|)"
_USUAL_LINE: Final = re.compile(
    r"([0-9]{4}\.[0-9]{2}\.[0-9]{2}\t[0-9]{2}:[0-9]{2}):([0-5][0-9])\.([0-9]{3})"
    rf"\t{_PRICE}\t{_PRICE}\t{_PRICE}\t([0-9]{{1,15}}(?:\.[0-9]{{0,15}})?|)\t([0-9]{{1,3}}|)\r?\n?\Z"
)
_DATE: Final = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])\.([0-9]{3})")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_FLAGS: Final = re.compile(r"[0-9]{1,9}")

#: The dates (or other digits) that MetaTrader and collectors append to an exported file's name.
#: Four digits at least: US_500 is a symbol.
_FILENAME_DATES: Final = re.compile(r"(?:[_-]\d{4,}(?:[.\-]\d+)*)+\Z")
_FILENAME_SUFFIXES: Final = (".csv", ".txt", ".tsv")


def read_ticks(path: str | os.PathLike[str]) -> Iterator[MqlTick]:
    """
    Yield the ticks of an exported file, in file order, in constant memory.

    The file is UTF-8 with or without byte order mark, or UTF-16 with one; lines end in CRLF or
    LF. It is opened at the first ``next`` and closed when the iterator ends or is closed. Prices
    are exactly ``float(text)``. Two ticks may have the same time.

    Raises:
        TickFileError: a line is not of the format, is longer than ``MAX_LINE_LENGTH``, or its
            time lies before the line above it. Ticks of the lines before have been yielded.
        OSError: the file cannot be opened or read.
    """
    name = str(path)
    # Broken bytes become U+FFFD, which no field accepts: the error then names the right line,
    # which a decoding error, raised while reading ahead, cannot.
    with Path(path).open(encoding=_encoding_of(path), errors="replace", newline="\n") as file:
        readline = file.readline
        _check_header(readline(MAX_LINE_LENGTH + 1), name)
        lines = _TickLines(name)
        parse = lines.parse
        while line := readline(MAX_LINE_LENGTH + 1):
            yield parse(line)


def _encoding_of(path: str | os.PathLike[str]) -> str:
    with Path(path).open("rb") as file:
        mark = file.read(3)
    if mark.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _check_header(line: str, path: str) -> None:
    if not line:
        raise TickFileError(path, 1, f"the file is empty, expected the header {_HEADER!r}")
    _check_whole(line, path, 1)
    text = line.removesuffix("\n").removesuffix("\r")
    if text != _HEADER:
        raise TickFileError(path, 1, f"found {text[:80]!r}, expected the header {_HEADER!r}")


def _check_whole(line: str, path: str, number: int) -> None:
    # A NUL first: UTF-16 without its mark also looks like one endless line.
    if "\0" in line:
        raise TickFileError(
            path,
            number,
            "NUL byte, expected text (UTF-16 is read only with its byte order mark)",
        )
    if len(line) > MAX_LINE_LENGTH:
        raise TickFileError(
            path, number, f"line too long, expected at most {MAX_LINE_LENGTH} characters"
        )


class _TickLines:
    # What one line inherits from the lines before it: time, prices, and the line number.

    def __init__(self, path: str) -> None:
        self._path = path
        self._line = 1
        self._minute = ""
        self._minute_msc = 0
        self._time_msc = 0
        self._bid = 0.0
        self._ask = 0.0
        self._last = 0.0
        self._volume = 0.0

    def parse(self, line: str) -> MqlTick:
        self._line += 1
        match = _USUAL_LINE.match(line)
        if match is None:
            return self.parse_field_by_field(line)
        minute, seconds, milliseconds, bid, ask, last, volume, flags_text = match.groups()
        if minute != self._minute:
            # Most ticks share the minute with the one before: date arithmetic once a minute.
            self._minute_msc = self._msc_of_minute(minute)
            self._minute = minute
        time_msc = self._minute_msc + int(seconds) * 1000 + int(milliseconds)
        flags = 0
        if bid:
            self._bid = float(bid)
            flags = _BID
        if ask:
            self._ask = float(ask)
            flags |= _ASK
        if last:
            self._last = float(last)
            flags |= _LAST
        if volume:
            self._volume = float(volume)
            flags |= _VOLUME
        if flags_text:
            flags = int(flags_text)
            if flags > _MAX_FLAGS:
                raise self._flags_error(flags_text)
        if time_msc < self._time_msc:
            raise self._backwards_error(line)
        self._time_msc = time_msc
        return MqlTick(time_msc, self._bid, self._ask, self._last, self._volume, flags)

    def parse_field_by_field(self, line: str) -> MqlTick:
        # The definition of the format; self._line is already the number of this line.
        _check_whole(line, self._path, self._line)
        fields = line.removesuffix("\n").removesuffix("\r").split("\t")
        if len(fields) != len(_COLUMNS):
            raise self._error(
                f"{len(fields)} fields, expected {len(_COLUMNS)} separated by tabs: {_HEADER!r}"
            )
        date, time, bid, ask, last, volume, flags_text = fields
        time_msc = self._msc_of_date(date) + self._msc_of_time(time)
        flags = 0
        if bid:
            self._bid = self._number("<BID>", bid)
            flags |= _BID
        if ask:
            self._ask = self._number("<ASK>", ask)
            flags |= _ASK
        if last:
            self._last = self._number("<LAST>", last)
            flags |= _LAST
        if volume:
            self._volume = self._number("<VOLUME>", volume)
            flags |= _VOLUME
            if self._volume < 0:
                raise self._error(f"<VOLUME> {volume!r}, expected a number not below 0")
        if flags_text:
            if not _FLAGS.fullmatch(flags_text) or int(flags_text) > _MAX_FLAGS:
                raise self._flags_error(flags_text)
            flags = int(flags_text)
        if time_msc < self._time_msc:
            raise self._backwards_error(line)
        self._time_msc = time_msc
        return MqlTick(time_msc, self._bid, self._ask, self._last, self._volume, flags)

    def _msc_of_minute(self, minute: str) -> int:
        date, time = minute.split("\t")
        return self._msc_of_date(date) + self._msc_of_time(f"{time}:00.000")

    def _msc_of_date(self, text: str) -> int:
        match = _DATE.fullmatch(text)
        if match is None:
            raise self._error(f"<DATE> {text[:40]!r}, expected YYYY.MM.DD")
        year, month, day = (int(part) for part in match.groups())
        try:
            calendar_date(year, month, day)
        except ValueError as error:
            raise self._error(f"<DATE> {text!r}, expected a day of the calendar") from error
        if year < 1970:
            raise self._error(f"<DATE> {text!r}, expected 1970 or later")
        return calendar.timegm((year, month, day, 0, 0, 0)) * 1000

    def _msc_of_time(self, text: str) -> int:
        match = _TIME.fullmatch(text)
        if match is None:
            raise self._error(f"<TIME> {text[:40]!r}, expected HH:MM:SS.mmm")
        hours, minutes, seconds, milliseconds = (int(part) for part in match.groups())
        return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds

    def _number(self, column: str, text: str) -> float:
        # float() alone would also take "nan", "1_000", blanks and the digits of other scripts.
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            raise self._error(f"{column} {text[:40]!r}, expected a finite decimal number")
        return value

    def _flags_error(self, text: str) -> TickFileError:
        return self._error(f"<FLAGS> {text[:40]!r}, expected 0 to {_MAX_FLAGS} or nothing")

    def _backwards_error(self, line: str) -> TickFileError:
        found = " ".join(line.split("\t")[:2])
        date, time = _date_and_time(self._time_msc)
        return self._error(f"time goes back to {found}, expected {date} {time} or later")

    def _error(self, problem: str) -> TickFileError:
        return TickFileError(self._path, self._line, problem)


def write_ticks(path: str | os.PathLike[str], ticks: Iterable[MqlTick], *, digits: int) -> int:
    """
    Write ticks in MetaTrader's export format (UTF-8, CRLF) and return how many were written.

    ``digits`` are the decimals of the symbol's prices. A field is left blank when the tick's
    flags do not name it and it has not changed, so that ``read_ticks`` gives back equal ticks. An
    existing file is overwritten. When an error is raised, the lines before it stay in the file.

    Raises:
        ValueError: a tick cannot be written without loss: a price needs more digits, a value is
            not finite, the volume or the time is negative, the time goes backwards or beyond the
            year 9999, the flags are not MetaTrader's, or the line would exceed
            ``MAX_LINE_LENGTH``.
        OSError: the file cannot be written.
    """
    if digits < 0:
        raise ValueError(f"digits {digits}: expected 0 or more")
    previous = MqlTick(0, 0.0, 0.0, 0.0, 0.0, 0)
    count = 0
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        file.write(f"{_HEADER}\r\n")
        for tick in ticks:
            if tick.time_msc < previous.time_msc:
                raise ValueError(f"time goes back from {previous.time_msc} to {tick.time_msc} msc")
            if not 0 <= tick.flags <= _MAX_FLAGS:
                raise ValueError(f"flags {tick.flags}: expected 0 to {_MAX_FLAGS}")
            line = _line_of(tick, previous, digits)
            if len(line) > MAX_LINE_LENGTH:
                raise ValueError(f"line of {len(line)} characters: expected {MAX_LINE_LENGTH}")
            file.write(line)
            previous = tick
            count += 1
    return count


def _line_of(tick: MqlTick, previous: MqlTick, digits: int) -> str:
    flags = tick.flags
    date, time = _date_and_time(tick.time_msc)
    bid = ask = last = volume = ""
    # A reader takes blank for "as before": a change without its flag has to be written too.
    if flags & _BID or tick.bid != previous.bid:
        bid = _price_text(tick.bid, digits)
    if flags & _ASK or tick.ask != previous.ask:
        ask = _price_text(tick.ask, digits)
    if flags & _LAST or tick.last != previous.last:
        last = _price_text(tick.last, digits)
    if flags & _VOLUME or tick.volume_real != previous.volume_real:
        volume = _volume_text(tick.volume_real)
    return f"{date}\t{time}\t{bid}\t{ask}\t{last}\t{volume}\t{flags}\r\n"


def _date_and_time(time_msc: int) -> tuple[str, str]:
    days, rest = divmod(time_msc, _DAY_MSC)
    try:
        date = calendar_date.fromordinal(_EPOCH_DAY + days)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"time {time_msc} msc: expected a time before the year 10000") from error
    seconds, milliseconds = divmod(rest, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    day = f"{date.year}.{date.month:02}.{date.day:02}"
    return day, f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def _price_text(price: float, digits: int) -> str:
    text = f"{price:.{digits}f}"
    if not math.isfinite(price):
        raise ValueError(f"price {price}: expected a finite number")
    if float(text) != price:
        raise ValueError(f"price {price!r}: expected at most {digits} digits")
    return text


def _volume_text(volume: float) -> str:
    if not (math.isfinite(volume) and volume >= 0):
        raise ValueError(f"volume {volume}: expected a finite number not below 0")
    if volume.is_integer():
        return str(int(volume))
    # The shortest text that reads back equal, without the exponent repr() may choose.
    return format(decimal.Decimal(repr(volume)), "f")


def symbol_from_filename(path: str | os.PathLike[str]) -> str:
    """
    Return the symbol an exported file is named after.

    ``EURUSD_20190101.csv`` and ``EURUSD_201901012300_201901022359.csv`` are ``EURUSD``,
    ``EURUSD.r_2019.01.01.csv`` is ``EURUSD.r``, ``US_500.csv`` is ``US_500``. Folders may be
    separated in Windows' or POSIX' way.

    Raises:
        TickFileError: nothing is left for a symbol.
    """
    # ntpath takes both separators: a path from a Windows setting is also used on Linux.
    name = ntpath.basename(str(path))
    stem, suffix = ntpath.splitext(name)
    if suffix.lower() in _FILENAME_SUFFIXES:
        name = stem
    symbol = _FILENAME_DATES.sub("", name)
    if not symbol:
        raise TickFileError(
            str(path), 1, "no symbol in the file's name, expected one like EURUSD_20190101.csv"
        )
    return symbol
