"""The report in a browser: drawn without a complaint, its values those of the records, readable by everybody.

Needs Chromium with its driver (Debian: chromium, chromium-driver) and `selenium`; contrast and roles also
`axe-core-python`. Where one is missing the tests are skipped and say which.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib.util
import json
import shutil
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.experiments.examination import Examination
from kernelfit.report.exhibits import of_record
from kernelfit.report.html.page import page

HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>"
SIZES = ((1280, False), (390, True))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One Chromium for all tests here."""
    if importlib.util.find_spec("selenium") is None:
        pytest.skip("selenium is not installed: the report is not opened in a browser")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with chromedriver: the report is not opened in a browser")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "hide-scrollbars",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield session
    session.quit()


def bench_record() -> dict[str, Any]:
    phases = ("gram", "factor", "solve", "total")
    rows = [
        {
            "n": n,
            "seconds": {name: n**2 * 1e-9 * k for k, name in enumerate(phases, 1)},
            "factor_flops_per_second": 1e9,
            "share_of_gemm": 0.5,
            "beside": {},
        }
        for n in (1000, 2000, 4000)
    ]
    return {
        "benchmark": "solve time against n",
        "dataset": "synthetic",
        "n_features": 3,
        "kernel": {"name": "gaussian", "gamma": 0.5},
        "n_rhs": 1,
        "precision": "float64",
        "rows": rows,
        "fit": None,
        "predictions": [],
        "gemm_flops_per_second": 2e9,
        "gemm_dtype": "float64",
        "threads": 1,
        "environment": {"processor": {"model": "a processor", "cores": 1}},
        "command": "kernelfit bench",
    }


