"""A real Chromium on the console's page, and how a person's fingers and eyes are put on it. Not a test itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.archives import need, until

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
PATIENCE_S = 40.0
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions", "--no-first-run",
    "--no-default-browser-check", "--metrics-recording-only", "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider", "--mute-audio",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--lang=en-GB",
)  # fmt: skip


class Page:
    """One browser window on the page."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    # ------------------------------------------------ where

    def size(self, width: int, height: int) -> None:
        """Of what is seen of the page, without the window's frame."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, view: str = "live") -> None:
        """Loads the page anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.url}/#/{view}")

    def go(self, view: str) -> None:
        """By the bar, as a person does."""
        self.find(f'#bar nav a[href="#/{view}"]').click()
        self.until(lambda: self.find("#view").get_attribute("class") == view, f"the view {view}")

    # ------------------------------------------------ eyes

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector: str, text: str = "") -> WebElement:
        """The first visible one that says `text`; waits for it."""
        found: list[WebElement] = []

        def there() -> bool:
            found[:] = [one for one in self.all(selector) if one.is_displayed() and text in one.text]
            return bool(found)

        self.until(there, f'"{selector}" that says "{text}"')
        return found[0]

    def is_there(self, selector: str, text: str = "") -> bool:
        with contextlib.suppress(StaleElementReferenceException):
            return any(one.is_displayed() and text in one.text for one in self.all(selector))
        return False

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def until(self, met: Any, what: str, patience_s: float = PATIENCE_S) -> None:
        def now() -> bool:
            with contextlib.suppress(StaleElementReferenceException):
                return bool(met())
            return False

        try:
            until(now, what, patience_s)
        except AssertionError as error:
            raise AssertionError(
                f"{error}; on the page: {self.run('return document.body.innerText')[:1500]!r}"
            ) from None

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the browser itself has to say: refused by the policy, not found, thrown and not caught."""
        log = self.driver.get_log("browser")  # pyright: ignore[reportUnknownMemberType]
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def picture(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(file))

    def light(self, selector: str) -> float:
        """The mean grey level of the middle of an element, as it is seen."""
        seen = cv2.imdecode(np.frombuffer(self.find(selector).screenshot_as_png, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert seen is not None
        high, wide = seen.shape
        return float(seen[high // 3 : high * 2 // 3, wide // 3 : wide * 2 // 3].mean())

    # ------------------------------------------------ fingers

    def press(self, text: str, within: str = "body") -> None:
        """A button or link by its words."""
        self.until(lambda: self._pressed(text, within), f'a button "{text}" to press')

    def _pressed(self, text: str, within: str) -> bool:
        for one in self.all(f"{within} button, {within} a.button, {within} a.captured"):
            if one.is_displayed() and one.is_enabled() and text in (one.text, one.get_attribute("aria-label")):
                one.click()
                return True
        return False

    def type(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def key(self, key: str) -> None:
        ActionChains(self.driver).send_keys(key).perform()

    def drag(self, selector: str, share: float) -> None:
        """To a place across an element, from its middle."""
        element = self.find(selector)
        width = element.size["width"]
        chain = ActionChains(self.driver).move_to_element(element).click_and_hold()
        chain.move_by_offset(round((share - 0.5) * width), 0).release().perform()


@contextlib.contextmanager
def chromium(url: str) -> Iterator[Page]:
    need(CHROMIUM, DRIVER)
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in SWITCHES:
        options.add_argument(switch)  # pyright: ignore[reportUnknownMemberType]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(DRIVER, log_output=os.devnull))
    try:
        driver.set_page_load_timeout(60)
        page = Page(driver, url)
        page.size(1280, 800)
        yield page
    finally:
        driver.quit()


__all__ = ["Keys", "Page", "chromium"]
