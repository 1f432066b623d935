"""Names and addresses that lead to this machine alone."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its loopback interface.

    Args:
        host: `localhost`, a name under it, or an address without brackets. Other names are not resolved.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    # Since Python 3.13 an IPv6 address for an IPv4 address says it by itself.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
