"""A real browser for tests: Chromium, driven over its debugging pipe, without a port or a driver.

page = chromium.open(path.as_uri())
page.until("document.querySelectorAll('.main-svg').length > 0")
page.click("#orders tbody tr")
assert page.errors == [] and page.requests == [path.as_uri()]
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0
"""Seconds that any one thing may take, on a machine that is busy with other things."""
OPTIONS = (
    "--headless",
    "--no-sandbox",  # a container's root may not have one
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--remote-debugging-pipe",
)


def program() -> str | None:
    """Where a Chromium is, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """A running browser."""

    def __init__(self, reads: int, writes: int) -> None:
        self.reads, self.writes = reads, writes
        self.rest, self.last = b"", 0
        self.pages: dict[str, Page] = {}

    def open(self, url: str, *, width: int = 1280, height: int = 900) -> "Page":
        """A new page that has loaded."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.ask(f"{domain}.enable")
        page.resize(width, height)
        page.ask("Page.navigate", url=url)
        page.until(f"document.readyState === 'complete' && location.href !== {'about:blank'!r}")
        return page

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """What the browser answers; events that come in between are handed to their pages."""
        self.last += 1
        message: dict[str, Any] = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                found: dict[str, Any] = answer["result"]
                return found
            if answer.get("sessionId") in self.pages:
                self.pages[answer["sessionId"]].heard(answer["method"], answer["params"])

    def read(self) -> dict[str, Any]:
        """The next message."""
        while b"\0" not in self.rest:
            if not select.select([self.reads], [], [], PATIENCE)[0]:
                raise TimeoutError(f"the browser has said nothing for {PATIENCE:.0f} seconds")
            chunk = os.read(self.reads, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self.rest += chunk
        line, _, self.rest = self.rest.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found


class Page:
    """One page: what it asked the network for, and what its console calls an error."""

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self.browser, self.session, self.target = browser, session, target
        self.errors: list[str] = []
        self.requests: list[str] = []

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """What the browser answers to a message about this page."""
        return self.browser.ask(method, self.session, **params)

    def heard(self, event: str, params: dict[str, Any]) -> None:
        """Takes in an event of the page."""
        match event:
            case "Network.requestWillBeSent" if not params["request"]["url"].startswith(("data:", "blob:")):
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(params["exceptionDetails"])[:2000])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.errors.append(json.dumps(params["args"])[:2000])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def run(self, code: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{code}: {json.dumps(answer['exceptionDetails'])[:1000]}")
        return answer["result"].get("value")

    def until(self, code: str, seconds: float = PATIENCE) -> None:
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({code})"):
            if time.monotonic() > end:
                raise TimeoutError(f"not true after {seconds:.0f} seconds: {code}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """A press of the left mouse button on the middle of an element, which is scrolled into view."""
        where = (
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        x, y = self.run(where)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def press(self, key: str) -> None:
        """A key pressed and let go, such as Tab, Enter or ArrowDown."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowUp": 38, "ArrowDown": 40}
        text = {"Enter": "\r", " ": " "}.get(key)
        given = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": codes[key]}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **given, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **given)

    def type(self, text: str) -> None:
        """Text into whatever has the focus."""
        self.ask("Input.insertText", text=text)

    def resize(self, width: int, height: int = 900) -> None:
        """A window of so many pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def picture(self, path: Path, *, whole: bool = False) -> Path:
        """A PNG of the window, or of the whole page."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def paper(self, path: Path) -> Path:
        """The page as a printer would have it, as PDF."""
        path.write_bytes(base64.b64decode(self.ask("Page.printToPDF")["data"]))
        return path

    def close(self) -> None:
        """Ends the page."""
        del self.browser.pages[self.session]
        self.browser.ask("Target.closeTarget", targetId=self.target)


def _pipe() -> tuple[int, int]:
    """Both ends of a pipe, with numbers that stand in nobody's way."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


@contextmanager
def running(folder: Path) -> Iterator[Chromium]:
    """A browser whose profile, cache and home are in a folder of its own."""
    command = program()
    if command is None:
        raise FileNotFoundError("no Chromium: one of " + ", ".join(NAMES) + " has to be on the path")
    (heard, writes), (reads, said) = _pipe(), _pipe()
    # The browser reads its commands from file 3 and answers on file 4.
    script = f'exec 3<&{heard} 4>&{said} {heard}<&- {said}>&-; exec "$@"'
    words = [command, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    child = subprocess.Popen(
        ["bash", "-c", script, "chromium", *words],
        pass_fds=(heard, said),
        env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(heard)
    os.close(said)
    browser = Chromium(reads, writes)
    try:
        yield browser
        browser.ask("Browser.close")
        child.wait(PATIENCE)
    finally:
        child.kill()
        child.wait()
        os.close(reads)
        os.close(writes)
