"""Reports and TensorBoard in a real browser, from a real sweep."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.command_server import SERVER
from tests.helpers import REPOSITORY

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
REQUIRED = "ACEXP_TEST_BROWSER"
"""Set where a browser must be there: without one the tests fail rather than being skipped."""

pytestmark = pytest.mark.skipif(
    (BROWSER is None or DRIVER is None) and not os.environ.get(REQUIRED),
    reason="no chromium with its chromedriver here (Debian: apt install chromium chromium-driver)",
)

QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


def acexp(folder: Path, *arguments: str) -> None:
    result = SERVER.run(arguments, folder, {**os.environ, "PYTHONPATH": str(REPOSITORY)}, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two architectures, two bounds, three seeds."""
    folder = tmp_path_factory.mktemp("browser")
    grid = ("arch=separate,shared", "clip.max_norm=0.1,5", "seed=range(3)", "total_steps=6000")
    acexp(folder, "-m", "env=gym", "env.id=CartPole-v1", *grid, "name=small")
    return folder / "outputs" / "sweeps" / "small"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    assert BROWSER is not None, f"{REQUIRED} is set, and there is no chromium"
    assert DRIVER is not None, f"{REQUIRED} is set, and there is no chromedriver"
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        *QUIET,
    ):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--window-size=1200,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(sweep: Path, browser: webdriver.Chrome) -> webdriver.Chrome:
    acexp(sweep.parent, "report", str(sweep), "--baseline", "arch=shared")
    browser.get((sweep / "report.html").as_uri())
    return browser


def column(browser: webdriver.Chrome, table: str, n: int) -> list[str]:
    rows = browser.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr")
    return [row.find_elements(By.TAG_NAME, "td")[n].text for row in rows if row.is_displayed()]


def until(browser: webdriver.Chrome, ready: Callable[[webdriver.Chrome], Any], seconds: float = 60.0) -> Any:
    return WebDriverWait(browser, seconds).until(ready)


def test_tables_sort(report: webdriver.Chrome) -> None:
    heading = report.find_element(By.XPATH, "//table[@id='table-results']//th[button='IQM']")
    n = len(heading.find_elements(By.XPATH, "preceding-sibling::th"))
    for direction, reverse in (("ascending", False), ("descending", True)):
        heading.find_element(By.TAG_NAME, "button").click()
        assert heading.get_attribute("aria-sort") == direction
        values = [float(re.split(r" \[", text)[0].replace(",", "")) for text in column(report, "table-results", n)]
        assert len(values) == 4
        assert values == sorted(values, reverse=reverse)


def test_tables_are_filtered(report: webdriver.Chrome) -> None:
    field = report.find_element(By.CSS_SELECTOR, "[data-filters='table-runs']")
    assert len(column(report, "table-runs", 0)) == 12
    field.send_keys("shared 0.1")
    assert len(column(report, "table-runs", 0)) == 3
    field.clear()
    field.send_keys(" ")
    assert len(column(report, "table-runs", 0)) == 12


