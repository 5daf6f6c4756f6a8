"""Reports and TensorBoard in a real browser, from a real sweep."""

from __future__ import annotations

import itertools
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

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from acexp.report import Question, study, write
from acexp.system.files import replace_file
from tests.command_server import SERVER
from tests.helpers import REPOSITORY
from tests.report.fabricate import fabricate

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


def test_a_browser_that_cannot_unpack_the_charts_says_so(report: webdriver.Chrome, sweep: Path) -> None:
    """Where each chart would be; the tables are there."""
    source = {"source": "delete window.DecompressionStream"}
    script = report.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    report.get((sweep / "report.html").as_uri())
    places = report.find_elements(By.CSS_SELECTOR, "[data-chart]")
    until(report, lambda _: all("cannot unpack the charts" in place.text for place in places))
    assert len(column(report, "table-runs", 0)) == 12
    report.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    report.get((sweep / "report.html").as_uri())
    report.get_log("browser")


SIZES = {390: 844, 1400: 900}
"""The heights of a phone and of a laptop's window, by their widths."""


def resized(browser: webdriver.Chrome, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": SIZES[width], "deviceScaleFactor": 1, "mobile": width < 500},
    )


@pytest.fixture(scope="module")
def hard_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages that are hard to fit: long names, outliers, two environments, a single experiment, and one seed each."""
    folder = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    for environment, worst in (("LunarLander-v3", -9000.0), ("a/VeryLongNameOfAnEnvironmentForTests-v0", -21.0)):
        for i in range(8):
            for seed in range(3):
                start = worst if i == seed == 2 else -200.0
                curve = np.linspace(start, 30.0 * i, 40) + rng.normal(size=40)
                fabricate(
                    folder / "long" / f"{environment[0]}{i}-{seed}",
                    float(curve[-1]),
                    seed,
                    curve=curve.tolist(),
                    env__id=environment,
                    total_steps=3_000_000,
                    arch__name=("separate", "shared")[i % 2],
                    optim__name=("single", "dual")[i // 2 % 2],
                    clip__scope=("optimizer", "module_of_some_long_name")[i // 4],
                    normalizer={"name": ("running", "a_component_of_a_plugin")[i % 2], "epsilon": 1 + i},
                )
    for seed in range(3):
        fabricate(folder / "one" / f"{seed}", float(seed), seed)
    for i in range(3):
        fabricate(folder / "seed" / f"{i}", float(i), 0, clip__max_norm=0.1 * (i + 1))
    for name in ("long", "one", "seed"):
        write(folder / name, study(folder / name, Question()))
    return {name: folder / name / "report.html" for name in ("long", "one", "seed")}


@pytest.fixture(params=["sweep", "long", "one", "seed"])
def page(
    request: pytest.FixtureRequest, report: webdriver.Chrome, sweep: Path, hard_pages: dict[str, Path]
) -> Iterator[webdriver.Chrome]:
    report.get(({**hard_pages, "sweep": sweep / "report.html"}[request.param]).as_uri())
    yield report
    report.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    report.get((sweep / "report.html").as_uri())


def draw_all(browser: webdriver.Chrome) -> None:
    browser.execute_script("places.forEach(draw); scrollTo(0, 0)")
    until(browser, lambda _: browser.execute_script("return places.every((p) => p.querySelector('.main-svg'))"))
    time.sleep(0.3)


@pytest.mark.parametrize("width", SIZES)
def test_nothing_lies_outside_of_the_window(page: webdriver.Chrome, width: int) -> None:
    """But for columns of tables that are wider than their place, which a cue above them announces."""
    resized(page, width)
    draw_all(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    outside = """
        const cued = (element) => {
          const place = element.closest(".scroll");
          return place && place.scrollWidth > place.clientWidth && !place.previousElementSibling.hidden;
        };
        const kinds = "h1, h2, h3, p, li, th, td, summary, figcaption, button, svg text";
        return [...document.querySelectorAll(kinds)].filter((element) => {
          const box = element.getBoundingClientRect();
          const isOut = box.right > arguments[0] + 1 || box.left < -1;
          return box.width && isOut && !cued(element) && !element.closest("pre");
        }).map((element) => element.textContent.slice(0, 80));
    """
    assert page.execute_script(outside, width) == []
    wrong_cues = """
        return [...document.querySelectorAll(".scroll")].filter((place) =>
          place.previousElementSibling.hidden !== (place.scrollWidth <= place.clientWidth + 1)).length;
    """
    assert page.execute_script(wrong_cues) == 0


@pytest.mark.parametrize("page", ["sweep", "one", "seed"], indirect=True)
def test_on_a_laptop_the_tables_of_results_are_whole(page: webdriver.Chrome) -> None:
    resized(page, 1400)
    draw_all(page)
    for name in ("ranking", "results", "comparisons", "effects"):
        for table in page.find_elements(By.ID, f"table-{name}"):
            place = table.find_element(By.XPATH, "..")
            assert place.get_property("scrollWidth") <= place.get_property("clientWidth") + 1, name


def test_answer_table_and_picture_are_above_the_fold(page: webdriver.Chrome) -> None:
    resized(page, 1400)
    draw_all(page)
    bottoms = """
        return ["h1", "#top .scroll", "#top .chart"].map((each) => {
          const box = document.querySelector(each).getBoundingClientRect();
          return box.height > 10 ? box.bottom : Infinity;
        });
    """
    assert max(page.execute_script(bottoms)) <= SIZES[1400]


@pytest.mark.parametrize("width", SIZES)
def test_no_text_lies_over_marks_and_axes_have_ticks(page: webdriver.Chrome, width: int) -> None:
    resized(page, width)
    draw_all(page)
    for place in page.find_elements(By.CSS_SELECTOR, "[data-chart]"):
        label = place.get_attribute("aria-label")
        assert page.execute_script(OVERLAPS, place) == [], label
        n_ticks = page.execute_script(
            "return ['.xtick', '.ytick'].map((each) => arguments[0].querySelectorAll(`${each} text`).length)", place
        )
        assert all(n == 0 or n >= 2 for n in n_ticks), (label, n_ticks)
        assert n_ticks[0] >= 2, label


OVERLAPS = """
    const boxes = (selector) => [...arguments[0].querySelectorAll(selector)]
        .map((element) => ({ text: element.textContent, box: element.getBoundingClientRect() }))
        .filter(({ box }) => box.width > 0);
    const texts = boxes(".annotation-text, .xtick text, .ytick text, .xtitle, .ytitle, .legendtext");
    const marks = boxes(".scatterlayer .point, .scatterlayer .errorbar path");
    const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    const found = texts.filter(({ box }) => marks.some((mark) => meet(box, mark.box)));
    texts.forEach((a, i) => found.push(...texts.slice(0, i).filter((b) => meet(a.box, b.box))));
    return found.map(({ text }) => text);
