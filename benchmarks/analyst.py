"""A scripted analyst in Chromium: what a person at the keyboard waits for, building after building.

    python -m benchmarks.analyst [--buildings 200000] [--side 20000] [--reviewed 500]
                                 [--pause 2000]

On the assessment of ``benchmarks.workbench``. The aims: from a key press to the next building
painted and the map told 100 ms at the 95th percentile; queue and list usable within 2.5 s on a line
of 5 Mbit/s, before the map's code has arrived; 500 buildings without an error and with no more than
50 MB of growth. Frame times of the map are told only: this browser draws in software.
"""

import argparse
import contextlib
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.workbench import Bench, _web, summary

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright's loop runs in this thread

LINE = {
    "offline": False,
    "latency": 40,  # ms
    "downloadThroughput": 5e6 / 8,  # bytes a second of 5 Mbit/s
    "uploadThroughput": 1e6 / 8,
}
KEYS = ("Space", "0", "1", "2", "3", "x")
WARM = 50  # buildings between two looks at the memory
SIZE = {"width": 1440, "height": 900}  # px

# From the press of a key: until another building is in the panel; until the second frame after
# that, when the first one that shows it has been painted; and until the browser says that a frame
# was on the screen, which here waits for the software that stands in for a graphics card.
WATCH = """
  window.waits = [];
  window.presented = [];
  let pressed = null;
  let last;
  addEventListener("keydown", (event) => { pressed = event.timeStamp; }, true);
  new MutationObserver(() => {
    const now = document.querySelector("[data-building]")?.dataset.building;
    if (now === undefined || now === last) return;
    last = now;
    const began = pressed;
    pressed = null;
    if (began === null) return;
    const changed = performance.now() - began;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      window.waits.push([changed, performance.now() - began]);
    }));
  }).observe(document, { subtree: true, childList: true, attributes: true });
  new PerformanceObserver((list) => {
    const keys = list.getEntries().filter(({ name }) => name === "keydown");
    window.presented.push(...keys.map(({ duration }) => duration));
  }).observe({ type: "event", durationThreshold: 16 });
"""
FRAMES = """
() => new Promise((resolve) => {
  const frames = [];
  let last = performance.now();
  const step = (now) => {
    frames.push(now - last);
    last = now;
    if (frames.length < 60) requestAnimationFrame(step);
    else resolve(frames.slice(1));
  };
  requestAnimationFrame(step);
})
"""


def main(arguments: list[str] | None = None) -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analyst")
    parser.add_argument("--buildings", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=20_000, help="of the scene, in pixels")
    parser.add_argument("--reviewed", type=int, default=500)
    parser.add_argument(
        "--pause", type=int, default=500, help="ms before each key; people take 3 s"
    )
    args = parser.parse_args(arguments)
    if args.reviewed <= WARM:
        parser.error(f"growth is told from building {WARM} on: review more than that")

    import django

    from tests import private_servers

    django.setup()
    with private_servers.running():
        bench = Bench(args.buildings, args.side, rounds=1)
        _order_now(bench)
        with _web() as (url, _):
            _sit_down(bench, url, args.reviewed, args.pause)


def _order_now(bench: Bench) -> None:
    from unosat.ops import jobs
    from unosat.review import tasks

    jobs.enqueue("order", bench.row.pk, bench.organisation.pk)
    tasks.order(str(bench.row.pk))


def _sit_down(bench: Bench, url: str, reviewed: int, pause: int) -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CHROMIUM, SOFTWARE_WEBGL

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_WEBGL)
        context = browser.new_context(viewport=SIZE, base_url=url)  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        page = context.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        _sign_in(page, bench)
        address = f"/assessments/{bench.row.pk}/"
        _on_a_slow_line(page, address)
        _review(page, address, reviewed, pause)
        frames = page.evaluate(FRAMES)
        print(f"map frames while it is still: {summary(frames)}")
        print(f"errors in the page: {wrong or 'none'}")
        browser.close()
    _say_what_was_stored(bench)


