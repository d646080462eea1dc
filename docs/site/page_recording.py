"""Records the page as an animated WebP: `python -m docs.site.page_recording FILE.webp -- COMMAND …`.

The command serves the page (`sidecar demo --web`); it is ended afterwards. A search is typed, the model's weight is
moved, a hit is explained, and hits are judged. Chromium draws the frames, Pillow joins them.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

QUESTION = "start a function some seconds later"
SIZE = {"width": 1000, "height": 860}
PORT = 9291
# Seconds until the page must be served, with its index built and its model loaded.
READY = 300
_SET = """(slider, value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
}"""
_WITHOUT_TIMES = """() => {
    for (const one of document.querySelectorAll(".times, .summary .meta")) one.style.display = "none";
}"""


@dataclass
class Film:
    """Frames of a page, and how long each is shown, in ms."""

    page: Page
    frames: list[Image.Image] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def shoot(self, milliseconds: int) -> None:
        """Add what the page shows now, without times: they are those of the machine that draws."""
        self.page.evaluate(_WITHOUT_TIMES)
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        if self.frames and self.frames[-1].tobytes() == picture.tobytes():
            self.times[-1] += milliseconds
            return
        self.frames.append(picture)
        self.times.append(milliseconds)

    def written(self) -> bytes:
        """Return the animated WebP, which repeats."""
        target = io.BytesIO()
        first, *others = self.frames
        first.save(
            target, "WEBP", save_all=True, append_images=others, duration=self.times, loop=0, quality=60, method=6
        )
        return target.getvalue()


def record(page: Page) -> Film:
    """Search, move the weight, explain and judge on a page that is open, and return its frames."""
    film = Film(page)
    film.shoot(600)
    for end in range(4, len(QUESTION) + 4, 4):
        page.fill("#query", QUESTION[:end])
        film.shoot(120)
    page.press("#query", "Enter")
    page.wait_for_selector("body:not(.searching) .right .hit", timeout=120_000)
    page.wait_for_timeout(600)  # the cards move to their places
    film.shoot(2500)
    slider = page.locator(".right input[type=range]")
    for weight in (1, 0.8, 0.6, 0.4, 0.2, 0.05, 0.2, 0.4, 0.6, 0.8):
        slider.evaluate(_SET, weight)
        page.wait_for_timeout(400)
        film.shoot(450)
    page.locator(".right .hit-title").first.click()
    page.wait_for_timeout(300)
    film.shoot(3000)
    page.keyboard.press("Escape")
    for grade in "3001":
        page.keyboard.press(grade)
        page.wait_for_timeout(200)
        film.shoot(900)
    film.times[-1] += 1500
    return film


def main() -> None:
    """Run the command of the command line, record its page, and write the file."""
    target, dashes, *command = sys.argv[1:]
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if dashes != "--" or not command or browser is None:
        sys.exit(__doc__ if browser else "Chromium is not installed.")
    url = f"http://localhost:{PORT}"
    served = subprocess.Popen(command, env={**os.environ, "SIDECAR_API_PORT": str(PORT), "DISPLAY": ""})  # noqa: S603
    try:
        _await(url, served)
        with sync_playwright() as playwright:
            window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = window.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
            page.goto(f"{url}/ui?engine=lucene&index=python&timeout=60000", wait_until="networkidle")
            film = record(page)
            window.close()
    finally:
        served.terminate()
        served.wait(60)
    partial = Path(f"{target}.partial")
    partial.write_bytes(film.written())
    partial.replace(target)


def _await(url: str, served: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + READY
    while time.monotonic() < ends and served.poll() is None:
        try:
            if urllib.request.urlopen(f"{url}/health", timeout=5).status == 200:  # noqa: S310  our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    sys.exit("the command does not serve the page")


if __name__ == "__main__":
    main()
