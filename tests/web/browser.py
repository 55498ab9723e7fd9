"""Chromium as the tests drive it: where it is found, how it starts, what it complained about.

Everything is given by path, so that nothing is looked for or downloaded; the profile is new and
empty each time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
DESKTOP = (1280, 900)
PHONE = (390, 844)
WAIT_S = 20.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-extensions",
    "--window-size=1280,900",
)


def need_chromium() -> None:
    """Skip without Chromium; in CI its absence is a failure."""
    missing = [str(path) for path in (CHROMIUM, DRIVER) if not path.exists()]
    if missing:
        message = f"not installed: {', '.join(missing)} (make browser-tools)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


class Page:
    """A browser window."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self.base = ""
        self.nodes: set[str] = set()
        """Host and port of every node that was signed in to."""
        self.requested: set[str] = set()
        """Addresses asked for since the last `complaints`."""

    def size(self, width: int, height: int) -> None:
        """Be a screen of this size; a narrow one is a phone."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def open(self, path: str) -> None:
        """Load a page and wait until it has drawn what it asked for."""
        self.driver.get(f"{self.base}{path}")
        self.settled()

    def go(self, path: str) -> None:
        """Go to another page as its links do, without loading the scripts again."""
        self.driver.execute_script(
            "history.pushState(null, '', arguments[0]);"
            "dispatchEvent(new PopStateEvent('popstate'));",
            path,
        )
        self.settled()

    def sign_in(self, base: str, path: str) -> None:
        """Open a one-time link of the node at `base`."""
        self.base = base
        self.nodes.add(urlsplit(base).netloc)
        self.open(path)

    def settled(self) -> None:
        """Wait until nothing loads any more."""
        self.until(
            "nothing loads",
            "const main = document.querySelector('main');"
            "return main && main.textContent.trim() && !document.querySelector('.loading');",
        )

    def until(self, what: str, script: str, *arguments: object, timeout_s: float = WAIT_S) -> Any:
        """The first true value of a script."""
        try:
            return WebDriverWait(self.driver, timeout_s, poll_frequency=0.05).until(
                lambda driver: driver.execute_script(script, *arguments)
            )
        except TimeoutException:
            shown = self.text()[:2_000]
            raise AssertionError(f"still not: {what}; the page shows:\n{shown}") from None

    def text(self) -> str:
        """What the page shows."""
        return str(self.driver.execute_script("return document.body.innerText"))

    def wait_text(self, text: str, timeout_s: float = WAIT_S) -> None:
        """Wait until the page shows this."""
        script = "return document.body.innerText.includes(arguments[0])"
        self.until(f"shows {text!r}", script, text, timeout_s=timeout_s)

    def find(self, selector: str) -> WebElement:
        """The element of a CSS selector, once it is there."""
        script = "return document.querySelector(arguments[0])"
        found = self.until(f"there is {selector}", script, selector)
        assert isinstance(found, WebElement)
        return found

    def click(self, selector: str) -> None:
        """Click where the element is."""
        element = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def saved(self, selector: str) -> Any:
        """Name and text of the file that a button saves."""
        script = (
            "const found = {}; const make = URL.createObjectURL;"
            "URL.createObjectURL = (blob) => { found.blob = blob; return make(blob); };"
            "const go = HTMLAnchorElement.prototype.click;"
            "HTMLAnchorElement.prototype.click = function () { found.name = this.download; };"
            "document.querySelector(arguments[0]).click();"
            "URL.createObjectURL = make; HTMLAnchorElement.prototype.click = go;"
            "found.blob.text().then((text) => arguments[1]({ name: found.name, text }));"
        )
        self.find(selector)
        return self.driver.execute_async_script(script, selector)

    def fill(self, selector: str, text: str) -> None:
        """Type into a field, instead of what stands there."""
        element = self.find(selector)
        element.clear()
        element.send_keys(text)

    def choose(self, selector: str, value: str) -> None:
        """Choose an option by its value, which need not stand in its attribute."""
        option = self.until(
            f"{selector} offers {value}",
            "return [...(document.querySelector(arguments[0])?.options ?? [])]"
            ".find((option) => option.value === arguments[1]) ?? null",
            selector,
            value,
        )
        assert isinstance(option, WebElement)
        option.click()

    def act(self, action: str, /, **fields: str) -> None:
        """Open the form of an operation, fill it, send it, wait until it is final, close it."""
        self.click(f'[data-action="{action}"]')
        for name, value in fields.items():
            selector = f'dialog [name="{name}"]'
            if self.find(selector).tag_name == "select":
                self.choose(selector, value)
            else:
                self.fill(selector, value)
        self.click("dialog [data-send]")
        self.final("dialog")
        self.click("dialog > header button")

    def final(self, scope: str = "main") -> None:
        """Wait until the write of a form is final."""
        self.until(
            "the write is final",
            "const steps = document.querySelectorAll(arguments[0] + ' .steps li.done');"
            "return steps.length === 3;",
            scope,
        )

    def overflow(self) -> int:
        """Pixels by which the page is wider than the screen.

        A phone's window is not the measure: it grows with what is in it.
        """
        script = (
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return int(self.driver.execute_script(script))

    def clipped(self) -> list[str]:
        """Texts of which a part is beyond the window's right edge."""
        script = (
            "const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);"
            "const found = []; const range = document.createRange();"
            "while (walk.nextNode()) {"
            "  const text = walk.currentNode.textContent.trim();"
            "  const unseen = 'header, .unseen, thead, pre, script';"
            "  if (!text || walk.currentNode.parentElement.closest(unseen)) continue;"
            "  range.selectNodeContents(walk.currentNode);"
            "  const box = range.getBoundingClientRect();"
            "  if (box.width && box.right > document.documentElement.clientWidth) found.push(text);"
            "} return found"
        )
        return [str(text) for text in self.driver.execute_script(script)]

    def complaints(self) -> list[str]:
        """Errors in the console since the last call; remembers what was asked for."""
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requested.add(message["params"]["request"]["url"])
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [f"{e['level']} {e['message']}" for e in entries if e["level"] != "INFO"]

    def foreign(self) -> set[str]:
        """Addresses asked for that are not of the nodes."""
        return {
            url
            for url in self.requested
            if (parts := urlsplit(url)).scheme in {"http", "https", "ws", "wss", "ftp"}
            and parts.netloc not in self.nodes
        }


@contextmanager
def chromium(profile: Path, language: str = "en-GB") -> Iterator[Page]:
    """A browser with an empty profile; ended on leaving."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--lang={language}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"intl.accept_languages": f"{language},en"})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=str(DRIVER)))
    driver.set_page_load_timeout(WAIT_S)
    try:
        yield Page(driver)
    finally:
        driver.quit()
