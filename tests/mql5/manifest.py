"""The MQL5 API in use, as data: one source for the checker, the lint and the C++ runtime.

``manifest.json`` is written by hand from MetaQuotes' reference; ``page`` names the page (tags as
in the project's fact sheet). Numbers that no source gives are made up there and marked
``unpublished``, so that a program that relies on one of them is found. Functions are written as
MQL5 declares them, with two types of its own: ``any`` takes everything, ``number`` every number
(and a result of type ``number`` has the largest type of the arguments).

``python -m tests.mql5.manifest`` checks the file.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = [
    "SIMPLE_SIZES",
    "ApiParameter",
    "Manifest",
    "ManifestError",
    "Signature",
    "Struct",
    "load",
    "parse",
]

#: What sizeof gives. An enum is 4; a string or a pointer has no size that a program may use.
SIMPLE_SIZES: Final = {
    "bool": 1,
    "char": 1,
    "uchar": 1,
    "short": 2,
    "ushort": 2,
    "int": 4,
    "uint": 4,
    "color": 4,
    "float": 4,
    "long": 8,
    "ulong": 8,
    "double": 8,
    "datetime": 8,
}
_ENUM_SIZE: Final = 4
_FILE: Final = Path(__file__).with_name("manifest.json")
_ANYTHING: Final = frozenset({"any", "number"})
_PROGRAMS: Final = ("expert", "script", "service", "indicator")
_PLACES: Final = frozenset({"language", "library", "terminal"})
_PAGE: Final = re.compile(r"D:\d{4}")
_SIGNATURE: Final = re.compile(r"(?P<returns>\w+(?: \*)?) ?(?P<name>\w+)\((?P<parameters>.*)\)")
_PARAMETER: Final = re.compile(
    r"(?P<const>const )?(?P<type>\w+) (?P<mark>[&*])?(?P<name>\w+)(?P<array>\[\])?"
    r"(?:=(?P<default>.+))?"
)


class ManifestError(ValueError):
    """
    The file is not what it has to be.
    """


@dataclass(frozen=True, slots=True)
class ApiParameter:
    """
    ``default`` is MQL5 text: a number, a name or an expression of names.
    """

    type: str
    name: str
    const: bool = False
    reference: bool = False
    array: bool = False
    default: str | None = None
    pointer: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """
    One overload. ``may_fail``: its result has to be looked at.
    ``returns``: a type, ``any *`` for a pointer.
    """

    name: str
    returns: str
    parameters: tuple[ApiParameter, ...]
    variadic: bool = False
    programs: frozenset[str] = frozenset(_PROGRAMS)
    may_fail: bool = False
    sets_last_error: bool = False

    @property
    def required(self) -> int:
        """
        How many arguments a call needs at least.
        """
        return sum(parameter.default is None for parameter in self.parameters)


@dataclass(frozen=True, slots=True)
class Struct:
    """
    ``fields``: type, name and the size of a fixed array (None for no array), in order.
    ``size``: packed, None when there is a string in it.
    """

    name: str
    fields: tuple[tuple[str, str, int | None], ...]
    size: int | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    The whole API.

    Attributes:
        functions: overloads by name.
        implemented_in: of a function: ``language`` (templates, by hand), ``library``, ``terminal``.
        errors: what ``_LastError`` may be after a function, as far as its page says.
        pages: of functions, structs, enums and handlers.
        enums: numbers by name, by enum.
        unpublished: enum members and constants whose numbers are made up.
        constants: type and value by name.
        variables: types of the predefined variables.
        macros: types of what the compiler puts in for ``__LINE__`` and the like.
        handlers: accepted signatures of event handlers; the first is the one to write.
        reserved: words that name nothing else.
    """

    functions: dict[str, tuple[Signature, ...]]
    implemented_in: dict[str, str]
    errors: dict[str, tuple[int, ...]]
    pages: dict[str, str]
    structs: dict[str, Struct]
    enums: dict[str, dict[str, int]]
    unpublished: frozenset[str]
    constants: dict[str, tuple[str, int | float | str]]
    variables: dict[str, str]
    macros: dict[str, str]
    handlers: dict[str, Signature]
    handler_forms: dict[str, tuple[Signature, ...]]
    reserved: frozenset[str]

    def enum_of(self, member: str) -> str | None:
        """
        The enum that a member belongs to.
        """
        return next((name for name, members in self.enums.items() if member in members), None)


