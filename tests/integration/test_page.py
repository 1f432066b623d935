"""The page in a real browser: under load, in an outage, with hostile dead letters, without a worker."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from lab.lab import Lab
from tests.faults.harness.proxy import Proxy
from tests.integration.conftest import program
from tests.integration.test_serve import serving
from tests.support.chain import Chain, record
from tests.support.served import Served
from tests.support.shell import Operator
from workers.commands.serve.page_files import page_routes

pytestmark = pytest.mark.integration

#: Milliseconds until the page shows what the server knows.
SHOWN_MS = 30_000

#: Markup, a control sequence that clears a terminal, and a formula: all must be text.
HOSTILE = b'<script>window.hacked=1</script><img src=x onerror="window.hacked=1">\x1b[2J{'

#: What axe calls these must not be found.
SERIOUS = {"serious", "critical"}

#: A folder that gets a picture of each state, if it is set.
PICTURES = os.environ.get("PICTURES", "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, which resolves no name and does nothing of its own on the network."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=program("chromium", "chromium"),
            args=[
                "--no-sandbox",
                "--disable-background-networking",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )


class View:
    """The page of one pool in the browser, with everything it asked for and complained of."""

    def __init__(self, browser: Browser, served: Served, **how: Any) -> None:
        self._url = served.url
        self.page: Page = browser.new_page(**({"viewport": {"width": 1100, "height": 900}} | how))
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", self._on_request)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type == "error" else None,
        )
        self.page.goto(f"{served.url}/")

    def _on_request(self, request: Request) -> None:
        self.asked.append(request.url)

    def shows(self, selector: str, text: str) -> None:
        """Wait until an element has this text."""
        expect(self.page.locator(selector).first).to_contain_text(text, timeout=SHOWN_MS)

    def column(self, number: int) -> list[str]:
        """The texts of one column of the partitions, from 0."""
        cells = self.page.locator(f"#partitions tbody tr > :nth-child({number + 1})")
        return [text.strip() for text in cells.all_inner_texts()]

    def serious(self) -> list[str]:
        """What axe finds serious on the page."""
        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['help']}" for each in found if each["impact"] in SERIOUS]

    def picture(self, name: str) -> None:
        """Keep a picture of the page, if somebody wants one."""
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"page-{name}.png", full_page=True)

    def close(self) -> None:
        """Nothing was asked of another machine, nothing failed; then the page is closed."""
        assert [url for url in self.asked if not url.startswith(f"{self._url}/")] == []
        assert self.complaints == []
        self.page.close()


@pytest.fixture
def view(browser: Browser) -> Iterator[Callable[..., View]]:
    """Opens pages, all checked and closed at the end."""
    views: list[View] = []

    def make(served: Served, **how: Any) -> View:
        views.append(View(browser, served, **how))
        return views[-1]

    yield make
    for each in views:
        each.close()


def test_the_page_shows_the_figures_of_status_and_the_devices(
    chain: Callable[..., Chain], view: Callable[..., View]
) -> None:
    pipeline, served = serving(chain)
    shown = view(served)
    shown.shows("#verdict", "No problem found")
    shown.picture("idle")

    pipeline.produce(record(seq) for seq in range(3_000))
    pipeline.drain()

    shown.shows("#sums", "Stored3,000")
    shown.shows("#sums", "Lag in records0")
    rows = Operator(pipeline).json("status")["partitions"]
    assert [int(text.replace(",", "")) for text in shown.column(5)] == [row["written"] for row in rows]
    assert [text.split()[0] for text in shown.column(0)] == [str(row["partition"]) for row in rows]
    assert shown.column(1) == [row["state"] for row in rows]
    shown.shows("#lab", "pi-4")
    assert shown.page.locator("#lab figure").count() == 6
    shown.picture("load")


def test_a_legend_of_many_devices_lists_the_highest_and_says_how_many_more(
    chain: Callable[..., Chain], view: Callable[..., View]
) -> None:
    """Thirty devices, of which the page asks for twelve, with four counters each in the last plot."""
    pipeline, served = serving(chain)
    shown = view(served)
    pipeline.produce(
        record(seq, deviceId=f"pi-{seq % 30:02}", tx_errors=seq % 30 + 1) for seq in range(300)
    )
    pipeline.drain()

    shown.shows("#lab-note", "Only the first 12 devices are plotted")
    shown.shows("#lab figure:last-child .more", "and 36 more, each at most 0")
    legend = shown.page.locator("#lab figure:last-child .legend li").all_inner_texts()
    assert [text.strip() for text in legend] == [
        *(f"pi-{device:02} txError {device + 1}" for device in range(12)),
        "and 36 more, each at most 0",
    ]
    assert shown.page.locator("#lab figure:last-child .plot path").count() == 48
    assert shown.page.locator("#lab figure:first-child .legend li").count() == 12
    shown.picture("many-devices")


def test_an_outage_is_shown_with_the_remedy_of_status(
    chain: Callable[..., Chain], lab: Lab, view: Callable[..., View]
) -> None:
    with Proxy(lab.influxdb.url) as proxy:
        pipeline, served = serving(chain, TOWER_INFLUXDB_URL=proxy.url)
        shown = view(served)
        shown.shows("#lab-note", "from InfluxDB")
        proxy.down()
        pipeline.produce(record(seq) for seq in range(30))

        shown.shows("#troubles", "is waiting")
        shown.shows("#lab-note", "does not answer")
        troubles = Operator(pipeline).json("status")["troubles"]
        assert {trouble["remedy"] for trouble in troubles} <= {
            text.removeprefix("→ ") for text in shown.page.locator("#troubles p + p").all_inner_texts()
        }
        shown.picture("outage")

        proxy.up()
        pipeline.drain()
        shown.shows("#verdict", "No problem found")


def test_a_hostile_dead_letter_is_text(chain: Callable[..., Chain], view: Callable[..., View]) -> None:
    pipeline, served = serving(chain)
    shown = view(served)
    pipeline.produce([HOSTILE], partition=0)
    pipeline.drain()

    shown.shows("#dead pre", HOSTILE.decode().replace("\x1b", "\\x1b"))
    assert shown.page.locator("#dead script, #dead img").count() == 0
    assert shown.page.evaluate("window.hacked === undefined")
    shown.picture("dead-letters")


def test_a_worker_that_is_killed_and_a_server_that_is_gone_are_shown(
    chain: Callable[..., Chain], view: Callable[..., View]
) -> None:
    pipeline, served = serving(chain)
    shown = view(served)
    shown.shows("#verdict", "No problem found")

    pipeline.pool.control("stop", "worker:1")
    shown.shows("#troubles", "worker 1 is stopped")
    shown.shows("#sums", "Workers running2 of 3")
    shown.picture("killed")

    pipeline.pool.control("stop", "serve")
    shown.shows("#verdict", "No answer from tower serve")
    # The browser itself reports each request that nothing answers.
    assert shown.complaints
    shown.complaints.clear()
    shown.page.goto("about:blank")
    shown.complaints.clear()


def test_nothing_serious_stands_in_anybodys_way(
    chain: Callable[..., Chain], view: Callable[..., View]
) -> None:
    pipeline, served = serving(chain)
    pipeline.produce([HOSTILE], partition=0)
    pipeline.produce(record(seq) for seq in range(100))
    pipeline.pool.control("stop", "worker:1")
    for how in ({}, {"color_scheme": "dark"}, {"viewport": {"width": 400, "height": 800}}):
        shown = view(served, **how)
        shown.shows("#troubles", "worker 1 is stopped")
        shown.shows("#lab", "Memory available")
        shown.shows("#dead pre", "<script>")

        assert shown.serious() == [], how
        assert shown.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), how
        shown.page.keyboard.press("Tab")
        assert shown.page.evaluate("document.activeElement.className") == "skip"
        shown.page.keyboard.press("Tab")
        shown.page.keyboard.press("Enter")
        assert shown.page.locator("#pause").get_attribute("aria-pressed") == "true"


def test_the_plots_miss_no_sample_whatever_answers_the_page_missed(browser: Browser) -> None:
    """history.js alone: answers with the newest five samples, after which each plot has every one."""
    page = browser.new_page()
    script = page_routes()["/history.js"]("").content
    page.route("**/history.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.route("**/empty", lambda route: route.fulfill(body="", content_type="text/html"))
    page.goto("http://127.0.0.1:9/empty")

    result = page.evaluate(
        """async (answers) => {
          const { follow } = await import("/history.js");
          const samples = (count, most) =>
            Array.from({ length: count }, (_, place) => place + 1).slice(-Math.min(most, 8));
          const content = ([begun, count], most) => ({
            begun, samples: count, kept: 8,
            partitions: { 0: { rates: samples(count, most), lags: samples(count, most) } },
          });
          const shown = [];
          for (const answer of answers) {
            let asked = false;
            const past = await follow(content(answer, 5), async () => {
              asked = true;
              return content(answer, 8);
            });
            shown.push([asked, past.partitions[0].rates, past.partitions[0].lags]);
          }
          return shown;
        }""",
        answers := [(1, 3), (1, 3), (1, 4), (1, 9), (1, 15), (1, 17), (2, 1), (2, 2)],
    )

    # The first answer, a gap of more than five, and a `tower serve` that was started again.
    assert [asked for asked, _, _ in result] == [True, False, False, False, True, False, True, False]
    for (_, count), (_, rates, lags) in zip(answers, result, strict=True):
        assert rates == lags == list(range(max(1, count - 7), count + 1))
    page.close()


def test_axe_finds_what_is_wrong(browser: Browser) -> None:
    """The control: a page with a picture without text and a button without a name."""
    page = browser.new_page()
    page.set_content("<html><body><img src='data:,'><button></button></body></html>")

    found = {each["id"] for each in Axe().run(page).response["violations"] if each["impact"] in SERIOUS}

    assert {"image-alt", "button-name"} <= found
    page.close()


def test_a_request_to_another_machine_is_found(browser: Browser) -> None:
    """The control: a page that asks for something elsewhere."""
    page = browser.new_page()

    with page.expect_request("http://192.0.2.1/**", timeout=SHOWN_MS) as request:
        page.set_content("<img src='http://192.0.2.1/x.png'>", wait_until="commit")

    assert request.value.url == "http://192.0.2.1/x.png"
    page.close()
