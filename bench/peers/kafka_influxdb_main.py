"""Starts kafka-influxdb on a Python that has removed one name it needs."""

import collections
import collections.abc
import runpy

# Gone since Python 3.10; the last release of kafka-influxdb is older.
vars(collections)["MutableMapping"] = collections.abc.MutableMapping

runpy.run_module("kafka_influxdb", run_name="__main__", alter_sys=True)