def signature(text: str, **attributes: Any) -> Signature:
    """
    Read a declaration such as ``int SocketSend(int socket, const uchar &buffer[])``.

    Raises:
        ManifestError: it is not of that form.
    """
    found = _SIGNATURE.fullmatch(text)
    if found is None:
        raise ManifestError(f"not a declaration: {text}")
    written = [part for part in _split(found["parameters"]) if part]
    variadic = written[-1:] == ["..."]
    parameters = []
    for part in written[:-1] if variadic else written:
        match = _PARAMETER.fullmatch(part)
        if match is None:
            raise ManifestError(f"not a parameter: {part} of {text}")
        parameters.append(
            ApiParameter(
                type=match["type"],
                name=match["name"],
                const=bool(match["const"]),
                reference=match["mark"] == "&",
                array=bool(match["array"]),
                default=match["default"],
                pointer=match["mark"] == "*",
            )
        )
    names = Counter(parameter.name for parameter in parameters)
    if names and max(names.values()) > 1:
        raise ManifestError(f"a parameter comes twice: {text}")
    for first, second in itertools.pairwise(parameters):
        if first.default is not None and second.default is None:
            raise ManifestError(f"{second.name} has no default, {first.name} before it has: {text}")
    return Signature(
        name=found["name"],
        returns=found["returns"],
        parameters=tuple(parameters),
        variadic=variadic,
        **attributes,
    )


def _split(parameters: str) -> list[str]:
    # No default of the API holds a comma, not even in quotes.
    return [part.strip() for part in parameters.split(",")]


def parse(document: dict[str, Any]) -> Manifest:
    """
    Make a manifest of the JSON document.

    Raises:
        ManifestError: a key is unknown, a name comes twice, a type is not known.
    """
    _only("the file", document, required=set(_SECTIONS) | {"source"})
    enums = {name: dict(entry["members"]) for name, entry in document["enums"].items()}
    unpublished: set[str] = set()
    pages: dict[str, str] = {}
    for name, entry in document["enums"].items():
        _only(name, entry, required={"page", "members"}, optional={"unpublished"})
        made_up = entry.get("unpublished", [])
        unpublished.update(entry["members"] if made_up is True else made_up)
        pages[name] = entry["page"]
    constants: dict[str, tuple[str, int | float | str]] = {}
    for group in document["constants"]:
        label = f"the constants of {group.get('page')}"
        _only(label, group, required={"page", "type", "values"}, optional={"unpublished"})
        for name, value in group["values"].items():
            _new(name, constants)
            constants[name] = (group["type"], value)
        if group.get("unpublished"):
            unpublished.update(group["values"])
    structs = {}
    for name, entry in document["structs"].items():
        _only(name, entry, required={"page", "fields"}, optional={"size"})
        fields = tuple(_field(name, text) for text in entry["fields"])
        structs[name] = Struct(name, fields, entry.get("size"))
        pages[name] = entry["page"]
    functions: dict[str, tuple[Signature, ...]] = {}
    for name, entry in document["functions"].items():
        functions[name] = _overloads(name, entry)
        pages[name] = entry["page"]
    handler_forms = {}
    for name, entry in document["handlers"].items():
        _only(name, entry, required={"page", "programs", "signatures"})
        programs = frozenset(entry["programs"])
        handler_forms[name] = tuple(
            signature(text, programs=programs) for text in entry["signatures"]
        )
        pages[name] = entry["page"]
    manifest = Manifest(
        functions=functions,
        implemented_in={
            name: entry["implemented_in"] for name, entry in document["functions"].items()
        },
        errors={
            name: tuple(entry.get("errors", ())) for name, entry in document["functions"].items()
        },
        pages=pages,
        structs=structs,
        enums=enums,
        unpublished=frozenset(unpublished),
        constants=constants,
        variables=dict(document["variables"]),
        macros=dict(document["macros"]),
        handlers={name: forms[0] for name, forms in handler_forms.items()},
        handler_forms=handler_forms,
        reserved=frozenset(document["reserved"]),
    )
    _check(manifest)
    return manifest


_SECTIONS: Final = (
    "functions",
    "handlers",
    "structs",
    "enums",
    "constants",
    "variables",
    "macros",
    "reserved",
)


def _overloads(name: str, entry: dict[str, Any]) -> tuple[Signature, ...]:
    _only(
        name,
        entry,
        required={"page", "implemented_in", "signatures"},
        optional={"programs", "may_fail", "sets_last_error", "errors"},
    )
    programs = frozenset(entry.get("programs", _PROGRAMS))
    overloads = tuple(
        signature(
            text,
            programs=programs,
            may_fail=entry.get("may_fail", False),
            sets_last_error=entry.get("sets_last_error", False),
        )
        for text in entry["signatures"]
    )
    if not overloads or any(overload.name != name for overload in overloads):
        raise ManifestError(f"{name}: its signatures have another name")
    if entry["implemented_in"] not in _PLACES:
        raise ManifestError(f"{name}: implemented in {entry['implemented_in']}?")
    if not programs <= frozenset(_PROGRAMS):
        raise ManifestError(f"{name}: no such program type: {sorted(programs)}")
    return overloads


