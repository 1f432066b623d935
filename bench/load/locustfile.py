"""The bench's load as locust users: each is a device with a producer of its own.

With locust's page, to raise and lower the number of devices and watch (http://localhost:8089):

    locust -f bench/load/locustfile.py --bootstrap-servers localhost:9090 --topic resource

Without, for so long: `--headless --users 50 --spawn-rate 10 --run-time 1m`. The time locust shows is from
`produce` to the delivery report: what a sender waits for Kafka. The exit code is 1 if a record was not
delivered, or none was sent at all.
"""

import itertools
import sys
import time
from functools import cache
from typing import Any

import gevent  # type: ignore[import-untyped]
from confluent_kafka import Producer
from locust import User, constant_throughput, events, task
from locust.runners import WorkerRunner

from bench.load.record import Clock, RecordShape
from lab.senders.formats import Format

#: Seconds between two looks for delivery reports.
POLL_S = 0.01
#: Numbers of records that each locust worker may use: they stay different over all of them.
SPAN = 1_000_000_000
#: Names of devices in the records; users take turns in using them.
DEVICES = 50

_numbers = itertools.count()


def options(parser: Any) -> None:
    """Options of this load, beside locust's own; each may come from the environment too."""
    parser.add_argument("--bootstrap-servers", env_var="BENCH_BOOTSTRAP_SERVERS", default="localhost:9090")
    parser.add_argument("--topic", env_var="BENCH_TOPIC", default="resource")
    parser.add_argument(
        "--form", env_var="BENCH_FORM", choices=[form.value for form in Format], default="json"
    )
    parser.add_argument("--device-rate", env_var="BENCH_DEVICE_RATE", type=float, default=1.0)
    parser.add_argument("--bad", env_var="BENCH_BAD", type=float, default=0.0)
    parser.add_argument(
        "--report-timeout",
        env_var="BENCH_REPORT_TIMEOUT",
        type=float,
        default=10.0,
        help="seconds that a user waits for its last delivery reports when it stops (10)",
    )


def number(environment: Any, **_: Any) -> None:
    """Give each locust process its own numbers."""
    global _numbers  # noqa: PLW0603 - locust makes the users, so they can be given nothing
    index = getattr(environment.runner, "worker_index", 0) or 0
    _numbers = itertools.count(index * SPAN)


@cache
def shape(form: str, bad: float) -> RecordShape:
    """What all users send."""
    return RecordShape(Clock(0, live=True), Format(form), devices=DEVICES, bad=bad)


class Device(User):
    """A device that sends samples at its rate, whatever Kafka does meanwhile."""

    def wait_time(self) -> float:
        """Seconds until the next sample."""
        rate: float = self.environment.parsed_options.device_rate
        return float(constant_throughput(rate)(self))

    def on_start(self) -> None:
        """Make the producer."""
        options = self.environment.parsed_options
        self._topic = options.topic
        self._shape = shape(options.form, options.bad)
        self._producer = Producer(
            {"bootstrap.servers": options.bootstrap_servers, "linger.ms": 5, "acks": "all", "log_level": 2}
        )
        self._reports = gevent.spawn(self._poll)

    def on_stop(self) -> None:
        """Wait for the last reports, without stopping the other users."""
        deadline = time.monotonic() + self.environment.parsed_options.report_timeout
        while len(self._producer) and time.monotonic() < deadline:
            gevent.sleep(POLL_S)
        self._reports.kill()

    @task
    def sample(self) -> None:
        """Send one record."""
        seq = next(_numbers)
        # Its time is now, not that of its number.
        shape = RecordShape(
            Clock(time.time() * 1000, 0.0),
            self._shape.form,
            devices=self._shape.devices,
            bad=self._shape.bad,
        )
        (value,) = shape.values(seq, 1)
        began = time.perf_counter()

        def report(error: Any, _: Any) -> None:
            self.environment.events.request.fire(
                request_type="PRODUCE",
                name=self._topic,
                response_time=(time.perf_counter() - began) * 1000,
                response_length=len(value),
                exception=None if error is None else RuntimeError(error.str()),
                context={},
            )

        self._producer.produce(self._topic, value, on_delivery=report)

    def _poll(self) -> None:
        while True:
            self._producer.poll(0)
            gevent.sleep(POLL_S)


def fail_without_records(environment: Any, **_: object) -> None:
    """Say so, and exit with 1, if Kafka confirmed no record at all."""
    stats = environment.stats.total
    # A worker process of a distributed run hands its numbers to the master.
    if isinstance(environment.runner, WorkerRunner) or stats.num_requests > stats.num_failures:
        return
    sys.stderr.write(
        "locustfile: Kafka confirmed no record. Check --bootstrap-servers "
        f"({environment.parsed_options.bootstrap_servers}) and that the brokers run\n"
    )
    environment.process_exit_code = 1


hooks: Any = events
hooks.init_command_line_parser.add_listener(options)
hooks.init.add_listener(number)
hooks.quitting.add_listener(fail_without_records)
