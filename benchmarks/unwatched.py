"""A page as it is for a person: no tool keeps a copy of what it fetches.

Playwright sends ``Network.enable`` to each page of its own and to its workers, and Chromium then
keeps the answers to their requests, up to 200 MB for each who asked, in the page's own process. Of
map tiles that was two thirds of what a review seemed to cost. So memory is measured in a page that
Playwright did not open, over Playwright's connection.
"""

import contextlib
import itertools
import json
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0
POLL_MS = 20
NESTED = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
KEYS = {
    "Space": (" ", "Space", 32),
    **{digit: (digit, f"Digit{digit}", ord(digit)) for digit in "0123"},
    **{letter: (letter, f"Key{letter.upper()}", ord(letter.upper())) for letter in "nx"},
}  # what is typed, the key's place, the number that it had before it had a place


class UnwatchedPage:
    """A page in a browser context of its own, signed in like another.

    Args:
        like: a page of Playwright's, for its cookies and its connection; it stays open.
        size: width and height in pixels.
        watched: send ``Network.enable`` all the same, once: to see what that costs.

    Attributes:
        errors: what the page did not catch.
    """

    def __init__(self, like: Any, size: dict[str, int], *, watched: bool) -> None:  # noqa: ANN401
        self.errors: list[str] = []
        self._like = like
        self._watched = watched
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._workers: set[str] = set()
        self._browser = like.context.browser.new_browser_cdp_session()
        self._browser.on("Target.receivedMessageFromTarget", self._hear)
        self._session = self._opened(size)
        self.ask("Page.enable")
        self.ask("Runtime.enable")
        screen = {"deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", size | screen)
        self.ask("Emulation.setFocusEmulationEnabled", {"enabled": True})
        self.ask("Target.setAutoAttach", NESTED)
        if watched:
            self.ask("Network.enable")

    def _opened(self, size: dict[str, int]) -> str:
        context = self._browser.send("Target.createBrowserContext")["browserContextId"]
        cookies = [
            {name: one[name] for name in ("name", "value", "domain", "path", "httpOnly")}
            for one in self._like.context.cookies()
        ]
        self._browser.send("Storage.setCookies", {"cookies": cookies, "browserContextId": context})
        made = {"url": "about:blank", "browserContextId": context} | size
        target = self._browser.send("Target.createTarget", made)["targetId"]
        attached = self._browser.send(
            "Target.attachToTarget", {"targetId": target, "flatten": False}
        )
        return str(attached["sessionId"])

    def goto(self, url: str, script: str) -> None:
        """Open an address; the script runs before the page's own."""
        self.ask("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        self.ask("Page.navigate", {"url": url})

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        typed, code, number = KEYS[key]
        which = {"key": typed, "code": code, "windowsVirtualKeyCode": number}
        self.ask("Input.dispatchKeyEvent", {"type": "keyDown", "text": typed} | which)
        self.ask("Input.dispatchKeyEvent", {"type": "keyUp"} | which)

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401
        """The value of an expression, awaited if it is a promise. Raises RuntimeError."""
        params = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        told = self.ask("Runtime.evaluate", params)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def wait_for(self, selector: str, *, gone: bool = False) -> None:
        """Until an element is there, or none is. Raises TimeoutError."""
        is_there = f"document.querySelector({json.dumps(selector)}) !== null"
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(RuntimeError):  # between two documents
                if self.evaluate(is_there) is not gone:
                    return
            self.rest(POLL_MS)
        raise TimeoutError(f"{selector} is {'still' if gone else 'not'} there")

    def rest(self, milliseconds: float) -> None:
        """Let time pass while the connection is read."""
        self._like.wait_for_timeout(milliseconds)

    def held_mb(self) -> tuple[float, float, float]:
        """Of the page, of its workers, and its process after it was told that memory is short.

        Of the first two: JavaScript, the browser's objects for it, and buffers, once garbage is
        collected. A process also keeps what was collected for what comes next.
        """
        sessions = [None, *self._workers]
        for one in sessions:
            self.ask("HeapProfiler.collectGarbage", worker=one)
        page, *workers = (_in_use_mb(self.ask("Runtime.getHeapUsage", worker=w)) for w in sessions)
        self.ask("Memory.simulatePressureNotification", {"level": "critical"})
        self.rest(1000)
        return page, sum(workers), self.process_mb()

    def process_mb(self) -> float:
        """What the largest of the browser's page processes has for itself."""
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        largest = 0.0
        for pid in (one["id"] for one in processes if one["type"] == "renderer"):
            with contextlib.suppress(OSError):  # ended meanwhile
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                lines = dict(line.split(":", 1) for line in status.splitlines())
                largest = max(largest, int(lines["RssAnon"].split()[0]) / 1e3)
        return largest

    def ask(
        self, method: str, params: dict[str, Any] | None = None, worker: str | None = None
    ) -> dict[str, Any]:
        """What the page, or one of its workers, answers. Raises RuntimeError, TimeoutError."""
        number = self._tell(method, params or {}, worker)
        deadline = time.monotonic() + PATIENCE_S
        while number not in self._answers:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer to {method}")
            self._browser.send("Target.getTargets")  # while it waits, what comes in is heard
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _tell(self, method: str, params: dict[str, Any], worker: str | None = None) -> int:
        number = next(self._numbers)
        message = json.dumps({"id": number, "method": method, "params": params})
        if worker is not None:
            inner = {"sessionId": worker, "message": message}
            envelope = {"id": next(self._numbers), "method": "Target.sendMessageToTarget"}
            message = json.dumps(envelope | {"params": inner})
        self._browser.send(
            "Target.sendMessageToTarget", {"sessionId": self._session, "message": message}
        )
        return number

    def _hear(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if "id" in message:
            self._answers[message["id"]] = message
            return
        method, params = message["method"], message["params"]
        if method == "Target.receivedMessageFromTarget":
            self._hear(params)
        elif method == "Target.attachedToTarget":
            self._workers.add(params["sessionId"])
        elif method == "Target.detachedFromTarget":
            self._workers.discard(params["sessionId"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))


def _in_use_mb(usage: dict[str, float]) -> float:
    kinds = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
    return sum(usage[kind] for kind in kinds) / 1e6
