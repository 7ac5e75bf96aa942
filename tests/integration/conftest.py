"""Fixtures of the tests with sockets and processes."""

from __future__ import annotations

import pytest

from tests.support.node import node_folder


@pytest.fixture(scope="session")
def node_client(tmp_path_factory):
    """
    Return a folder with the Node.js client and its packages; skip where they cannot be had.
    """
    return node_folder(tmp_path_factory)
