"""
Imports go downward only (``docs``: CONTRIBUTING, "Layers").

The source is parsed, not run: an import inside of a function or below
``TYPE_CHECKING`` counts like any other.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "bridge"

LAYERS = {
    "exceptions": 0,
    "config": 0,
    "logs": 0,
    "model": 1,
    "wire": 2,
    "bus": 2,
    "policy": 3,
    "journal": 3,
    "relay": 4,
    "client": 4,
    "sim": 4,
    "metrics": 4,
    "cli": 5,
    # The package's own face: what it re-exports, and "python -m bridge".
    "__init__": 6,
    "__main__": 6,
}
#: Layer 0 has an order of its own.
WITHIN_LAYER = {("config", "exceptions"), ("logs", "exceptions"), ("logs", "config")}

#: Packages whose every output follows from their input.
PURE = {"wire", "bus", "model", "policy"}
#: The same for single modules of other packages.
PURE_MODULES = {
    f"bridge/client/{name}.py"
    for name in ("core", "flows", "healing", "learning", "orders", "replies", "requests", "stream")
}
IMPURE = {
    "asyncio",
    "os",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "structlog",
    "threading",
    "time",
    "zmq",
}
#: What runs the relay is pure, too, as far as it is not the process around it (``bridge.relay.app``).
RELAY_CORE = "bridge.relay.core"
IMPURE_FOR_THE_CORE = IMPURE - {"structlog"} | {"concurrent", "pathlib", "signal"}
#: the class that a connection's protocol must have for asyncio to drive it
CORE_MAY = {("bridge.relay.links", "asyncio")}
#: What the layers 0 to 2 may use besides the standard library.
THIRD_PARTY = {
    "exceptions": set(),
    "config": {"pydantic", "pydantic_core", "platformdirs"},
    "logs": {"structlog"},
    "model": {"pydantic", "pydantic_core"},
    "wire": {"msgpack"},
    "bus": {"msgpack", "pydantic", "pydantic_core"},
}
#: Import name to distribution, where they differ.
DISTRIBUTIONS = {"zmq": "pyzmq", "pydantic_core": "pydantic"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return str(path.relative_to(ROOT))


def component_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(tree, package):
    """
    Yield the dotted name and line of everything a module imports.

    ``package`` is the dotted package of the module: relative imports start there.
    ``from a import b`` yields ``a.b``: whether ``b`` is a module shows later.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(start if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def imports_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ".".join(path.relative_to(ROOT).parts[:-1])
    return list(imports_of(tree, package))


def problem_with(importer, imported):
    """
    Return why the component must not import the dotted name, or ``None``.
    """
    parts = imported.split(".")
    if parts[0] != "bridge":
        return None
    other = parts[1] if len(parts) > 1 else ""
    if other not in LAYERS or other.startswith("__"):
        # "from bridge import Client": the face of the package is for those above it.
        return None if LAYERS[importer] >= LAYERS["cli"] else "imports the package itself"
    if other == importer or LAYERS[other] < LAYERS[importer] or (importer, other) in WITHIN_LAYER:
        return None
    return f"layer {LAYERS[importer]} imports layer {LAYERS[other]}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_every_module_has_a_layer(path):
    assert component_of(path) in LAYERS


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_downward_only(path):
    importer = component_of(path)
    found = [
        f"{name_of(path)}:{line}: {imported}: {problem}"
        for imported, line in imports_in(path)
        if (problem := problem_with(importer, imported))
    ]

    assert [] == found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_pure_packages_do_not_wait_open_or_read_a_clock(path):
    found = [
        f"{name_of(path)}:{line}: {imported}"
        for imported, line in imports_in(path)
        if (component_of(path) in PURE or path.relative_to(ROOT).as_posix() in PURE_MODULES)
        and imported.split(".")[0] in IMPURE
    ]

    assert [] == found


def relay_modules():
    """
    Return the modules of ``bridge.relay``, each with the names it imports.
    """
    return {
        f"bridge.relay.{path.stem}": {imported for imported, _ in imports_in(path)}
        for path in sorted((PACKAGE / "relay").glob("*.py"))
    }


def reached_from(start, known):
    """
    Return the modules among ``known`` that the start imports, and those import, and it.
    """
    reached, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            imported = known[name]
            waiting += [other for other in known if any(_is_of(one, other) for one in imported)]
    return reached


def _is_of(imported, module):
    return imported == module or imported.startswith(f"{module}.")


def test_the_core_of_the_relay_does_not_wait_open_or_read_a_clock():
    """
    A simulation runs it under a clock, a network and a disk of its own.
    """
    known = relay_modules()
    reached = reached_from(RELAY_CORE, known)
    found = [
        (name, imported)
        for name in sorted(reached - {"bridge.relay.clock"})
        for imported in sorted({one.split(".")[0] for one in known[name]} & IMPURE_FOR_THE_CORE)
        if (name, imported) not in CORE_MAY
    ]

    assert {"bridge.relay.links", "bridge.relay.open_commands"} <= reached
    assert [] == found


def test_only_who_puts_the_relay_together_has_the_real_clock():
    users = [
        name
        for name, imported in relay_modules().items()
        if "bridge.relay.clock.SystemClock" in imported
    ]

    assert ["bridge.relay.app"] == users


def test_what_the_core_is_made_of_is_found_through_others():
    known = {
        "core": {"links.Link", "json"},
        "links": {"terminals"},
        "terminals": set(),
        "app": {"core"},
    }

    assert {"core", "links", "terminals"} == reached_from("core", known)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_third_party_imports_are_declared(path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {
        re.match(r"[\w-]+", requirement)[0]
        for requirement in [*project["dependencies"], *extras["numpy"]]
    }
    allowed = THIRD_PARTY.get(component_of(path))
    found = []
    for imported, line in imports_in(path):
        name = imported.split(".")[0]
        if name in sys.stdlib_module_names or name in {"bridge", "__future__"}:
            continue
        if DISTRIBUTIONS.get(name, name) not in declared or (
            allowed is not None and name not in allowed
        ):
            found.append(f"{name_of(path)}:{line}: {name}")

    assert [] == found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_optional_packages_are_imported_where_they_are_used(path):
    """
    An extra may not be there: a module that imports it at its top fails on the core install.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = ast.Module([node for node in tree.body if not isinstance(node, ast.If)], [])
    for node in ast.walk(top):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]

    assert [] == [name for name, _ in imports_of(top, "bridge") if name.split(".")[0] == "numpy"]


# The rules themselves: what they let pass, and what they must not.


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("config", "bridge.exceptions.ConfigError"),
        ("logs", "bridge.config.Key"),
        ("wire", "bridge.model.tick.MqlTick"),
        ("relay", "bridge.wire.protocol"),
        ("relay", "bridge.relay.rings"),
        ("sim", "bridge.wire"),
        ("client", "bridge.bus.codec"),
        ("cli", "bridge.relay.app"),
        ("cli", "bridge.Client"),
        ("__init__", "bridge.client.Client"),
        ("__main__", "bridge.cli.main"),
        ("wire", "hashlib"),
    ],
)
def test_allowed(importer, imported):
    assert problem_with(importer, imported) is None


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("exceptions", "bridge.config"),
        ("config", "bridge.logs"),
        ("model", "bridge.wire.frame"),
        ("wire", "bridge.bus"),
        ("bus", "bridge.relay.rings"),
        ("relay", "bridge.client"),
        ("client", "bridge.relay.app"),
        ("sim", "bridge.relay.app"),
        ("sim", "bridge.client"),
        ("relay", "bridge.sim"),
        ("relay", "bridge.Client"),
        ("client", "bridge.cli.main"),
        ("journal", "bridge.policy"),
        ("client", "bridge.__main__"),
    ],
)
def test_forbidden(importer, imported):
    assert problem_with(importer, imported) is not None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import bridge.relay", ["bridge.relay"]),
        ("from bridge import relay", ["bridge.relay"]),
        ("from bridge.relay import app as x", ["bridge.relay.app"]),
        ("from . import frame", ["bridge.wire.frame"]),
        ("from .frame import Frame", ["bridge.wire.frame.Frame"]),
        ("from .. import relay", ["bridge.relay"]),
        ("from ..relay import app", ["bridge.relay.app"]),
        ("def f():\n    import zmq", ["zmq"]),
        ("if TYPE_CHECKING:\n    import zmq.asyncio", ["zmq.asyncio"]),
    ],
)
def test_imports_are_found_wherever_they_stand(source, expected):
    assert expected == [name for name, _ in imports_of(ast.parse(source), "bridge.wire")]
