"""What all tests share: one printed seed, and the profile of the property tests."""

from __future__ import annotations

import os
import random
import secrets
import signal

import hypothesis
import pytest

_SEED = pytest.StashKey[int]()

# A failing example is printed with a blob that repeats it, and is kept in .hypothesis/.
# No deadline: on two shared cores the time of one example says nothing.
hypothesis.settings.register_profile(
    "bridge", max_examples=100, deadline=None, derandomize=False, print_blob=True
)
hypothesis.settings.register_profile(
    "thorough", parent=hypothesis.settings.get_profile("bridge"), max_examples=5000
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """
    Run twice as many tests at a time as there are cores: most of them wait for each other's
    clocks and processes.
    """
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config):
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "bridge"))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Whoever starts the tests in the background lets them ignore Ctrl-C, and they their
        # children: those that are to end by it would not.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Kept in the environment: parallel workers are to have the same one.
    given = os.environ.setdefault("BRIDGE_TEST_SEED", str(secrets.randbelow(2**32)))
    config.stash[_SEED] = int(given)


def pytest_report_header(config):
    return f"seed: {config.stash[_SEED]} (repeat with BRIDGE_TEST_SEED={config.stash[_SEED]})"


@pytest.fixture
def seed(request):
    """
    Return the seed of this run; a failing test shows it.
    """
    value = request.config.stash[_SEED]
    request.node.user_properties.append(("seed", value))
    request.node.add_report_section("setup", "seed", f"BRIDGE_TEST_SEED={value}")
    return value


@pytest.fixture
def rng(seed, request):
    """
    Return a generator of this test's own: other tests do not change its numbers.
    """
    return random.Random(f"{seed}/{request.node.nodeid}")