"""


def test_outliers_are_a_click_away(page: webdriver.Chrome, request: pytest.FixtureRequest) -> None:
    """Only where there are any."""
    buttons = page.find_elements(By.CSS_SELECTOR, "[data-cut]")
    assert bool(buttons) == ("long" in request.node.name)
    if not buttons:
        return
    draw_all(page)
    place = buttons[0].find_element(By.XPATH, "ancestor::figure//*[@data-chart]")
    lowest = "return arguments[0].layout.yaxis.range[0]"
    assert page.execute_script(lowest, place) > -1000
    buttons[0].click()
    until(page, lambda _: page.execute_script(lowest, place) < -8000)
    buttons[0].click()
    until(page, lambda _: page.execute_script(lowest, place) > -1000)


def test_an_experiment_is_hidden_in_every_chart(report: webdriver.Chrome) -> None:
    draw_all(report)
    visible = """
        return places.flatMap((place) => place.data)
          .filter((trace) => trace.legendgroup && trace.visible !== false).map((trace) => trace.legendgroup);
    """
    button, other = report.find_elements(By.CSS_SELECTOR, "[data-cell]")[:2]
    name = button.get_attribute("data-cell")
    assert name in report.execute_script(visible)
    report.execute_script("arguments[0].click()", button)
    assert name not in report.execute_script(visible)
    assert other.get_attribute("data-cell") in report.execute_script(visible)
    report.execute_script("arguments[0].click()", button)
    assert name in report.execute_script(visible)


def test_headings_are_not_doubled(page: webdriver.Chrome) -> None:
    headings = page.execute_script("return [...document.querySelectorAll('h2, h3')].map((each) => each.textContent)")
    assert [a for a, b in itertools.pairwise(headings) if a == b] == []


def test_a_watched_page_follows_and_stays_where_the_reader_is(
    report: webdriver.Chrome, sweep: Path, tmp_path: Path
) -> None:
    found = study(sweep, Question())
    write(tmp_path, found, watch=1)
    page = tmp_path / "report.html"
    report.get(page.as_uri())
    report.execute_script("document.body.dataset.first = 'yes'; scrollTo(0, 700)")
    replace_file(page, page.read_bytes().replace(b"<h1>", b"<h1>anew: "))
    until(
        report, lambda _: report.execute_script("return document.querySelector('h1')?.textContent.startsWith('anew')")
    )
    assert report.execute_script("return document.body.dataset.first") is None
    until(report, lambda _: abs(report.execute_script("return scrollY") - 700) < 5)
    write(tmp_path, found)
    until(report, lambda _: report.execute_script("return document.body && !document.body.dataset.watch"))
    until(report, lambda _: abs(report.execute_script("return scrollY") - 700) < 5, 5.0)
    report.execute_script("document.body.dataset.first = 'yes'")
    time.sleep(1.5)
    assert report.execute_script("return document.body.dataset.first") == "yes"
    report.get((sweep / "report.html").as_uri())


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
    """Of the view that `acexp dashboard` advises; the dashboard ends with Ctrl-C."""
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
        (found,) = re.findall(r"http://127\.0\.0\.1:\d+/\S+", second)
        yield found
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == "ended\n"


@pytest.fixture(scope="module")
def server(address: str) -> str:
    """The address of the dashboard's server."""
    return address.partition("?")[0]


