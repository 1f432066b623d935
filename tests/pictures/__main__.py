"""`python -m tests.pictures`: takes the pictures in docs/pictures from real runs."""

import base64
import io
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from lab.lab import Lab
from lab.pool import RUN, STOP_S, LabPool
from lab.provision import TOPIC
from lab.senders.feed import Sender
from lab.served_page import ServedPage
from lab.system.server_process import wait_until
from lab.topology import LabOptions
from tests.integration.conftest import program
from tests.integration.test_cpu_load import BUSY_LOOP, running
from tests.pictures.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"

#: Most bytes of one picture.
MOST_BYTES = 150_000

#: Colours of a picture of the page, shades of its letters included.
COLOURS = 128

#: Seconds that the demo may take, and one change of a page or a terminal.
DEMO_S, SHOWN_S = 180.0, 60.0

#: Seconds that devices are fed before `top` is drawn.
FED_S = 30.0

#: Samples, one a second, before the load.
BEFORE = 60

#: What the load must add to the load average of one minute, and seconds for each wait.
ADDED, LOAD_S = 1.0, 180.0

LAST_LINE = "produced = stored + dead-lettered"
FREE_PORTS = ["--kafka-port", "0", "--controller-port", "0", "--influxdb-port", "0"]


def main() -> None:
    """Run the demo, draw it and `top`; then the page during a load."""
    with tempfile.TemporaryDirectory(prefix="tower-pictures-") as folder, sync_playwright() as playwright:
        _demo_and_top(Path(folder) / "demo")
        browser = playwright.chromium.launch(
            executable_path=program("chromium", "chromium"), args=["--no-sandbox"]
        )
        _cpu_load(Path(folder) / "lab", browser)
    for picture in sorted(FOLDER.iterdir()):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


def _demo_and_top(data: Path) -> None:
    """Draw `make demo`, and `top` of the pool that it leaves up, with the records of three devices."""
    lab = Lab(data)
    with ExitStack() as stack:
        stack.callback(lab.down)
        stack.callback(_stop_pool)
        _demo(data)
        settings = {
            **os.environ,
            **lab.worker_environment(),
            "TOWER_RUN_DIR": str(RUN),
            "TOWER_WORKERS": "3",
        }
        feed = [sys.executable, "-m", "lab", "feed", "--data", str(data), "--interval", "0.1"]
        devices = [word for number in range(1, 4) for word in ("--device", f"pi-{number}")]
        with running([*feed, *devices]):
            _top(settings, time.monotonic() + FED_S)


def _demo(data: Path) -> None:
    """Draw `make demo`, which leaves its pool up."""
    command = [sys.executable, "-m", "lab", "demo", "--keep", "--data", str(data), *FREE_PORTS]
    with Terminal(command, 100, 90, ROOT, os.environ) as terminal:
        terminal.until(lambda lines: any("lab down" in line for line in lines), DEMO_S)
        _write("demo.svg", terminal.svg("make demo", "the page:", LAST_LINE).encode())


def _top(settings: Mapping[str, str], drawn_at: float) -> None:
    command = [sys.executable, "-m", "workers", "top"]
    with Terminal(command, 150, 24, ROOT, settings) as terminal:
        terminal.until(
            lambda lines: time.monotonic() > drawn_at and any("running" in line for line in lines), SHOWN_S
        )
        _write("top.svg", terminal.svg("tower top").encode())


def _cpu_load(data: Path, browser: Browser) -> None:
    """Draw the CPU load on the page before, in and after the load of the lab's text, and the whole page."""
    address = ServedPage.on_free_port(prefer_default=True)
    with Lab(data, LabOptions.free_ports()) as lab, ExitStack() as stack:
        settings = lab.worker_environment() | {
            "TOWER_WORKERS": "3",
            "TOWER_SERVE_ADDRESS": address.address,
        }
        pool = LabPool(data / "pool", settings)
        stack.callback(pool.stop, STOP_S)
        pool.start()
        with running([sys.executable, "-m", "lab", "feed", "--data", str(data)]):
            _wait(lambda: len(_usage(lab)) >= BEFORE, "samples of the time before the load")
            _wait(address.answers, "the page")
            page = browser.new_page(viewport={"width": 1000, "height": 900})
            page.goto(address.url)
            pictures = [_plot(page)]
            before = _usage(lab)[-1]
            loops = (os.cpu_count() or 1) + math.ceil(before)
            with running(*[[sys.executable, "-c", BUSY_LOOP]] * loops):
                _wait(lambda: _usage(lab)[-1] >= before + ADDED, "the load on the page")
                pictures.append(_plot(page))
            highest = _usage(lab)[-1]
            _send_bad_record(lab)
            _wait(lambda: _usage(lab)[-1] <= highest - ADDED / 2, "the load to fall again")
            pictures.append(_plot(page))
            page.locator("#dead pre").first.wait_for(timeout=SHOWN_S * 1000)
            _write("page.png", _small(page.screenshot(full_page=True)))
            page.close()
    strip = browser.new_page(viewport={"width": 1000, "height": 100})
    images = "".join(
        f"<img src='data:image/png;base64,{base64.b64encode(picture).decode()}'>" for picture in pictures
    )
    style = "<style>body{margin:0;display:flex;align-items:flex-start}img{width:33.3%}</style>"
    strip.set_content(style + images)
    _write("cpu-load.png", _small(strip.screenshot(full_page=True)))
    strip.close()


def _usage(lab: Lab) -> list[float]:
    """The samples of CPU_Usage, as the dashboard asks for them."""
    return [row["CPU_Usage"] for row in lab.query_rows('SELECT "CPU_Usage" FROM "Labs"."autogen"."labs"')]


def _send_bad_record(lab: Lab) -> None:
    """Send what the Pi sends if snmpd lacks an object."""
    sender = Sender(lab.bootstrap_servers, TOPIC)
    sender.send(b"No Such Object available on this agent at this OID")
    sender.finish()


def _wait(condition: Callable[[], bool], what: str) -> None:
    if not wait_until(condition, LOAD_S, 1.0):
        raise TimeoutError(f"waited {LOAD_S:g} s for {what}")


def _plot(page: Page) -> bytes:
    """Take the plot of the CPU load once it has been drawn anew."""
    # The first answer may be one that the server kept for a few seconds, so the next one counts.
    for _ in range(2):
        with page.expect_response(re.compile("/api/lab"), timeout=SHOWN_S * 1000):
            pass
    page.wait_for_function("() => new Promise(done => requestAnimationFrame(() => done(true)))")
    return page.locator("#lab figure", has_text="CPU load").screenshot()


def _small(picture: bytes) -> bytes:
    """Return the same PNG with a palette: a page has few colours."""
    content = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(content, "PNG", optimize=True)
    return content.getvalue()


def _write(name: str, content: bytes) -> None:
    if len(content) > MOST_BYTES:
        raise ValueError(f"{name} would have {len(content):,} bytes, more than {MOST_BYTES:,}")
    (FOLDER / name).write_bytes(content)


def _stop_pool() -> None:
    subprocess.run([sys.executable, "-m", "workers", "down"], check=True, cwd=ROOT, timeout=SHOWN_S)


if __name__ == "__main__":
    main()