def _sign_in(page: Any, bench: Bench) -> None:  # noqa: ANN401
    from django.contrib.auth.hashers import make_password

    from benchmarks.workbench import PASSWORD

    bench.user.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    bench.user.save()
    page.goto("/accounts/login/")
    page.fill("[name=username]", bench.user.username)
    page.fill("[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_load_state("networkidle")


def _on_a_slow_line(page: Any, address: str) -> None:  # noqa: ANN401
    """Open the page with an empty cache at 5 Mbit/s."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.clearBrowserCache")
    devtools.send("Network.emulateNetworkConditions", LINE)
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector("[data-queue] [data-coming]")
    listed = time.perf_counter() - began
    page.keyboard.press("n")
    page.wait_for_selector("[data-building]")
    picked = time.perf_counter() - began
    has_map = page.locator("#map canvas").count() > 0
    page.wait_for_selector("#map[data-map-idle=true]", timeout=120_000)
    drawn = time.perf_counter() - began
    print(
        f"at 5 Mbit/s, nothing cached: queue after {listed:.2f} s, first building picked after "
        f"{picked:.2f} s ({'with' if has_map else 'before'} the map), map drawn after {drawn:.2f} s"
    )
    devtools.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )


def _review(page: Any, address: str, reviewed: int, pause: int) -> None:  # noqa: ANN401
    """Decide on so many buildings with single keys, one after the other."""
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_selector("#map[data-map-idle=true]", timeout=120_000)
    chance = random.Random(2)  # noqa: S311
    page.keyboard.press("n")
    page.wait_for_selector("[data-building]")
    everybody = _Heaps(page)
    processes, held = [], []
    began = time.perf_counter()
    for number in range(reviewed):
        uid = page.get_attribute("[data-building]", "data-building")
        page.keyboard.press(chance.choice(KEYS))
        page.wait_for_selector(f"[data-building]:not([data-building='{uid}'])[aria-busy=false]")
        page.wait_for_timeout(pause)
        if number % WARM == 0:
            processes.append(_renderer_mb(page))
        if number in {WARM, reviewed - 1}:
            held.append(everybody.held_mb())
    spent = time.perf_counter() - began
    print(f"every {WARM} buildings, MB of the page's process: {_rounded(processes)}")
    for number, (page_mb, workers_mb, process_mb) in zip((WARM, reviewed), held, strict=True):
        print(
            f"after {number} buildings, garbage collected, MB in use by the page {page_mb:.1f}, "
            f"by its workers {workers_mb:.1f}; its process {process_mb:.0f}"
        )
    page.wait_for_selector("[data-waiting]", state="detached", timeout=300_000)
    waits: list[tuple[float, float]] = page.evaluate("() => window.waits")
    changed, painted = [one for one, _ in waits], [one for _, one in waits]
    print(f"key press to the next building in the panel: {summary(changed)}, of {len(changed)}")
    print(f"key press to the next building painted:      {summary(painted)}")
    presented = page.evaluate("() => window.presented")
    print(f"key press to a frame on the screen:          {summary(presented)}")
    print(f"{reviewed} buildings in {spent:.0f} s by a script that does not look")


def _rounded(amounts: Sequence[float]) -> str:
    return " ".join(f"{amount:.0f}" for amount in amounts)


class _Heaps:
    """What the page and its workers use: JavaScript, the browser's objects for it, and buffers.

    A process keeps what was collected for what comes next, so its size says little of a leak.
    """

    def __init__(self, page: Any) -> None:  # noqa: ANN401
        self._page = page
        self._devtools = page.context.new_cdp_session(page)
        self._workers: set[str] = set()
        self._answers: list[dict[str, Any]] = []
        self._devtools.on(
            "Target.attachedToTarget", lambda event: self._workers.add(event["sessionId"])
        )
        self._devtools.on(
            "Target.detachedFromTarget", lambda event: self._workers.discard(event["sessionId"])
        )
        self._devtools.on(
            "Target.receivedMessageFromTarget",
            lambda event: self._answers.append(json.loads(event["message"])),
        )
        self._devtools.send(
            "Target.setAutoAttach",
            {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False},
        )

    def held_mb(self) -> tuple[float, float, float]:
        """Of the page, of its workers, and its process after it was told that memory is short."""
        self._devtools.send("HeapProfiler.collectGarbage")
        self._ask_workers("HeapProfiler.collectGarbage")
        page = _in_use_mb(self._devtools.send("Runtime.getHeapUsage"))
        workers = sum(map(_in_use_mb, self._ask_workers("Runtime.getHeapUsage")))
        self._devtools.send("Memory.simulatePressureNotification", {"level": "critical"})
        self._page.wait_for_timeout(1000)
        return page, workers, _renderer_mb(self._page)

    def _ask_workers(self, method: str) -> list[dict[str, float]]:
        self._answers.clear()
        for session in self._workers:
            message = json.dumps({"id": 1, "method": method})
            self._devtools.send(
                "Target.sendMessageToTarget", {"sessionId": session, "message": message}
            )
        for _ in range(100):
            told = [one["result"] for one in self._answers if one.get("id") == 1]
            if len(told) == len(self._workers):
                return told
            self._page.wait_for_timeout(100)
        raise RuntimeError(f"{len(self._workers)} workers, of which {len(told)} answered {method}")


def _in_use_mb(usage: dict[str, float]) -> float:
    kinds = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")
    return sum(usage[kind] for kind in kinds) / 1e6


def _renderer_mb(page: Any) -> float:  # noqa: ANN401
    """What the largest of the browser's page processes has for itself."""
    devtools = page.context.browser.new_browser_cdp_session()
    processes = devtools.send("SystemInfo.getProcessInfo")["processInfo"]
    devtools.detach()
    largest = 0.0
    for pid in (one["id"] for one in processes if one["type"] == "renderer"):
        with contextlib.suppress(OSError):  # ended meanwhile
            status = Path(f"/proc/{pid}/status").read_text()
            lines = dict(line.split(":", 1) for line in status.splitlines())
            largest = max(largest, int(lines["RssAnon"].split()[0]) / 1e3)
    return largest


def _say_what_was_stored(bench: Bench) -> None:
    from unosat.review.models import Decision

    bench.user.refresh_from_db()
    mine = Decision.objects.filter(assessment=bench.row, made_at__gte=bench.user.last_login)
    twice = mine.count() - mine.values("building").distinct().count()
    print(f"{mine.count()} decisions stored, {twice} of them on a building decided on twice")


if __name__ == "__main__":
    main()
