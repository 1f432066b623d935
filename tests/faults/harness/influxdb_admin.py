"""InfluxDB as its administrator: tokens taken away and given back, buckets removed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.domain import permission, permission_resource

from lab.lab import Lab
from lab.provision import ORG

Permission: Any = permission.Permission
PermissionResource: Any = permission_resource.PermissionResource


class Admin:
    """What a scenario does to credentials and buckets, over InfluxDB's API.

    Args:
        lab: The lab whose InfluxDB it is.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    @contextmanager
    def _client(self) -> Iterator[Any]:
        token = self._lab.secrets.admin_token.read_text().strip()
        with InfluxDBClient(self._lab.influxdb.url, token, org=ORG) as client:
            yield client

    def activate(self, token: str, active: bool) -> None:
        """Switch a token on or off.

        Raises:
            LookupError: There is no such token (which the error does not repeat).
        """
        with self._client() as client:
            api = client.authorizations_api()
            for authorization in api.find_authorizations():
                if authorization.token == token:
                    authorization.status = "active" if active else "inactive"
                    api.update_authorization(authorization)
                    return
        raise LookupError("InfluxDB has no such token")

    def replace(self, token: str, bucket: str) -> str:
        """A new token that may write to `bucket`, and no longer the old one."""
        with self._client() as client:
            api = client.authorizations_api()
            org = client.organizations_api().find_organizations(org=ORG)[0].id
            old_bucket = client.buckets_api().find_bucket_by_name(bucket)
            resource = PermissionResource(type="buckets", id=old_bucket.id, org_id=org)
            authorization = api.create_authorization(
                org_id=org, permissions=[Permission(action="write", resource=resource)]
            )
            for each in api.find_authorizations():
                if each.token == token:
                    api.delete_authorization(each)
        return str(authorization.token)

    def remove_bucket(self, name: str) -> None:
        """Remove a bucket with all its points."""
        with self._client() as client:
            buckets = client.buckets_api()
            buckets.delete_bucket(buckets.find_bucket_by_name(name))
