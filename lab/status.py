"""What the lab says about itself, for programs and for people."""

from typing import Any

from rich.console import Console
from rich.table import Table

from lab.lab import Lab
from lab.provision import BUCKET, ORG, V1_USER


def read(lab: Lab) -> dict[str, Any]:
    """What `python -m lab status --json` prints.

    Raises:
        LabError: There is no lab in this folder.
    """
    influxdb = lab.influxdb
    health = influxdb.health() or {}
    return {
        "topology": lab.plan.topology.value,
        "data": str(lab.data),
        "bootstrap_servers": lab.bootstrap_servers,
        "nodes": [
            {
                "id": node.spec.id,
                "role": node.spec.role.value,
                "pid": node.pid,
                "port": node.spec.port,
                "serving": node.pid is not None and node.serving(),
            }
            for node in lab.nodes
        ],
        "influxdb": {
            "url": influxdb.url,
            "org": ORG,
            "bucket": BUCKET,
            "pid": influxdb.pid,
            "port": influxdb.port,
            "serving": influxdb.pid is not None and health.get("status") == "pass",
            "version": health.get("version"),
            "admin_token_file": str(lab.secrets.admin_token),
            "worker_token_file": str(lab.secrets.worker_token()),
            "v1_user": V1_USER,
            "v1_password_file": str(lab.secrets.v1_password),
        },
    }


def show(lab_status: dict[str, Any]) -> None:
    """Print a status for people."""
    table = Table(title=f"lab in {lab_status['data']} ({lab_status['topology']})", title_justify="left")
    for column in ("server", "pid", "port", "serves"):
        table.add_column(column)
    influxdb = lab_status["influxdb"]
    for node in lab_status["nodes"]:
        name = f"Kafka node {node['id']} ({node['role']})"
        table.add_row(name, *_cells(node))
    table.add_row(f"InfluxDB {influxdb['version'] or ''}", *_cells(influxdb))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Kafka     {lab_status['bootstrap_servers']}", soft_wrap=True)
    console.print(f"InfluxDB  {influxdb['url']}  org {influxdb['org']}  bucket {influxdb['bucket']}")
    console.print(f"worker token in {influxdb['worker_token_file']}", soft_wrap=True)


def _cells(server: dict[str, Any]) -> tuple[str, str, str]:
    return str(server["pid"] or "-"), str(server["port"]), "yes" if server["serving"] else "no"