def test_every_chart_is_drawn(report: webdriver.Chrome) -> None:
    places = report.find_elements(By.CSS_SELECTOR, "[data-chart]")
    assert len(places) >= 8
    for place in places:
        report.execute_script("arguments[0].scrollIntoView()", place)
        until(report, lambda _, p=place: p.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace"))
        drawn = [path.get_attribute("d") for path in place.find_elements(By.CSS_SELECTOR, ".trace path")]
        assert any(drawn), place.get_attribute("aria-label")
        assert "NaN" not in "".join(drawn)


def test_curves_answer_the_pointer(report: webdriver.Chrome) -> None:
    place = report.find_element(By.CSS_SELECTOR, "[aria-label^='Learning curves']")
    report.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
    until(report, lambda _: place.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace"))
    report.execute_script("Plotly.Fx.hover(arguments[0], [{curveNumber: 3, pointNumber: 2}])", place)
    (label,) = until(report, lambda _: place.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"))
    assert "arch=" in label.text


def test_the_page_needs_no_network_and_says_nothing_in_the_console(report: webdriver.Chrome) -> None:
    fetched = report.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert fetched == []
    assert report.get_log("browser") == []


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_phones_and_screens(report: webdriver.Chrome, width: int) -> None:
    report.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    time.sleep(0.5)
    assert report.execute_script("return document.documentElement.scrollWidth") <= width
    report.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_light_and_dark(report: webdriver.Chrome) -> None:
    """A chart that was drawn in one takes the colours of the other."""

    def colours(scheme: str) -> tuple[str, str]:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        time.sleep(1.0)
        page = report.execute_script("return getComputedStyle(document.body).backgroundColor")
        tick = report.find_element(By.CSS_SELECTOR, "[aria-label^='Learning curves'] .xtick text")
        return page, tick.value_of_css_property("fill")

    assert colours("light") == ("rgb(255, 255, 255)", "rgb(27, 31, 36)")
    assert colours("dark") == ("rgb(20, 23, 27)", "rgb(232, 234, 237)")
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_print_has_every_chart(report: webdriver.Chrome) -> None:
    report.refresh()
    printed = report.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(printed["data"]) > 100_000
    places = report.find_elements(By.CSS_SELECTOR, "[data-chart]")
    assert all(place.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace") for place in places)


@pytest.fixture(scope="module")
def address(sweep: Path) -> Iterator[str]:
    """Of a dashboard that `acexp dashboard` has started; it ends with Ctrl-C."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "acexp", "dashboard", str(sweep), "--port", "0"],
        cwd=sweep,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        assert first.startswith("4 experiments as means over seeds"), first
        (found,) = re.findall(r"http://127\.0\.0\.1:\d+/", second)
        yield found
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == "ended\n"


def in_page(browser: webdriver.Chrome, text: str) -> Callable[[webdriver.Chrome], bool]:
    """Whether a text is shown anywhere, shadow roots included: TensorBoard is made of web components."""
    script = """
        const found = (node) => node.nodeType === 3 ? node.data.includes(arguments[0])
            : [...node.childNodes, ...(node.shadowRoot ? [node.shadowRoot] : [])].some(found);
        return found(document.body);
    """
    return lambda _: bool(browser.execute_script(script, text))


def severe(browser: webdriver.Chrome) -> list[str]:
    """Errors in the console, but for fonts and icons that TensorBoard would like to load from elsewhere."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_tensorboard_shows_experiments_as_one_row_each(address: str, browser: webdriver.Chrome) -> None:
    question = {"startIndex": 0, "sliceSize": 100, "allowedStatuses": ["STATUS_UNKNOWN"], "aggregationType": 1}
    path = "experiment/defaultExperimentId/data/plugin/hparams/session_groups"
    request = urllib.request.Request(
        f"{address}{path}", json.dumps(question).encode(), headers={"Content-Type": "application/json"}
    )
    groups: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60.0
    while len(groups) < 4 and time.monotonic() < deadline:
        with urllib.request.urlopen(request, timeout=10) as response:
            groups = json.load(response)["sessionGroups"]
        time.sleep(0.5)
    assert [len(group["sessions"]) for group in groups] == [3] * 4
    assert len({(group["hparams"]["arch.name"], group["hparams"]["clip.max_norm"]) for group in groups}) == 4
    browser.get(f"{address}#hparams")
    until(browser, in_page(browser, "final/mean_return_last_100"))
    for column_name in ("arch.name", "clip.max_norm"):
        until(browser, in_page(browser, column_name))
    assert severe(browser) == []


def test_tensorboard_shows_margin_charts(address: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{address}#custom_scalars")
    until(browser, in_page(browser, "means over seeds, and their 95% intervals"))
    assert severe(browser) == []


def test_tensorboard_shows_curves(address: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{address}#timeseries")
    until(browser, in_page(browser, "episode_return"))
    assert severe(browser) == []
