"""`python -m tests.pictures`: takes the pictures in docs/pictures from one real run of the demo."""

import base64
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from lab.lab import Lab
from lab.pool import CONFIG, RUN
from lab.system.ports import choose
from tests.integration.conftest import program
from tests.integration.test_cpu_load import BUSY_LOOP, running, usage
from tests.pictures.terminal import Terminal
from tests.support.chain import Chain

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"

#: Most bytes of one picture.
MOST_BYTES = 150_000

#: Seconds that the demo may take, and one change of a page or a terminal.
DEMO_S, SHOWN_S = 180.0, 60.0

#: Seconds that this machine is fed before the page and `top` are drawn.
FED_S = 30.0

#: Load that is added, in the load average of one minute, until the second picture; and seconds for it.
ADDED, LOAD_S = 1.0, 180.0

LAST_LINE = "produced = stored + dead-lettered"
FREE_PORTS = ["--kafka-port", "0", "--controller-port", "0", "--influxdb-port", "0"]


def main() -> None:
    """Run the demo, draw it, `top` and the page; then the dashboard during a load."""
    FOLDER.mkdir(exist_ok=True)
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tower-pictures-"))) / "lab"
        lab = Lab(data)
        stack.callback(lab.down)
        stack.callback(_stop_pool)
        url = _demo(data)
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=program("chromium", "chromium"), args=["--no-sandbox"]
        )
        stack.callback(browser.close)
        settings = {
            **os.environ,
            **lab.worker_environment(),
            "TOWER_RUN_DIR": str(RUN),
            "TOWER_WORKERS": "3",
        }
        feed = [sys.executable, "-m", "lab", "feed", "--data", str(data), "--interval", "0.1"]
        devices = [word for number in range(1, 4) for word in ("--device", f"pi-{number}")]
        with running([*feed, *devices]):
            began = time.monotonic()
            _top(settings, began + FED_S)
            _page(browser, url)
        _cpu_load(lab, browser)
    for picture in sorted(FOLDER.iterdir()):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


def _demo(data: Path) -> str:
    """Draw `make demo`, which leaves its pool up; the address of its page."""
    command = [sys.executable, "-m", "lab", "demo", "--keep", "--data", str(data), *FREE_PORTS]
    with Terminal(command, 100, 90, ROOT, os.environ) as terminal:
        terminal.until(lambda lines: any("lab down" in line for line in lines), DEMO_S)
        (url,) = re.findall(r"the page: (http://\S+) ", "\n".join(terminal.lines))
        _write("demo.svg", terminal.svg("make demo", "the page:", LAST_LINE).encode())
    return str(url)


def _top(settings: Mapping[str, str], drawn_at: float) -> None:
    command = [sys.executable, "-m", "workers", "top"]
    with Terminal(command, 150, 24, ROOT, settings) as terminal:
        terminal.until(
            lambda lines: time.monotonic() > drawn_at and any("running" in line for line in lines), SHOWN_S
        )
        _write("top.svg", terminal.svg("tower top").encode())


def _page(browser: Browser, url: str) -> None:
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.goto(url)
    page.locator("#lab figure").first.wait_for(timeout=SHOWN_S * 1000)
    page.locator("#dead pre").first.wait_for(timeout=SHOWN_S * 1000)
    page.screenshot(path=FOLDER / "page.png", full_page=True)
    _check("page.png")
    page.close()


def _cpu_load(lab: Lab, browser: Browser) -> None:
    """Draw the CPU load on the page before, in and after the load of tests/integration/test_cpu_load.py."""
    (port,) = choose("127.0.0.1", 1)
    with (
        tempfile.TemporaryDirectory(prefix="tower-") as folder,
        Chain(lab, Path(folder), {"TOWER_SERVE_ADDRESS": f"127.0.0.1:{port}"}) as chain,
    ):
        chain.pool.start()
        feed = [sys.executable, "-m", "lab", "feed", "--topic", chain.name]
        with running([*feed, "--bootstrap-servers", lab.bootstrap_servers]):
            chain.pool.until(lambda: len(usage(chain)) >= 40, SHOWN_S, "the time before")
            page = browser.new_page(viewport={"width": 1100, "height": 900})
            page.goto(f"http://127.0.0.1:{port}/")
            pictures = [_plot(page, "before")]
            before = usage(chain)[-1][1]
            loops = (os.cpu_count() or 1) + math.ceil(before)
            with running(*[[sys.executable, "-c", BUSY_LOOP]] * loops):
                chain.pool.until(
                    lambda: usage(chain)[-1][1] >= before + ADDED, LOAD_S, "a load that is seen"
                )
                pictures.append(_plot(page, "during the load"))
            highest = usage(chain)[-1][1]
            chain.pool.until(
                lambda: usage(chain)[-1][1] <= highest - ADDED / 2, LOAD_S, "the load to fall again"
            )
            pictures.append(_plot(page, "after it"))
            page.close()
    strip = browser.new_page(viewport={"width": 1000, "height": 100})
    cells = "".join(
        f"<figure><img src='data:image/png;base64,{base64.b64encode(picture).decode()}'></figure>"
        for picture in pictures
    )
    strip.set_content(
        "<style>body{margin:0;display:flex;background:#fff}figure{margin:4px;flex:1}img{width:100%}</style>"
        + cells
    )
    strip.screenshot(path=FOLDER / "cpu-load.png", full_page=True)
    _check("cpu-load.png")
    strip.close()


def _plot(page: Page, when: str) -> bytes:
    """Take the plot of the CPU load once it has been drawn anew."""
    with page.expect_response(re.compile("/api/lab"), timeout=SHOWN_S * 1000):
        pass
    # The answer may be one that the server kept for a few seconds, so the next one is drawn.
    with page.expect_response(re.compile("/api/lab"), timeout=SHOWN_S * 1000):
        pass
    page.wait_for_function("() => new Promise(done => requestAnimationFrame(() => done(true)))")
    print(f"the plot {when}")
    return page.locator("#lab figure", has_text="CPU load").screenshot()


def _write(name: str, content: bytes) -> None:
    (FOLDER / name).write_bytes(content)
    _check(name)


def _check(name: str) -> None:
    size = (FOLDER / name).stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{name} has {size:,} bytes, more than {MOST_BYTES:,}")


def _stop_pool() -> None:
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONFIG), "shutdown"]
    subprocess.run(command, check=False, cwd=ROOT, timeout=SHOWN_S)
    deadline = time.monotonic() + SHOWN_S
    while (RUN / "supervisor.sock").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
