"""Creates what Tower needs in InfluxDB, if it is missing: bucket, mapping, v1 user and token."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workers.commands.clients.influxdb_api import ApiResponse, InfluxdbApi, basic, token
from workers.commands.console import listed
from workers.commands.provision.action import Action, ActionResult
from workers.commands.provision.secret_file import read_secret, secret_draft
from workers.config.settings import Settings
from workers.errors import CommandError

#: The v1 user of the lab.
V1_USER = "tower"

#: Where v1 users are managed; `influx v1 auth` uses it too.
LEGACY = "/private/legacy/authorizations"


class InfluxdbProvisioner:
    """Prepares one InfluxDB 2.x for Tower and the dashboard. Each action checks first what exists.

    Args:
        influxdb: The server.
        settings: Names of organisation, bucket, database, retention policy and v1 user.
        admin_token: Token that may create all of them.
        all_buckets: Whether the v1 user may read and write every bucket of the organisation. An existing
            v1 user cannot be given more buckets later.
        create_org: Whether a missing organisation is created. Most often it is missing because its name is
            misspelt.
    """

    def __init__(
        self,
        influxdb: InfluxdbApi,
        settings: Settings,
        admin_token: str,
        *,
        all_buckets: bool = False,
        create_org: bool = False,
    ) -> None:
        self._influxdb = influxdb
        self._settings = settings
        self._authorization = token(admin_token)
        self._all_buckets = all_buckets
        self._create_org = create_org
        self._org_id = self._bucket_id = ""

    def require_setup(self) -> None:
        """Check that InfluxDB answers and has had its first set-up.

        Raises:
            CommandError: It does not answer, or it has no admin token yet.
        """
        if self._ask("GET", "/api/v2/setup").content.get("allowed"):
            settings = self._settings
            raise CommandError(
                f"InfluxDB at {self._influxdb.url} is new and has no admin token yet",
                f"set it up with `influx setup --org {settings.influxdb_org} --bucket "
                f"{settings.influxdb_bucket}` or in a browser, then run this again with its token",
            )

    def run(
        self,
        token_file: Path | None,
        password_file: Path | None,
        *,
        token_group: int | None = None,
        replace_token: bool = False,
    ) -> Iterator[Action]:
        """Provision organisation, bucket, mapping, v1 user and the workers' token, in this order.

        Args:
            token_file: Where the workers' token is saved; None creates none.
            password_file: Where a generated v1 password is saved; None generates none.
            token_group: Id of a group that may read `token_file`.
            replace_token: Whether a token in `token_file` that InfluxDB does not know is replaced.

        Raises:
            CommandError: InfluxDB rejects an action, or something exists and differs.
        """
        yield self._organisation()
        yield self._bucket(0)
        yield self._mapping()
        yield self._v1_user(password_file)
        yield self._worker_token(token_file, token_group, replace_token)

    def run_bucket(self, token_file: Path, retention_s: int = 0) -> Iterator[Action]:
        """Provision organisation, bucket, mapping and a token for the bucket, but no v1 user.

        Args:
            token_file: Where the workers' token is saved; an unknown one in it is replaced.
            retention_s: Seconds for which a new bucket keeps points, 0 for ever.

        Raises:
            CommandError: As for `run`.
        """
        yield self._organisation()
        yield self._bucket(retention_s)
        yield self._mapping()
        yield self._worker_token(token_file, None, True)

    def _organisation(self) -> Action:
        name = self._settings.influxdb_org
        existing = self._find("orgs", {"org": name})
        if existing is None and not self._create_org:
            answer = self._ask("GET", "/api/v2/orgs")
            names = sorted(str(organisation["name"]) for organisation in answer.content.get("orgs") or [])
            raise CommandError(
                f"InfluxDB has no organisation {name}; there are: {listed(names) or 'none'}",
                "set TOWER_INFLUXDB_ORG to one of them, or create it: `tower provision --create-org`",
            )
        organisation, result = self._find_or_create("orgs", {"org": name}, {"name": name})
        self._org_id = organisation["id"]
        return Action(f"organisation {name}", result, f"id {self._org_id}")

    def _bucket(self, retention_s: int) -> Action:
        name = self._settings.influxdb_bucket
        rules = [{"type": "expire", "everySeconds": retention_s}] if retention_s else []
        body = {"orgID": self._org_id, "name": name, "retentionRules": rules}
        bucket, result = self._find_or_create("buckets", {"orgID": self._org_id, "name": name}, body)
        self._bucket_id = bucket["id"]
        return Action(f"bucket {name}", result, f"id {self._bucket_id}")

    def _find_or_create(
        self, kind: str, query: dict[str, str], body: dict[str, Any]
    ) -> tuple[dict[str, Any], ActionResult]:
        existing = self._find(kind, query)
        if existing is not None:
            return existing, ActionResult.UNCHANGED
        return self._ask("POST", f"/api/v2/{kind}", body=body).content, ActionResult.CREATED

    def _find(self, kind: str, query: dict[str, str]) -> dict[str, Any] | None:
        answer = self._ask("GET", f"/api/v2/{kind}", query, also=(404,))
        existing = answer.content.get(kind) if answer.status == 200 else None
        return dict(existing[0]) if existing else None

    def _mapping(self) -> Action:
        database, policy = self._settings.influxdb_database, self._settings.influxdb_retention_policy
        query = {"orgID": self._org_id, "db": database, "rp": policy}
        what, text = f"mapping {database}/{policy}", f"to bucket {self._settings.influxdb_bucket}"
        for mapping in self._ask("GET", "/api/v2/dbrps", query).content.get("content") or []:
            # A virtual one comes with a bucket of that name and goes when the bucket is renamed.
            if mapping.get("virtual"):
                continue
            if mapping["bucketID"] == self._bucket_id:
                return Action(what, ActionResult.UNCHANGED, text)
            raise CommandError(
                f"{what} leads to another bucket (id {mapping['bucketID']})",
                f"remove it with `influx v1 dbrp delete --id {mapping['id']}` and run this again, or set "
                "TOWER_INFLUXDB_BUCKET to that bucket",
            )
        body = {"orgID": self._org_id, "bucketID": self._bucket_id, "database": database}
        self._ask("POST", "/api/v2/dbrps", body=body | {"retention_policy": policy, "default": True})
        return Action(what, ActionResult.CREATED, text)

    def _v1_user(self, password_file: Path | None) -> Action:
        user = self._settings.influxdb_user or V1_USER
        what = f"v1 user {user}"
        password = self._settings.influxdb_password.reveal() or (
            read_secret(password_file) if password_file else ""
        )
        authorization_id = self._find_v1_user(user)
        if authorization_id is not None:
            if not password:
                text = "its password was not tested: INFLUXDB_V1_PASSWORD is not set"
                return Action(what, ActionResult.UNCHANGED, text)
            return self._check_v1_user(what, user, password, authorization_id)
        text = f"may read and write {'all buckets' if self._all_buckets else 'the bucket'}"
        if password:
            self._create_v1_user(user, password)
            return Action(what, ActionResult.CREATED, text)
        if password_file is None:
            reason = "no password: set INFLUXDB_V1_PASSWORD, or name a file with --v1-password-file"
            return Action(what, ActionResult.SKIPPED, reason)
        with secret_draft(password_file) as draft:
            password = secrets.token_urlsafe(24)
            self._create_v1_user(user, password)
            draft.save(password)
        return Action(what, ActionResult.CREATED, f"{text}; its password is in {password_file}")

    def _find_v1_user(self, user: str) -> str | None:
        authorizations = self._ask("GET", LEGACY, {"orgID": self._org_id}).content.get("authorizations")
        for authorization in authorizations or []:
            if authorization.get("token") == user:
                return str(authorization["id"])
        return None

    def _create_v1_user(self, user: str, password: str) -> None:
        bucket_id = "" if self._all_buckets else self._bucket_id
        authorization = {
            "orgID": self._org_id,
            "token": user,
            "permissions": [self._permission(action, bucket_id) for action in ("read", "write")],
            "description": "the dashboard, and Tower over /write",
        }
        answer = self._ask("POST", LEGACY, body=authorization)
        self._set_password(str(answer.content["id"]), password)

    def _check_v1_user(self, what: str, user: str, password: str, authorization_id: str) -> Action:
        settings = self._settings
        result = ActionResult.UNCHANGED
        answer = self._try_v1(user, password)
        if answer.status == 401:
            self._set_password(authorization_id, password)
            result, answer = ActionResult.CHANGED, self._try_v1(user, password)
        if answer.status != 204:
            raise CommandError(
                f"{what} may not write to {settings.influxdb_database} ({answer.status}: "
                f"{answer.message}), and InfluxDB cannot give it more rights",
                f"remove it with `influx v1 auth delete --username {user}` and run this again",
            )
        text = "its password is set" if result is ActionResult.CHANGED else "its password is right"
        return Action(what, result, text)

    def _try_v1(self, user: str, password: str) -> ApiResponse:
        settings = self._settings
        return self._influxdb.may_write_v1(
            settings.influxdb_database, settings.influxdb_retention_policy, basic(user, password)
        )

    def _set_password(self, authorization_id: str, password: str) -> None:
        self._ask("POST", f"{LEGACY}/{authorization_id}/password", body={"password": password})

    def _worker_token(self, file: Path | None, group: int | None, replace: bool) -> Action:
        what, bucket = "token of the workers", self._settings.influxdb_bucket
        if file is None:
            return Action(what, ActionResult.SKIPPED, "name a file for it with --worker-token-file")
        saved, result = read_secret(file), ActionResult.CREATED
        if saved:
            answer = self._influxdb.may_write(self._settings.influxdb_org, bucket, token(saved))
            if answer.status == 204:
                return Action(what, ActionResult.UNCHANGED, f"in {file}")
            if not (replace and answer.status == 401):
                raise CommandError(
                    f"{file} holds a token that may not write to {bucket} ({answer.status}: "
                    f"{answer.message})",
                    "move it away and run this again",
                )
            result = ActionResult.CHANGED
        authorization = {
            "orgID": self._org_id,
            "description": f"Tower's workers: write to {bucket}, nothing else",
            "permissions": [self._permission("write", self._bucket_id)],
        }
        with secret_draft(file, group) as draft:
            answer = self._ask("POST", "/api/v2/authorizations", body=authorization)
            draft.save(str(answer.content["token"]))
        return Action(what, result, f"may only write to {bucket}; TOWER_INFLUXDB_TOKEN_FILE={file}")

    def _permission(self, action: str, bucket_id: str) -> dict[str, Any]:
        """A right to one bucket, or to all of them if `bucket_id` is empty."""
        resource = {"type": "buckets", "orgID": self._org_id}
        return {"action": action, "resource": resource | ({"id": bucket_id} if bucket_id else {})}

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        also: tuple[int, ...] = (),
    ) -> ApiResponse:
        answer = self._influxdb.ask(method, path, query, self._authorization, body)
        if answer.status in also:
            return answer
        if answer.status >= 300 or (answer.status != 204 and not isinstance(answer.content, dict)):
            what = path.rpartition("/")[2] if "legacy" not in path else "the v1 user"
            advice = {
                401: "the admin token is unknown to this InfluxDB",
                403: "this needs a token that may administer the organisation",
            }.get(answer.status, "see InfluxDB's own log")
            raise CommandError(
                f"provisioning {what}: InfluxDB answers {answer.status}: {answer.message}", advice
            )
        return answer
