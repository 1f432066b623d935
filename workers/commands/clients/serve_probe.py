"""Asks what listens on the address of `tower serve`."""

import hashlib
import http.client
import json
from pathlib import Path

from workers.config.parsers import Address

#: Seconds for the whole answer. `tower serve` may wait 2 s for supervisord before it answers.
ANSWER_S = 3.0

#: Most bytes of an answer that are read.
ANSWER_BYTES = 65_536

#: Addresses that mean each address of this machine, with one to connect to.
ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here

TAKEN = "is taken by another program"


def pool_id(run_dir: Path) -> str:
    """Return what tells this pool's `tower serve` from another one's.

    Args:
        run_dir: TOWER_RUN_DIR.
    """
    return hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:16]


def why_not_ours(address: Address, run_dir: Path) -> str:
    """Return what is wrong with what listens there; empty if it is this pool's `tower serve`, or nothing.

    Args:
        address: TOWER_SERVE_ADDRESS.
        run_dir: TOWER_RUN_DIR.
    """
    host = ANY.get(address.host, address.host)
    connection = http.client.HTTPConnection(host, address.port, timeout=ANSWER_S)
    try:
        connection.connect()
    except OSError:
        # Nothing listens, or nothing that can be reached from here.
        return ""
    try:
        connection.request("GET", "/live")
        content = json.loads(connection.getresponse().read(ANSWER_BYTES))
    except TimeoutError:
        return f"is taken by a program that gives no answer within {ANSWER_S:g} s"
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return TAKEN
    finally:
        connection.close()
    is_ours = isinstance(content, dict) and content.get("pool") == pool_id(run_dir)
    return "" if is_ours else TAKEN
