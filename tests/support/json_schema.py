"""As much of JSON Schema 2020-12 as the schemas of this project use, and no more.

A keyword that is not known here is a ``KeyError``: a check that is skipped checks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["problems"]

_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def _is_type(rule: str, value: Any) -> bool:
    return isinstance(value, _TYPES[rule]) and (rule == "boolean" or not isinstance(value, bool))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_same(item: Any, value: Any) -> bool:
    # Python's False equals 0; JSON's does not.
    return bool(item == value) and isinstance(item, bool) == isinstance(value, bool)


def _matches(rule: str, value: str) -> bool:
    # JSON Schema's $ is the end and nothing else; Python's is also before a last newline.
    assert "\\$" not in rule, rule
    return bool(re.search(rule.replace("$", r"\Z"), value))


#: Whether a value keeps a rule that looks at nothing but the value itself.
_RULES: dict[str, Callable[[Any, Any], bool]] = {
    "type": _is_type,
    "const": lambda rule, value: value == rule and type(value) is type(rule),
    "enum": lambda rule, value: any(_is_same(item, value) for item in rule),
    "minimum": lambda rule, value: not _is_number(value) or value >= rule,
    "maximum": lambda rule, value: not _is_number(value) or value <= rule,
    "exclusiveMinimum": lambda rule, value: not _is_number(value) or value > rule,
    "exclusiveMaximum": lambda rule, value: not _is_number(value) or value < rule,
    "minLength": lambda rule, value: not isinstance(value, str) or len(value) >= rule,
    "maxLength": lambda rule, value: not isinstance(value, str) or len(value) <= rule,
    "pattern": lambda rule, value: not isinstance(value, str) or _matches(rule, value),
    "minItems": lambda rule, value: not isinstance(value, list) or len(value) >= rule,
    "maxItems": lambda rule, value: not isinstance(value, list) or len(value) <= rule,
    "required": lambda rule, value: not isinstance(value, dict) or set(rule) <= set(value),
    "anyOf": lambda rule, value: any(not problems(part, value) for part in rule),
    "oneOf": lambda rule, value: sum(not problems(part, value) for part in rule) == 1,
    "allOf": lambda rule, value: all(not problems(part, value) for part in rule),
    "not": lambda rule, value: bool(problems(rule, value)),
    **dict.fromkeys(
        ("$schema", "$id", "title", "description", "default"), lambda _rule, _value: True
    ),
}


def _parts(keyword: str, rule: Any, value: Any) -> Iterator[tuple[str, Any, Any]]:
    # (place, schema, value) of everything inside that has a schema of its own
    if keyword == "properties" and isinstance(value, dict):
        yield from ((f".{name}", rule[name], value[name]) for name in rule if name in value)
    elif keyword == "items" and isinstance(value, list):
        yield from ((f"[{place}]", rule, item) for place, item in enumerate(value))
    elif keyword == "prefixItems" and isinstance(value, list):
        pairs = zip(rule, value, strict=False)
        yield from ((f"[{place}]", part, item) for place, (part, item) in enumerate(pairs))


def problems(schema: dict[str, Any], value: Any, at: str = "value") -> list[str]:
    """
    Return what is wrong with a value, each with the place where it is.
    """
    found: list[str] = []
    for keyword, rule in schema.items():
        if keyword in {"properties", "items", "prefixItems"}:
            for place, part, inner in _parts(keyword, rule, value):
                found += problems(part, inner, at + place)
        elif keyword == "additionalProperties":
            if rule is False and isinstance(value, dict):
                extra = set(value) - set(schema.get("properties", {}))
                found += [f"{at}.{name} is not allowed" for name in sorted(extra)]
        elif not _RULES[keyword](rule, value):
            found.append(f"{at}: {value!r} breaks {keyword} {rule!r}"[:300])
    return found
