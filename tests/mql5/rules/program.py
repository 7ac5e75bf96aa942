"""Main files: event handlers, properties, inputs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tests.mql5 import tree
from tests.mql5.findings import Finding
from tests.mql5.lexer import TokenKind
from tests.mql5.manifest import Signature
from tests.mql5.rules.walking import Program

__all__ = ["RULES"]

_LOOK_ALIKE: Final = 0.85
_NAME_MAX: Final = 63
# A string input holds 191 to 253 characters, says the reference, depending on its name.
_TEXT_MAX: Final = 191
_DESCRIPTION_MAX: Final = 511
_VERSION: Final = re.compile(r"\d{1,5}\.\d{1,5}")
_USELESS: Final = {"strict": "an order to MQL4; MQL5 is always strict"}
_REQUIRED: Final = ("version", "description")


def handlers(program: Program) -> Iterator[Finding]:
    """
    R401, R402, R403: MetaTrader calls handlers by name and exact signature, and says nothing.
    """
    known = program.manifest.handler_forms
    for item in program.unit.items:
        if not isinstance(item, tree.Function) or item.owner is not None:
            continue
        if item.name in known:
            forms = known[item.name]
            if not any(_is_form(item, form) for form in forms):
                message = f"{item.name} is called only as {_declaration(forms[0])}"
                yield Finding(item.place, "R401", message)
            elif program.kind is not None and program.kind not in forms[0].programs:
                message = f"{item.name} is never called in a program of the type {program.kind}"
                yield Finding(item.place, "R403", message)
        else:
            near = difflib.get_close_matches(item.name, known, 1, _LOOK_ALIKE)
            if not near and re.match(r"(?i)on[A-Z]", item.name):
                near = [name for name in known if name.lower() == item.name.lower()]
            if near or re.match(r"On[A-Z]", item.name):
                hint = f": {near[0]} is one" if near else ""
                message = f"{item.name} is no event handler of MQL5{hint}"
                yield Finding(item.place, "R402", message)


def _is_form(function: tree.Function, form: Signature) -> bool:
    if function.returns is None or function.returns.name != form.returns:
        return False
    if len(function.parameters) != len(form.parameters):
        return False
    return all(
        written.type_name.name == wanted.type
        and written.type_name.const == wanted.const
        and written.reference == wanted.reference
        and not written.dimensions
        and not written.type_name.pointer
        and written.default is None
        for written, wanted in zip(function.parameters, form.parameters, strict=True)
    )


def _declaration(form: Signature) -> str:
    parameters = ",".join(
        f"{'const ' if item.const else ''}{item.type} {'&' if item.reference else ''}{item.name}"
        for item in form.parameters
    )
    return f"{form.returns} {form.name}({parameters})"


def properties(program: Program) -> Iterator[Finding]:
    """
    R404: the version and description are what a user sees before attaching a program.
    """
    main = program.unit.files[0]
    described = 0
    seen: set[str] = set()
    for item in program.unit.items:
        if not isinstance(item, tree.Property):
            continue
        seen.add(item.name)
        if item.name in _USELESS:
            yield Finding(item.place, "R404", f"#property {item.name} is {_USELESS[item.name]}")
        if item.place.path != main:
            yield Finding(item.place, "R404", "a #property counts only in the main file")
        if item.name == "version" and not _VERSION.fullmatch(item.value):
            yield Finding(item.place, "R404", f"the version {item.value!r} is not of the form x.yy")
        if item.name == "description":
            described += len(item.value)
            if described > _DESCRIPTION_MAX:
                message = f"descriptions have more than {_DESCRIPTION_MAX} characters"
                yield Finding(item.place, "R404", message)
    if program.kind is not None:
        for name in _REQUIRED:
            if name not in seen:
                yield Finding(tree.Place(main, 1, 1), "R404", f"no #property {name}")


def inputs(program: Program) -> Iterator[Finding]:
    """
    R405, R406: the comment behind an input is its label in the dialog.
    """
    for item in program.unit.items:
        if not isinstance(item, tree.Declaration) or item.storage not in {"input", "sinput"}:
            continue
        label = _label(program, item)
        if label is None:
            message = "an input without a comment behind it, which is its label"
            yield Finding(item.place, "R405", message)
        elif not label.isascii():
            yield Finding(item.place, "R405", "the label of an input is not ASCII")
        for declarator in item.declarators:
            if len(declarator.name) > _NAME_MAX:
                message = f"the name of an input has more than {_NAME_MAX} characters"
                yield Finding(declarator.place, "R406", message)
            initial = declarator.initial
            value = initial.value if isinstance(initial, tree.Literal) else None
            if isinstance(value, str) and len(value) > _TEXT_MAX:
                message = f"the text of an input has more than {_TEXT_MAX} characters"
                yield Finding(declarator.place, "R406", message)


def _label(program: Program, item: tree.Declaration) -> str | None:
    # The comment on the line on which the declaration ends.
    tokens = program.tokens_by_file[item.place.path]
    begins = item.place
    ended = False
    line = 0
    for token in tokens:
        if token.place[1:] < begins[1:]:
            continue
        if not ended:
            ended = token.kind is TokenKind.OPERATOR and token.text == ";"
            line = token.place.line
        elif token.kind is TokenKind.COMMENT and token.place.line == line:
            text = token.text.lstrip("/*").rstrip("*/").strip()
            return text if re.search(r"\w", text) else None
        else:
            return None
    return None


def folders(program: Program) -> Iterator[Finding]:
    """
    R407: what an expert includes is copied with the folder Include, and nothing else.
    """
    main = PurePosixPath(program.unit.files[0])
    if not {"Experts", "Scripts", "Services"} & set(main.parts):
        return
    for name in program.unit.files[1:]:
        path = PurePosixPath(name)
        if "Include" not in path.parts and path.parent != main.parent:
            message = f"{name} is not in the folder Include"
            yield Finding(tree.Place(str(main), 1, 1), "R407", message)


RULES: Final = (handlers, properties, inputs, folders)