def in_page(browser: webdriver.Chrome, text: str) -> Callable[[webdriver.Chrome], bool]:
    """Whether a text is shown anywhere, shadow roots included: TensorBoard is made of web components."""
    script = """
        const found = (node) => node.nodeType === 3 ? node.data.includes(arguments[0])
            : [...node.childNodes, ...(node.shadowRoot ? [node.shadowRoot] : [])].some(found);
        return found(document.body);
    """
    return lambda _: bool(browser.execute_script(script, text))


def texts_in(browser: webdriver.Chrome, component: str) -> list[str]:
    """All texts inside of a web component, in the order of the page."""
    script = """
        const below = (node) => [...node.childNodes, ...(node.shadowRoot ? [node.shadowRoot] : [])];
        const all = (node, inside) => node.nodeType === 3 ? (inside ? [node.data.trim()] : [])
            : below(node).flatMap((child) => all(child, inside || node.localName === arguments[0]));
        return all(document.body, false);
    """
    return list(browser.execute_script(script, component))


def severe(browser: webdriver.Chrome) -> list[str]:
    """Errors in the console, but for fonts and icons that TensorBoard would like to load from elsewhere."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def ask(server: str, path: str, question: object = None) -> Any:
    """JSON from the server."""
    body = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(f"{server}{path}", body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def test_tensorboard_shows_experiments_as_one_row_each(server: str, browser: webdriver.Chrome) -> None:
    question = {"startIndex": 0, "sliceSize": 100, "allowedStatuses": ["STATUS_UNKNOWN"], "aggregationType": 1}
    hparams = "experiment/defaultExperimentId/data/plugin/hparams"
    groups: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60.0
    while len(groups) < 4 and time.monotonic() < deadline:
        groups = ask(server, f"{hparams}/session_groups", question)["sessionGroups"]
        time.sleep(0.5)
    assert [len(group["sessions"]) for group in groups] == [3] * 4
    assert all(set(group["hparams"]) == {"arch.name", "clip.max_norm"} for group in groups), "constants are hidden"
    columns = ask(server, f"{hparams}/experiment", {})["hparamInfos"]
    assert sorted(column["name"] for column in columns) == ["arch.name", "clip.max_norm"]
    names = sorted(re.sub(r" \(\w{8}\)$", "", group["name"]) for group in groups)
    assert names == [f"arch={arch}, max_norm={norm}" for arch in ("separate", "shared") for norm in ("0.1", "5.0")]
    browser.get(f"{server}#hparams")
    until(browser, in_page(browser, "final/mean_return_last_100"))
    for column_name in ("arch.name", "clip.max_norm", "arch=shared, max_norm=5.0"):
        until(browser, in_page(browser, column_name))
    assert severe(browser) == []


def test_tensorboard_shows_margin_charts_of_the_return_first(server: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{server}#custom_scalars")
    until(browser, in_page(browser, "means over seeds, and their 95% intervals"))
    until(browser, in_page(browser, "charts/episode_return"))
    assert severe(browser) == []
    first, *_ = ask(server, "data/plugin/custom_scalars/layout")["category"]
    assert first["title"] == "means over seeds, and their 95% intervals"
    by_title = {chart["title"]: chart["margin"] for chart in first["chart"]}
    shown = [text for text in texts_in(browser, "tf-custom-scalar-dashboard") if text in by_title]
    assert shown[:2] == ["charts/episode_return", "charts/episode_length"]
    (series,) = by_title["charts/episode_return"]["series"]
    tags = ask(server, "data/plugin/scalars/tags")["aggregates/arch=shared,max_norm=5"]
    assert {series["value"], series["lower"], series["upper"]} <= tags.keys()


def test_the_dashboard_shows_means_over_seeds(address: str, browser: webdriver.Chrome) -> None:
    """Single runs appear when the filter of runs is cleared; the return is pinned above all other cards."""
    browser.get(address)
    until(browser, in_page(browser, "arch=shared,max_norm=5"))
    until(browser, in_page(browser, "Pinned"))
    until(browser, in_page(browser, "episode_return"))
    assert not in_page(browser, "seed=0")(browser)
    assert not in_page(browser, "/low")(browser)
    assert severe(browser) == []