@pytest.fixture(scope="module")
def report(examination: Examination, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, classes and notes with hostile names, a regression, and a benchmark."""
    assert examination.dataset is not None
    names = tuple(f"{HOSTILE} {name} {'long ' * 30}" for name in examination.dataset.classes or ())
    hostile = dataclasses.replace(
        examination,
        dataset=dataclasses.replace(examination.dataset, classes=names),
        record={**examination.record, "dataset": HOSTILE, "notes": [HOSTILE], "rkhs_norm": float("nan")},
    )
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(60)
    regression = dataclasses.replace(
        examination,
        dataset=dataclasses.replace(
            examination.dataset, classes=None, y_train=np.zeros(150), y_test=truth, image_shape=None
        ),
        scores=truth[:, None] + 0.1,
        left_out=None,
        isolation=None,
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    bench = of_record(bench_record(), "bench.json")
    path.write_text(page([examination, bench, hostile, regression], HOSTILE), encoding="utf-8")
    return path


def opened(browser: Any, path: Path, width: int = 1280, mobile: bool = False, scheme: str = "light") -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    # On a machine that is busy elsewhere it comes back before the script at the end of the page has run.
    while browser.execute_script("return document.readyState") != "complete":
        time.sleep(0.05)


@pytest.mark.parametrize(("width", "mobile"), SIZES, ids=["desk", "phone"])
def test_everything_is_drawn_and_nothing_complains(
    browser: Any, report: Path, width: int, mobile: bool
) -> None:
    opened(browser, report, width, mobile)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.hurt") is None
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('.plot svg')].map(s => [s.clientWidth, s.clientHeight])"
    )
    assert len(sizes) == 3 + 2 + 3 + 4
    assert min(map(min, sizes)) > 100
    broken = "return [...document.images].filter(image => !image.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    assert browser.execute_script("return document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_roles(browser: Any, report: Path, examination: Examination, scheme: str) -> None:
    if importlib.util.find_spec("axe_core_python") is None:
        pytest.skip("axe-core-python is not installed: contrast and roles are not checked")
    path = report.with_name("small.html")
    path.write_text(page([examination, of_record(bench_record(), "bench.json")]), encoding="utf-8")
    opened(browser, path, scheme=scheme)
    shade = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert shade == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 24, 28)")
    browser.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.execute_script(resources.files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    # Roles are the same in the dark.
    rules = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
    found = browser.execute_async_script(
        "const done = arguments[1];"
        "axe.run(document, {...arguments[0], resultTypes: ['violations']}).then(all =>"
        "  done(all.violations.map(v => `${v.id}: ${v.nodes[0].html.slice(0, 200)}`)))",
        rules,
    )
    assert found == []


def said(browser: Any, chart: str, keys: list[str]) -> list[str]:
    """What a chart says after each key."""
    return list(
        browser.execute_script(
            "const plot = document.querySelector(`.plot[data-name$='${arguments[0]}']`); plot.focus();"
            "return arguments[1].map(key => { plot.dispatchEvent(new KeyboardEvent('keydown', {key}));"
            "  return plot.querySelector('.value').textContent; })",
            chart,
            keys,
        )
    )


def test_arrow_keys_say_the_values_of_the_record(
    browser: Any, report: Path, examination: Examination
) -> None:
    opened(browser, report)
    stored = json.loads(browser.execute_script("return document.querySelector('#records').textContent"))[0]
    path = sorted(stored["ridge_path"], key=lambda row: row["relative"])
    words = said(browser, "ridge-path", ["ArrowRight"] * len(path))
    assert [float(text.split()[-1]) for text in words] == pytest.approx(
        [100 * row["loo_error"] for row in path], rel=1e-5
    )
    norms = stored["rkhs_norm_per_class"]
    words = said(browser, "norms", ["ArrowRight"] * len(norms))
    assert [float(text.split()[-1]) for text in words] == pytest.approx(norms, rel=1e-5)
    assert [text.split("; ")[0] for text in words] == list(examination.classes or ())
    assert said(browser, "norms", ["Escape"]) == [""]


def test_the_pointer_says_the_nearest_point(browser: Any, report: Path) -> None:
    opened(browser, report)
    text, said_there = browser.execute_script(
        "const plot = document.querySelector('.plot[data-name$=predicted]'), svg = plot.querySelector('svg');"
        "const [x, y, , words] = JSON.parse(plot.dataset.points)[7], box = svg.getBoundingClientRect();"
        "const scale = box.width / svg.viewBox.baseVal.width;"
        "plot.dispatchEvent(new PointerEvent('pointermove',"
        "  {clientX: box.left + scale * x, clientY: box.top + scale * y}));"
        "return [words, plot.querySelector('.value.shown').textContent]"
    )
    assert text == said_there
    assert text.startswith("test row 7; true value ")


def test_series_are_switched_off_and_on(browser: Any, report: Path) -> None:
    opened(browser, report)
    states = browser.execute_script(
        "const plot = document.querySelector('.plot[data-name$=bench-time]'), panel = plot.closest('.panel');"
        "const button = panel.querySelector('.legend button'), states = [];"
        "const drawn = plot.querySelectorAll('[data-series=\"0\"]');"
        "for (let turn = 0; turn < 3; turn++) {"
        "  states.push([button.getAttribute('aria-pressed'), getComputedStyle(drawn[0]).display, drawn.length]);"
        "  button.click(); } return states"
    )
    assert states == [["true", "inline", 1], ["false", "none", 1], ["true", "inline", 1]]
    assert said(browser, "bench-time", ["ArrowRight"])[0].startswith("factor; training rows n 1,000")


def test_charts_are_saved_as_svg_png_and_csv(browser: Any, report: Path) -> None:
    opened(browser, report)
    saved = browser.execute_async_script(
        "const done = arguments[0], saved = [];"
        "URL.createObjectURL = blob => { blob.arrayBuffer().then(bytes => { saved.push([blob.type, bytes.byteLength,"
        "  new TextDecoder().decode(bytes)]); if (saved.length === 2) done(saved); }); return '#'; };"
        "HTMLAnchorElement.prototype.click = () => {};"
        "document.querySelectorAll('.panel .files')[0].querySelectorAll('button').forEach(b => b.click())"
    )
    files = {kind: (size, text) for kind, size, text in saved}
    svg = files["image/svg+xml"][1]
    assert svg.startswith("<svg")
    assert "var(" not in svg
    assert "currentColor" not in svg
    assert files["image/png"][0] > 5_000
    address = browser.execute_script("return document.querySelector('.files a').href")
    assert address.startswith("data:text/csv;charset=utf-8,point%2Cridge%20")


def test_it_prints(browser: Any, report: Path) -> None:
    opened(browser, report)
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") >= 4  # a chapter begins a page
