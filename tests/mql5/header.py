"""The manifest as C++: ``api_values.hpp`` (enums, constants) and ``api.hpp`` (all of the API).

``api_values.hpp`` needs nothing, so that the runtime's ``language.hpp`` may include it.
``api.hpp`` includes ``language.hpp`` and declares what is implemented in the library and in the
terminal. Functions with parameters of any type are templates, written by hand in the runtime.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.mql5.manifest import ApiParameter, Manifest, Signature, load

__all__ = ["api", "api_values", "cpp_type", "prototype", "write"]

_TYPES: Final = {
    "bool": "bool",
    "char": "signed char",
    "uchar": "unsigned char",
    "short": "short",
    "ushort": "unsigned short",
    "int": "int",
    "uint": "unsigned int",
    "color": "unsigned int",
    "float": "float",
    "long": "long long",
    "ulong": "unsigned long long",
    "double": "double",
    "datetime": "long long",
    "string": "string",
    "void": "void",
}
# The runtime's language headers define these: they are needed before api.hpp.
_ENUMS_OF_LANGUAGE: Final = frozenset({"ENUM_POINTER_TYPE"})
_VARIABLES_OF_LANGUAGE: Final = frozenset({"_LastError"})
_FREE_FORM: Final = frozenset({"any", "number"})
_GENERATED: Final = "// Generated from tests/mql5/manifest.json: do not edit.\n#pragma once\n"


def cpp_type(name: str) -> str:
    """
    What an MQL5 type is called in the runtime; enums and structs keep their names.
    """
    return _TYPES.get(name, name)


def prototype(signature: Signature, *, defaults: bool = True) -> str | None:
    """
    Return the declaration of an overload without its semicolon; None for a template.
    """
    free_form = any(parameter.type in _FREE_FORM for parameter in signature.parameters)
    if free_form or signature.variadic or signature.returns in {*_FREE_FORM, "any *"}:
        return None
    parameters = ", ".join(_parameter(item, defaults) for item in signature.parameters)
    return f"{cpp_type(signature.returns)} {signature.name}({parameters})"


def _parameter(parameter: ApiParameter, with_default: bool) -> str:
    of = cpp_type(parameter.type)
    if parameter.array:
        declared = f"{'caref' if parameter.const else 'aref'}<{of}> {parameter.name}"
    elif parameter.reference and not parameter.const:
        declared = f"{of} &{parameter.name}"
    elif parameter.reference or parameter.type == "string":
        # By value or by reference is the same to a caller when nothing is changed.
        declared = f"const {of} &{parameter.name}"
    else:
        declared = f"{of} {parameter.name}"
    if parameter.default is None or not with_default:
        return declared
    return f"{declared} = {_default(parameter, of)}"


def _default(parameter: ApiParameter, of: str) -> str:
    text = parameter.default or ""
    if text == "NULL":
        return "string()" if parameter.type == "string" else "0"
    if text.startswith("'"):
        return f"static_cast<{of}>(u{text})"
    if text in {"true", "false"} or re.fullmatch(r"-?\d+", text) or parameter.type == "int":
        return text
    return f"static_cast<{of}>({text})"


def _number(type_name: str, value: float) -> str:
    if type_name == "double":
        return repr(float(value))
    if type_name == "long" and value == -(2**63):
        return "-9223372036854775807LL - 1"
    if type_name == "int" and value == -(2**31):
        return "-2147483647 - 1"
    suffix = {"uint": "U", "color": "U", "long": "LL", "ulong": "ULL", "datetime": "LL"}
    return f"{value}{suffix.get(type_name, '')}"


def api_values(manifest: Manifest) -> str:
    """
    Enums and constants.
    """
    enums = {
        name: members for name, members in manifest.enums.items() if name not in _ENUMS_OF_LANGUAGE
    }
    names = [member for members in enums.values() for member in members]
    names += manifest.constants
    lines = [
        _GENERATED,
        "// First the headers of C that define macros of these names, so that none comes later.",
        *(f"#include <{header}>" for header in ("cfloat", "climits", "cmath", "cstdint", "cstdio")),
        "",
        *(f"#undef {name}" for name in names),
        "",
        "namespace mql {",
        "",
    ]
    for name, members in enums.items():
        lines.append(f"enum {name} : int {{")
        lines += [f"    {member} = {_number('int', value)}," for member, value in members.items()]
        lines += ["};", ""]
    for name, (type_name, value) in manifest.constants.items():
        assert not isinstance(value, str)
        lines.append(f"constexpr {cpp_type(type_name)} {name} = {_number(type_name, value)};")
    lines += ["", "}  // namespace mql", ""]
    return "\n".join(lines)


def api(manifest: Manifest) -> str:
    """
    Structs, prototypes with their default arguments, EnumToString, predefined variables.
    """
    lines = [
        _GENERATED,
        '#include "api_values.hpp"',
        '#include "language.hpp"',
        "",
        "namespace mql {",
        "",
        "// Structs of MQL5 have no gaps.",
        "#pragma pack(push, 1)",
    ]
    for struct in manifest.structs.values():
        lines.append(f"struct {struct.name} {{")
        for type_name, name, count in struct.fields:
            array = f"[{count}]" if count else ""
            lines.append(f"    {cpp_type(type_name)} {name}{array};")
        lines.append("};")
        if struct.size is not None:
            lines.append(f"static_assert(sizeof({struct.name}) == {struct.size});")
    lines += ["#pragma pack(pop)", ""]
    lines += [
        f"extern {cpp_type(of)} {name};"
        for name, of in manifest.variables.items()
        if name not in _VARIABLES_OF_LANGUAGE
    ]
    for place in ("library", "terminal"):
        lines += ["", f"// --- {place}"]
        for name, overloads in manifest.functions.items():
            if manifest.implemented_in[name] == place:
                declared = [prototype(overload) for overload in overloads]
                lines += [f"{declaration};" for declaration in declared if declaration]
    lines += ["", "// --- enums as text"]
    for name, members in manifest.enums.items():
        lines.append(f"inline string EnumToString({name} value) {{")
        lines.append("    static const EnumName names[] = {")
        lines += [f'        {{{member}, "{member}"}},' for member in members]
        lines += ["    };", f'    return enum_to_string("{name}", names, value);', "}"]
    lines += ["", "}  // namespace mql", ""]
    return "\n".join(lines)


def write(folder: Path) -> None:
    """
    Write both headers into a folder; files that are as they should be keep their time stamps.
    """
    manifest = load()
    for name, text in (("api_values.hpp", api_values(manifest)), ("api.hpp", api(manifest))):
        path = folder / name
        if not path.exists() or path.read_text("ascii") != text:
            path.write_text(text, "ascii")
