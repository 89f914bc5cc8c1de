"""The explorers in a real browser, by the keyboard. Skipped where Chromium is missing."""

import shutil
import sys
import time
from pathlib import Path

import pytest
from lab import ROOT, lab

CHROMIUM = (
    shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX"),
]


@pytest.fixture(scope="module")
def artefacts() -> Path:
    folder = ROOT / "test-artefacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    playwright = pytest.importorskip("playwright.sync_api")
    copy = tmp_path_factory.mktemp("browser")
    # A copy: JupyterLab saves what it runs.
    for name in ("08_cutmix.ipynb", "09_schedules.ipynb"):
        shutil.copy(ROOT / "notebooks" / name, copy)
    with (
        lab(copy, COURSE_PROFILE="quick") as (url, token, _),
        playwright.sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        page.lab_url, page.lab_token = url, token
        yield page
        browser.close()


def open_and_run(page, name: str) -> None:
    """Open a notebook in JupyterLab, run all cells, wait until the kernel is idle again."""
    page.goto(f"{page.lab_url}/lab/tree/{name}?token={page.lab_token}&reset")
    idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    idle.wait_for(timeout=90_000)
    # Until JupyterLab has tied the notebook to its kernel; before, Run All asks for one.
    time.sleep(2.5)
    if page.locator(".jp-Dialog").count():
        page.locator(".jp-Dialog .jp-mod-accept").click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    last = page.locator(".jp-CodeCell .jp-InputPrompt").last
    deadline = time.monotonic() + 240
    while not last.inner_text().strip("[]: \n").isdigit():
        assert time.monotonic() < deadline, (
            f"{name} did not finish; the last prompt says {last.inner_text()!r}"
        )
        time.sleep(0.5)


def picture(explorer) -> str:
    return explorer.locator("img.widget-image, .widget-image img, img").first.get_attribute(
        "src"
    )


def press_until_changed(page, explorer, slider: int, key: str) -> float:
    """Press a key on a slider; return the seconds until the picture is another one."""
    before = picture(explorer)
    handle = explorer.locator(".noUi-handle").nth(slider)
    handle.scroll_into_view_if_needed()
    handle.focus()
    began = time.monotonic()
    page.keyboard.press(key)
    while picture(explorer) == before:
        assert time.monotonic() - began < 10, "the picture did not follow the slider"
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("name", "explorers"), [("08_cutmix.ipynb", 1), ("09_schedules.ipynb", 2)]
)
def test_explorers_follow_the_keyboard(page, artefacts, name, explorers):
    open_and_run(page, name)
    found = page.locator(".jp-OutputArea-output:has(.noUi-handle)")
    assert found.count() == explorers
    for number in range(explorers):
        explorer = found.nth(number)
        explorer.scroll_into_view_if_needed()
        for slider in range(explorer.locator(".noUi-handle").count()):
            first = press_until_changed(page, explorer, slider, "ArrowRight")
            assert first < 5
        explorer.screenshot(path=artefacts / f"{Path(name).stem}_{number}.png")
    assert not page.locator(
        ".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']"
    ).count()
