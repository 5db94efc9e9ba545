"""The page in a real browser, at the widths of a laptop and a phone, in light and in dark, without a network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from study.report import build_report, write_report
from study.report.figure import Report
from study.results import StoredStudy

DRIVER = "chromedriver"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which(DRIVER) is None, reason="needs Debian's packages chromium and chromium-driver"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(whole: StoredStudy) -> Report:
    return build_report(whole)


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "whole.html"
    write_report(report, path)
    return path.as_uri()


def _open(browser: Chrome, page: str, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    browser.get(page)
    WebDriverWait(browser, 60).until(lambda it: it.execute_script("return document.body.dataset.drawn") == "yes")


@pytest.mark.parametrize("width", [1400, 390])
def test_every_figure_is_drawn_and_nothing_complains(browser: Chrome, page: str, report: Report, width: int) -> None:
    _open(browser, page, width)
    assert browser.get_log("browser") == []
    places = browser.find_elements(By.CSS_SELECTOR, ".drawing")
    assert len(places) == len(report.figures)
    for place in places:
        assert place.find_elements(By.CSS_SELECTOR, "svg.main-svg"), place.get_attribute("id")
        assert place.size["width"] <= width and place.size["height"] >= 150
        assert place.get_attribute("aria-label")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width, "it scrolls sideways"


def test_figures_take_the_colours_of_the_page(browser: Chrome, page: str) -> None:
    found = {}
    for scheme in ("light", "dark"):
        _open(browser, page, 1000, scheme)
        script = "return getComputedStyle(document.querySelector('.drawing .xtick text')).fill"
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        found[scheme] = ground, browser.execute_script(script)
    assert found["light"] == ("rgb(255, 255, 255)", "rgb(26, 26, 26)")
    assert found["dark"] == ("rgb(22, 24, 27)", "rgb(232, 232, 232)")


def test_a_table_is_sorted_by_a_click_or_a_key_on_a_head(browser: Chrome, page: str) -> None:
    _open(browser, page, 1400)
    table = browser.find_element(By.CSS_SELECTOR, "#results table")
    head = next(h for h in table.find_elements(By.TAG_NAME, "th") if h.text == "Δm %")
    button = head.find_element(By.TAG_NAME, "button")

    def column() -> list[float]:
        return [float(row.find_elements(By.CSS_SELECTOR, "th, td")[2].text) for row in _rows()]

    def _rows() -> list:  # type: ignore[type-arg]
        return table.find_elements(By.CSS_SELECTOR, "tbody tr")

    button.click()
    assert head.get_attribute("aria-sort") == "ascending" and column() == sorted(column())
    button.send_keys("\n")
    assert head.get_attribute("aria-sort") == "descending" and column() == sorted(column(), reverse=True)


def test_it_prints(browser: Chrome, page: str, tmp_path: Path) -> None:
    _open(browser, page, 1400, "dark")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 50_000
