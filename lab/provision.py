"""What the lab's InfluxDB holds before the first record: org, buckets, mappings, users, tokens.

Every step looks first and does only what is missing, so it can run again at any time.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.influxdb.server import Influxdb
from lab.system.files import read_secret, write_secret

ORG = "GIST"
BUCKET = "Labs"
RETENTION_POLICY = "autogen"
V1_USER = "tower"
TIMEOUT_MS = 20_000


@dataclass(frozen=True)
class Secrets:
    """Where the lab keeps its secrets: files that only their owner can read."""

    folder: Path

    @property
    def admin_token(self) -> Path:
        """Token that may do everything."""
        return self.folder / "admin-token"

    @property
    def v1_password(self) -> Path:
        """Password of the v1 user."""
        return self.folder / "v1-password"

    def worker_token(self, bucket: str = BUCKET) -> Path:
        """Token that may only write to the bucket."""
        return self.folder / ("worker-token" if bucket == BUCKET else f"worker-token.{bucket}")


class Provisioner:
    """Brings one InfluxDB to the state that the lab's text makes by hand.

    Args:
        server: The running InfluxDB.
        kept: Where the secrets are.
    """

    def __init__(self, server: Influxdb, kept: Secrets) -> None:
        self._server = server
        self._secrets = kept

    def run(self) -> None:
        """Org, bucket, mapping, v1 user with its password, worker token.

        Raises:
            LabError: InfluxDB refuses a step.
        """
        self._set_up()
        self.bucket(BUCKET)
        self._v1_user()

    def bucket(self, name: str, retention_s: int = 0) -> str:
        """A bucket with its DBRP mapping of the same name and a token that may only write to it.

        Args:
            name: Of bucket and database.
            retention_s: Seconds that points are kept; 0 for ever.

        Returns:
            The worker token, which is kept in a file too.
        """
        with self._client() as client:
            org = self._org(client)
            buckets = client.buckets_api()
            found = buckets.find_bucket_by_name(name)
            if found is None:
                rules = _api().BucketRetentionRules(type="expire", every_seconds=retention_s)
                found = buckets.create_bucket(
                    bucket_name=name, org=org, retention_rules=[rules] if retention_s else []
                )
            self._mapping(client, org, found.id, name)
            return self._worker_token(client, org, found.id, name)

    def _set_up(self) -> None:
        """The first user, the org and the admin token; once in a server's life."""
        with (
            self._errors("setting up"),
            _api().InfluxDBClient(self._server.url, timeout=TIMEOUT_MS) as client,
        ):
            service = _api().SetupService(client.api_client)
            if not service.get_setup().allowed:
                return
            token = os.environ.get("INFLUXDB_ADMIN_TOKEN") or secrets.token_urlsafe(48)
            # Written first: a token that is set up and lost would lock everybody out.
            write_secret(self._secrets.admin_token, token)
            service.post_setup(
                _api().OnboardingRequest(
                    username="admin",
                    password=secrets.token_urlsafe(24),  # Nobody logs in: the token does it all.
                    org=ORG,
                    bucket=BUCKET,
                    token=token,
                )
            )

    def _mapping(self, client: Any, org: str, bucket: str, database: str) -> None:
        service = _api().DBRPsService(client.api_client)
        for found in service.get_dbr_ps(org_id=org, db=database).content or []:
            # Every bucket shows a virtual mapping of its own name, which no v1 user may rely on.
            if found.retention_policy == RETENTION_POLICY and not getattr(found, "virtual", False):
                if found.bucket_id == bucket:
                    return
                service.delete_dbrpid(found.id, org_id=org)
        service.post_dbrp(
            _api().DBRPCreate(
                org_id=org,
                bucket_id=bucket,
                database=database,
                retention_policy=RETENTION_POLICY,
                default=True,
            )
        )

    def _v1_user(self) -> None:
        """The v1 user, with the password from INFLUXDB_V1_PASSWORD, the file, or a new one.

        It may read and write every bucket of the org, since a v1 authorization cannot be widened
        when a bucket is added.
        """
        password = (
            os.environ.get("INFLUXDB_V1_PASSWORD")
            or read_secret(self._secrets.v1_password)
            or secrets.token_urlsafe(24)
        )
        write_secret(self._secrets.v1_password, password)
        with self._client() as client:
            org = self._org(client)
            service = _api().LegacyAuthorizationsService(client.api_client)
            found = next(
                (
                    authorization
                    for authorization in service.get_legacy_authorizations(org_id=org).authorizations
                    if authorization.token == V1_USER
                ),
                None,
            )
            if found is None:
                resource = _api().PermissionResource(type="buckets", org_id=org)
                found = service.post_legacy_authorizations(
                    _api().LegacyAuthorizationPostRequest(
                        org_id=org,
                        token=V1_USER,
                        description="the dashboard, and workers that write through /write",
                        permissions=[
                            _api().Permission(action=action, resource=resource)
                            for action in ("read", "write")
                        ],
                    )
                )
            service.post_legacy_authorizations_id_password(
                found.id, _api().PasswordResetBody(password=password)
            )

    def _worker_token(self, client: Any, org: str, bucket: str, name: str) -> str:
        path = self._secrets.worker_token(name)
        kept = read_secret(path)
        authorizations = client.authorizations_api()
        if kept is not None and any(
            found.token == kept for found in authorizations.find_authorizations(org_id=org)
        ):
            return kept
        resource = _api().PermissionResource(type="buckets", id=bucket, org_id=org)
        made = authorizations.create_authorization(
            org_id=org, permissions=[_api().Permission(action="write", resource=resource)]
        )
        write_secret(path, made.token)
        return str(made.token)

    @staticmethod
    def _org(client: Any) -> str:
        return str(client.organizations_api().find_organizations(org=ORG)[0].id)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        token = read_secret(self._secrets.admin_token)
        if token is None:
            raise LabError(
                f"InfluxDB is set up already, but {self._secrets.admin_token} is gone; put its "
                "admin token there, or start afresh with `python -m lab down --purge`"
            )
        with (
            self._errors("provisioning"),
            _api().InfluxDBClient(self._server.url, token, org=ORG, timeout=TIMEOUT_MS) as client,
        ):
            yield client

    @staticmethod
    @contextmanager
    def _errors(doing: str) -> Iterator[None]:
        try:
            yield
        except _api().rest.ApiException as error:
            # Its text would hold headers and bodies, tokens among them.
            raise LabError(f"{doing} InfluxDB: it answered {error.status}") from None


def _api() -> Any:
    """The client library, imported when it is needed: it takes longer than `status` does."""
    import influxdb_client  # noqa: PLC0415

    return influxdb_client
