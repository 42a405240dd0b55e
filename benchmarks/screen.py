"""The screen in a headless browser: weight, first paint, its tasks under updates, memory, and what it costs."""

import asyncio
import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.orders import cpu_medians, create_journal, load
from benchmarks.scale import Scale
from benchmarks.servers import Server, exchange_arguments, running
from benchmarks.table import Goal, Row, median, skipped
from exchange.gateway.screen import FOLDER

_WEIGHT_GOAL = Goal(figure=400, at_most=True)
_PAINT_GOAL = Goal(figure=1_000, at_most=True)
_TASK_GOAL = Goal(figure=50, at_most=True)
_HEAP_GOAL = Goal(ratio=1.1, at_most=True)
_COST_GOAL = Goal(ratio=0.95)
# Orders a second on the instrument that the page shows, while the length of its tasks is measured.
_UPDATES_A_SECOND = 50
# Tasks shorter than this have no part in a percentile: an idle page has thousands of them.
_TASK_LEAST_US = 100


def run(scale: Scale) -> list[Row]:
    """Five rows. The load is the one of `orders`; the demo quotes while the memory is measured."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or not (FOLDER / "index.html").exists():
        return [skipped("screen", "it needs Chromium and the built screen: make web")]
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "bench.db"
        asyncio.run(create_journal(db))
        with running(*exchange_arguments(db)) as exchange, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            rows = [_weight(), _first_paint(browser, exchange, scale)]
            rows += [_tasks(browser, exchange, scale), _cost(browser, exchange, scale), _heap(browser, exchange, scale)]
            browser.close()
    return rows


def _open(browser: Browser, exchange: Server) -> Page:
    page = browser.new_page(viewport={"width": 1_280, "height": 900})
    page.goto(exchange.url.replace("ws://", "http://"))
    page.wait_for_selector(".is-open")
    page.wait_for_selector("table.chain tbody tr")
    return page


def _weight() -> Row:
    scripts = [gzip.compress(file.read_bytes()) for file in FOLDER.glob("assets/*.js")]
    return Row("screen, script", sum(map(len, scripts)) / 1_024, "KiB gzipped", goal=_WEIGHT_GOAL)


def _first_paint(browser: Browser, exchange: Server, scale: Scale) -> Row:
    paints = []
    for _ in range(scale.rounds):
        page = _open(browser, exchange)
        found = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
        paints.append(float(page.evaluate(found)))
        page.close()
    return Row("screen, first paint", median(paints), "ms", goal=_PAINT_GOAL)


def _tasks(browser: Browser, exchange: Server, scale: Scale) -> Row:
    page = _open(browser, exchange)
    name = str(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('i')"))
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
    page.evaluate(_UPDATES, [exchange.url, name, _UPDATES_A_SECOND, 1_000 * max(1.0, 4 * scale.seconds)])
    events = json.loads(browser.stop_tracing())["traceEvents"]
    page.close()
    lengths = sorted(_task_lengths_ms(events))
    if not lengths:
        return skipped("screen, tasks of the main thread", "the browser traced none")
    p95_ms = lengths[int(0.95 * (len(lengths) - 1))]
    note = f"{_UPDATES_A_SECOND} updates/s; longest {lengths[-1]:.0f} ms of {len(lengths)} tasks"
    return Row("screen, tasks of the main thread, 95th percentile", p95_ms, "ms", goal=_TASK_GOAL, note=note)


# Orders at so many a second, from a connection beside that of the page.
_UPDATES = """
([url, name, perSecond, ms]) => new Promise(resolve => {
    const socket = new WebSocket(url);
    let id = 0, sent = 0;
    const send = (method, params) => socket.send(JSON.stringify({ jsonrpc: "2.0", id: ++id, method, params }));
    socket.onopen = () => {
        send("public/auth", { grant_type: "client_credentials", client_id: "updater", client_secret: "" });
        const timer = setInterval(() => {
            const price = 10000 * (100 + sent++ % 40);
            send("private/buy", { instrument_id: name, amount: 1000, price, post_only: true });
            if (sent % 20 === 0) send("private/cancel_all", { instrument_id: name });
            if (sent >= perSecond * ms / 1000) { clearInterval(timer); socket.close(); resolve(sent); }
        }, 1000 / perSecond);
    };
})
"""


def _task_lengths_ms(events: list[dict[str, Any]]) -> list[float]:
    """The lengths of the tasks of the main thread of the page."""
    main = {(one["pid"], one["tid"]) for one in events if one.get("args", {}).get("name") == "CrRendererMain"}
    return [
        one["dur"] / 1_000
        for one in events
        if one.get("ph") == "X"
        and one["name"].endswith("RunTask")
        and (one["pid"], one["tid"]) in main
        and one["dur"] >= _TASK_LEAST_US
    ]


def _cost(browser: Browser, exchange: Server, scale: Scale) -> Row:
    with_it, without = [], []
    for _ in range(scale.rounds):
        without.append(load(exchange, scale))
        page = _open(browser, exchange)
        with_it.append(load(exchange, scale))
        page.close()
    main_us = [cpu_medians(reports)["main thread"] for reports in (with_it, without)]
    note = f"CPU of the main thread: {main_us[0]:.1f} µs/order with it, {main_us[1]:.1f} without"
    rates = [median([report.answers_per_second for report in reports]) for reports in (with_it, without)]
    return Row("orders, a screen open", rates[0], "orders/s", rates[1], "none open", _COST_GOAL, note)


def _heap(browser: Browser, exchange: Server, scale: Scale) -> Row:
    page = _open(browser, exchange)
    session = page.context.new_cdp_session(page)

    def heap_mib() -> float:
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20

    seconds = 60 * scale.minutes
    page.wait_for_timeout(1_000 * min(30.0, seconds / 4))
    begin_mib = heap_mib()
    page.wait_for_timeout(1_000 * seconds)
    end_mib = heap_mib()
    page.close()
    note = f"after {scale.minutes:g} minutes"
    return Row("screen, heap of the tab", end_mib, "MiB", begin_mib, "at the begin", _HEAP_GOAL, note)
