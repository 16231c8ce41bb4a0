"""A scripted analyst in Chromium: what a person at the keyboard waits for, building after building.

    python -m benchmarks.analyst [--buildings 200000] [--side 20000] [--reviewed 500]
                                 [--pause 2000] [--watched]

On the assessment of ``benchmarks.workbench``. The aims: from a key press to the next building
painted and the map told 100 ms at the 95th percentile; queue and list usable within 2.5 s on a line
of 5 Mbit/s, before the map's code has arrived; 500 buildings without an error and with no more than
50 MB of growth. Frame times of the map are told only: this browser draws in software. ``--watched``
lets the browser keep a copy of what the page fetches, as any page of Playwright's does.
"""

import argparse
import os
import random
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.unwatched import UnwatchedPage
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
new Promise((resolve) => {
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
    parser.add_argument("--watched", action="store_true", help="keep copies of what is fetched")
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
            _sit_down(bench, url, args)


def _order_now(bench: Bench) -> None:
    from unosat.ops import jobs
    from unosat.review import tasks

    jobs.enqueue("order", bench.row.pk, bench.organisation.pk)
    tasks.order(str(bench.row.pk))


def _sit_down(bench: Bench, url: str, args: argparse.Namespace) -> None:
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
        address = f"assessments/{bench.row.pk}/"
        _on_a_slow_line(page, f"/{address}")
        page.goto("about:blank")
        mine = UnwatchedPage(page, SIZE, watched=args.watched)
        _review(mine, url + address, args.reviewed, args.pause)
        print(f"map frames while it is still: {summary(mine.evaluate(FRAMES))}")
        print(f"errors in the page: {wrong + mine.errors or 'none'}")
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


def _review(page: UnwatchedPage, address: str, reviewed: int, pause: int) -> None:
    """Decide on so many buildings with single keys, one after the other."""
    page.goto(address, WATCH)
    page.wait_for("#map[data-map-idle=true]")
    chance = random.Random(2)  # noqa: S311
    page.press("n")
    page.wait_for("[data-building]")
    processes, held = [], []
    began = time.perf_counter()
    for number in range(reviewed):
        uid = page.evaluate("document.querySelector('[data-building]').dataset.building")
        page.press(chance.choice(KEYS))
        page.wait_for(f"[data-building]:not([data-building='{uid}'])[aria-busy=false]")
        page.rest(pause)
        if number % WARM == 0:
            processes.append(page.process_mb())
        if number in {WARM, reviewed - 1}:
            held.append(page.held_mb())
    spent = time.perf_counter() - began
    print(f"every {WARM} buildings, MB of the page's process: {_rounded(processes)}")
    for number, (page_mb, workers_mb, process_mb) in zip((WARM, reviewed), held, strict=True):
        print(
            f"after {number} buildings, garbage collected, MB in use by the page {page_mb:.1f}, "
            f"by its workers {workers_mb:.1f}; its process {process_mb:.0f}"
        )
    page.wait_for("[data-waiting]", gone=True)
    waits: list[tuple[float, float]] = page.evaluate("window.waits")
    changed, painted = [one for one, _ in waits], [one for _, one in waits]
    print(f"key press to the next building in the panel: {summary(changed)}, of {len(changed)}")
    print(f"key press to the next building painted:      {summary(painted)}")
    presented = page.evaluate("window.presented")
    print(f"key press to a frame on the screen:          {summary(presented)}")
    print(f"{reviewed} buildings in {spent:.0f} s by a script that does not look")


def _rounded(amounts: Sequence[float]) -> str:
    return " ".join(f"{amount:.0f}" for amount in amounts)


def _say_what_was_stored(bench: Bench) -> None:
    from unosat.review.models import Decision

    bench.user.refresh_from_db()
    mine = Decision.objects.filter(assessment=bench.row, made_at__gte=bench.user.last_login)
    twice = mine.count() - mine.values("building").distinct().count()
    print(f"{mine.count()} decisions stored, {twice} of them on a building decided on twice")


if __name__ == "__main__":
    main()