def _field(struct: str, text: str) -> tuple[str, str, int | None]:
    found = re.fullmatch(r"(\w+) (\w+)(?:\[(\d+)\])?", text)
    if found is None:
        raise ManifestError(f"{struct}: not a field: {text}")
    return found[1], found[2], int(found[3]) if found[3] else None


def _only(
    label: str,
    entry: dict[str, Any],
    *,
    required: set[str],
    optional: set[str] | frozenset[str] = frozenset(),
) -> None:
    missing, unknown = required - entry.keys(), entry.keys() - required - optional
    if missing or unknown:
        raise ManifestError(f"{label}: missing {sorted(missing)}, unknown {sorted(unknown)}")


def _new(name: str, seen: Any) -> None:
    if name in seen:
        raise ManifestError(f"{name} comes twice")


def _check(manifest: Manifest) -> None:
    known = set(SIMPLE_SIZES) | {"string", "void"} | set(manifest.enums) | set(manifest.structs)
    for name, page in manifest.pages.items():
        if not _PAGE.fullmatch(page):
            raise ManifestError(f"{name}: {page} is no page")
    _check_names(manifest)
    forms = [*manifest.functions.values(), *manifest.handler_forms.values()]
    for overload in (overload for overloads in forms for overload in overloads):
        written = [(overload.returns.removesuffix(" *"), overload.name)]
        written += [(parameter.type, parameter.name) for parameter in overload.parameters]
        for type_name, name in written:
            if type_name not in known | _ANYTHING:
                raise ManifestError(f"{overload.name}: {name} is of the unknown type {type_name}")
        for parameter in overload.parameters:
            _check_default(manifest, overload, parameter)
    _check_sizes(manifest)
    typed = [(name, of) for name, (of, _) in manifest.constants.items()]
    for name, of in [*typed, *manifest.variables.items(), *manifest.macros.items()]:
        if of not in known:
            raise ManifestError(f"{name} is of the unknown type {of}")
    codes = {of[1] for name, of in manifest.constants.items() if name.startswith("ERR_")}
    for name, errors in manifest.errors.items():
        if not codes.issuperset(errors):
            raise ManifestError(f"{name}: no constant for {sorted(set(errors) - codes)}")


def _check_names(manifest: Manifest) -> None:
    members = [name for enum in manifest.enums.values() for name in enum]
    tables = (manifest.functions, manifest.structs, manifest.enums, manifest.constants)
    names = Counter(members)
    for table in (*tables, manifest.variables, manifest.macros, manifest.handlers):
        names.update(table.keys())
    names.update(manifest.reserved)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        raise ManifestError(f"these names come twice: {twice}")
    for name, enum in manifest.enums.items():
        if len(set(enum.values())) != len(enum):
            raise ManifestError(f"{name}: two members have one number")


def _check_default(manifest: Manifest, overload: Signature, parameter: ApiParameter) -> None:
    if parameter.default is None:
        return
    members = {member for enum in manifest.enums.values() for member in enum}
    for word in re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'", "", parameter.default)):
        if word not in members | manifest.constants.keys() | {"NULL", "true", "false"}:
            raise ManifestError(f"{overload.name}: {parameter.name} defaults to unknown {word}")


def _check_sizes(manifest: Manifest) -> None:
    for struct in manifest.structs.values():
        sizes = [_size(manifest, struct, *field) for field in struct.fields]
        total = None if None in sizes else sum(size or 0 for size in sizes)
        if struct.size != total:
            raise ManifestError(f"{struct.name}: {struct.size} bytes, its fields have {total}")


def _size(manifest: Manifest, struct: Struct, type_name: str, name: str, count: Any) -> int | None:
    if type_name == "string":
        return None
    size = _ENUM_SIZE if type_name in manifest.enums else SIMPLE_SIZES.get(type_name)
    if size is None:
        raise ManifestError(f"{struct.name}: {name} is of the unknown type {type_name}")
    return size * (count or 1)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        _new(key, result)
        result[key] = value
    return result


@functools.cache
def load(path: Path = _FILE) -> Manifest:
    """
    Read and check the file.

    Raises:
        ManifestError: see ``parse``.
    """
    return parse(json.loads(path.read_text("ascii"), object_pairs_hook=_no_duplicates))


if __name__ == "__main__":
    loaded = load()
    print(f"{len(loaded.functions)} functions, {len(loaded.enums)} enums: valid")
