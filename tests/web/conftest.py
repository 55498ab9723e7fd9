"""Four nodes and one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, running_cluster
from tests.web.browser import DESKTOP, Page, chromium, need_chromium


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need_chromium()
    with running_cluster(tmp_path_factory.mktemp("pages") / "net") as running:
        yield running


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    need_chromium()
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    """The browser at desktop size; afterwards it must have nothing to complain of."""
    browser.size(*DESKTOP)
    browser.complaints()
    browser.requested.clear()
    yield browser
    complaints = browser.complaints()
    assert complaints == []
    assert browser.foreign() == set()
