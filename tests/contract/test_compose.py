"""
``compose.yaml`` and ``Dockerfile``: what can be checked without an engine.

That the commands work in this order is tested with processes
(``tests/integration/test_compose.py``).
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import click
import pytest

from bridge.cli.app import cli

yaml = pytest.importorskip("yaml", reason="PyYAML reads compose.yaml: pip install pyyaml")

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
#: What the Compose specification has for a service, as far as it is used here.
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "healthcheck", "image", "init",
    "logging", "network_mode", "read_only", "restart", "security_opt", "stop_grace_period",
    "tmpfs", "volumes",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
TIME = re.compile(r"\d+(ms|s|m|h)")


def instructions():
    """
    Return the Dockerfile as pairs of instruction and arguments, continued lines joined.
    """
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def last(name):
    """
    Return what the final image has: the last instruction of a name.
    """
    return [arguments for instruction, arguments in instructions() if instruction == name][-1]


def final_stage():
    lines = instructions()
    start = max(number for number, (name, _) in enumerate(lines) if name == "FROM")
    return lines[start:]


def parsed(words):
    """
    Parse a command line of ours; click raises at what it does not know.
    """
    context = click.Context(cli, info_name="bridge")
    command = cli.get_command(context, words[0])
    assert command is not None, words
    command.make_context(words[0], list(words[1:]), parent=context)


def health_check_of(service):
    check = SERVICES[service].get("healthcheck")
    if check is None:
        return json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    return None if check.get("disable") else check["test"][1:]


# The image ----------------------------------------------------------------------------


def test_the_image_does_not_run_as_root():
    user, _, group = last("USER").partition(":")

    assert [True, True] == [user.isdigit() and user != "0", group.isdigit() and group != "0"]
    assert ("USER", last("USER")) in final_stage()


def test_nothing_is_done_as_root_behind_the_user():
    names = [name for name, _ in final_stage()]

    assert {"RUN", "COPY", "ADD"}.isdisjoint(names[names.index("USER") :])


def test_the_image_is_a_slim_one_of_a_python_that_we_support():
    bases = {arguments.split()[0] for name, arguments in instructions() if name == "FROM"}
    (base,) = bases
    version = re.fullmatch(r"python:(3\.\d+)-slim-\w+", base)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_what_the_image_copies_exists_and_is_let_in():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    sources = {
        source.removeprefix("./")
        for name, arguments in instructions()
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }

    assert "*" in ignored
    assert let_in == sources
    assert [] == [one for one in sources if not (ROOT / one).exists()]


def test_what_the_build_reads_is_copied():
    """
    Hatchling fails without the readme and the licence that pyproject.toml names.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = " ".join(arguments for name, arguments in instructions() if name == "COPY").split()

    assert {project["readme"], *project["license-files"]} <= set(copied)


def test_the_image_runs_a_command_of_ours():
    assert ["bridge"] == json.loads(last("ENTRYPOINT"))
    parsed(json.loads(last("CMD")))


def test_the_relay_is_stopped_in_order():
    assert "SIGTERM" == last("STOPSIGNAL")


def test_state_is_in_a_volume_that_the_user_may_write():
    folder = last("VOLUME")

    assert f"BRIDGE_HOME={folder}" in last("ENV").split()
    assert f"--owner bridge --group bridge --mode 0700 {folder}" in last("RUN")


# The services -------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_uses_what_compose_knows(service):
    assert set() == set(SERVICES[service]) - SERVICE_KEYS


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_built_here_and_runs_without_rights(service):
    content = SERVICES[service]

    assert (ROOT / content["build"] / "Dockerfile").exists()
    assert (True, ["ALL"]) == (content["read_only"], content["cap_drop"])
    assert ["no-new-privileges:true"] == content["security_opt"]
    assert "user" not in content


@pytest.mark.parametrize("service", SERVICES)
def test_a_command_and_a_health_check_are_ours(service):
    if "entrypoint" in SERVICES[service]:
        assert ["sleep", "infinity"] == SERVICES[service]["entrypoint"]
    else:
        parsed(SERVICES[service]["command"])
    check = health_check_of(service)
    if check is not None:
        assert "bridge" == check[0]
        parsed(check[1:])


def test_a_health_check_ends_before_it_is_given_up():
    """
    Else the engine kills it, and nobody is told what was wrong.
    """
    options = dict(re.findall(r"--(\w+)=(\d+)s", last("HEALTHCHECK")))
    limits = {"relay": int(options["timeout"])}
    limits["terminal"] = int(SERVICES["terminal"]["healthcheck"]["timeout"].removesuffix("s"))

    for service, limit in limits.items():
        words = health_check_of(service)
        assert limit > float(words[words.index("--timeout") + 1]) + 1


@pytest.mark.parametrize("service", ["relay", "terminal"])
def test_who_waits_for_whom_exists(service):
    for name, condition in SERVICES[service]["depends_on"].items():
        assert name in SERVICES
        assert condition["condition"] in CONDITIONS
        if condition["condition"] == "service_healthy":
            assert health_check_of(name) is not None


def test_relay_and_terminal_share_a_network_that_neither_of_them_owns():
    """
    Endpoints are on loopback; and with the relay's own, a terminal would lose it for ever when
    the relay dies and is started again.
    """
    assert "service:network" == SERVICES["relay"]["network_mode"]
    assert "service:network" == SERVICES["terminal"]["network_mode"]
    assert [] == [name for name, content in SERVICES.items() if "ports" in content]


def test_services_share_the_home_of_the_image():
    used = {
        name: content["volumes"] for name, content in SERVICES.items() if content.get("volumes")
    }

    assert {"init", "relay", "terminal"} == set(used)
    assert {f"home:{last('VOLUME')}"} == {one for volumes in used.values() for one in volumes}
    assert ["home"] == list(COMPOSE["volumes"])


def test_times_have_a_unit():
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    times = re.findall(r"(?:interval|timeout|start_period|stop_grace_period): (\S+)", text)

    assert [] == [one for one in times if not TIME.fullmatch(one)]


@pytest.mark.parametrize("words", [["run", "--nonsense"], ["nonsense"], ["status", "--timeout"]])
def test_a_wrong_command_is_found(words):
    with pytest.raises((AssertionError, click.UsageError)):
        parsed(words)
