"""Debian's Chromium by Playwright: a page that fails its test by a request to elsewhere or an error in the console."""

import contextlib
import os
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("FASTSVC_PICTURES")  # a folder for screenshots: `make page-pictures`
SIZE = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
ARGUMENTS = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",  # the microphone is allowed without asking
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no name has an address
]


@contextlib.contextmanager
def chromium(microphone: Path):
    """A browser that hears a recording as its microphone; skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt install chromium")
    arguments = [*ARGUMENTS, f"--use-file-for-fake-audio-capture={microphone}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox does not run as root
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


class Visit:
    """A page of a new visitor. ``check``: of what it asked for and complained about."""

    def __init__(self, browser, url: str, **options):
        self.url, self.foreign, self.complaints = url, [], []
        options = {
            "viewport": SIZE,
            "permissions": ["microphone"],
            "accept_downloads": True,
            "locale": "en-GB",
        } | options
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(20_000)
        self.context.on("request", lambda request: self._asked(request.url))
        self.page = self.context.new_page()
        self.page.on("websocket", lambda socket: self._asked(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._told)
        self.page.goto("/")
        self.page.locator("#voice-list [role=option]").first.wait_for()

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(self.url).netloc:
            self.foreign.append(url)

    def _told(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location}")

    def check(self, *, expected: str | None = None) -> None:
        """``expected``: of a complaint that belongs to the test, such as a status that the browser reports."""
        assert self.foreign == []
        assert [line for line in self.complaints if expected is None or expected not in line] == []

    def close(self) -> None:
        self.context.close()

    def choose(self, *paths: Path) -> None:
        self.page.set_input_files("#files", list(map(str, paths)))

    def voice(self, name: str) -> None:
        self.page.get_by_role("option", name=name).first.click()

    def untransposed(self) -> None:
        self.page.locator("#transpose-kind label").last.click()
        self.page.fill("#transpose", "0")

    def convert(self) -> None:
        self.page.click("#convert")

    def card(self, state: str, number: int = 0):
        """The card of a job in a state, once there is one; the newest is number 0."""
        card = self.page.locator(f"#jobs [data-job][data-state={state}]").nth(number)
        card.wait_for(timeout=45_000)
        return card

    def until(self, reached, seconds: float = 20) -> None:
        """Wait until ``reached()``. Playwright's own wait_for_function is code from a text, which the page forbids."""
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end
            self.page.wait_for_timeout(30)

    def downloaded(self, selector) -> tuple[str, bytes]:
        """The name and the content of what a link brings."""
        with self.page.expect_download() as download:
            selector.click()
        return download.value.suggested_filename, Path(download.value.path()).read_bytes()

    def picture(self, name: str) -> None:
        """A screenshot, where they are asked for."""
        if PICTURES:
            self.page.evaluate("document.activeElement.blur()")
            self.page.screenshot(path=Path(PICTURES) / f"{name}.jpg", type="jpeg", quality=80, scale="css")


def painted(canvas) -> int:
    """How many different colours a canvas shows, of those of every seventh pixel."""
    return canvas.evaluate(
        """canvas => {
            const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const found = new Set();
            for (let i = 0; i < bytes.length; i += 28) found.add(bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2]);
            return found.size;
        }"""
    )


def serious(page) -> list[str]:
    """What axe finds that keeps people out: rule, and the elements."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
