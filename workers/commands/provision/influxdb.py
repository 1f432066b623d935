"""Organisation, bucket, mapping, v1 user and the workers' token, made where they are missing."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workers.commands.clients.influxdb_api import Answer, Influxdb, basic, token
from workers.commands.provision.action import Done, Step
from workers.commands.provision.secret_file import drafted, kept
from workers.config.settings import Settings
from workers.errors import CommandError

#: The v1 user of the lab.
V1_USER = "tower"

#: Where v1 users are managed; `influx v1 auth` uses it too.
LEGACY = "/private/legacy/authorizations"


class Provisioner:
    """Sets one InfluxDB 2.x up for Tower and the dashboard. Every step looks first.

    Args:
        influxdb: The server.
        settings: Names of all that is made.
        admin: Token that may make it.
    """

    def __init__(self, influxdb: Influxdb, settings: Settings, admin: str) -> None:
        self._influxdb = influxdb
        self._settings = settings
        self._header = token(admin)
        self._org = self._bucket = ""

    def run(self, token_file: Path | None, password_file: Path | None) -> Iterator[Step]:
        """All steps in their order.

        Args:
            token_file: Where the workers' token is kept; None makes none.
            password_file: Where a v1 password is kept that had to be made; None where one is set.

        Raises:
            CommandError: InfluxDB refuses a step, or something is there and otherwise.
        """
        self._refuse_raw()
        yield self._organisation()
        yield self._make_bucket()
        yield self._mapping()
        yield self._v1_user(password_file)
        yield self._worker_token(token_file)

    def _refuse_raw(self) -> None:
        if self._ask("GET", "/api/v2/setup").content.get("allowed"):
            settings = self._settings
            raise CommandError(
                f"InfluxDB at {self._influxdb.url} is new and has no admin token yet; set it up with "
                f"`influx setup --org {settings.influxdb_org} --bucket {settings.influxdb_bucket}` or in a "
                "browser, then run this again with its token"
            )

    def _organisation(self) -> Step:
        name = self._settings.influxdb_org
        answer = self._ask("GET", "/api/v2/orgs", {"org": name}, also=(404,))
        found = answer.content.get("orgs") if answer.status == 200 else None
        done = Done.THERE if found else Done.MADE
        made = found[0] if found else self._ask("POST", "/api/v2/orgs", body={"name": name}).content
        self._org = made["id"]
        return Step(f"organisation {name}", done, f"id {self._org}")

    def _make_bucket(self) -> Step:
        name = self._settings.influxdb_bucket
        answer = self._ask("GET", "/api/v2/buckets", {"orgID": self._org, "name": name}, also=(404,))
        found = answer.content.get("buckets") if answer.status == 200 else None
        done = Done.THERE if found else Done.MADE
        body = {"orgID": self._org, "name": name, "retentionRules": []}
        made = found[0] if found else self._ask("POST", "/api/v2/buckets", body=body).content
        self._bucket = made["id"]
        return Step(f"bucket {name}", done, f"id {self._bucket}")

    def _mapping(self) -> Step:
        database, policy = self._settings.influxdb_database, self._settings.influxdb_retention_policy
        query = {"orgID": self._org, "db": database, "rp": policy}
        what, text = f"mapping {database}/{policy}", f"to bucket {self._settings.influxdb_bucket}"
        for found in self._ask("GET", "/api/v2/dbrps", query).content.get("content") or []:
            # A virtual one comes with a bucket of that name and goes when the bucket is renamed.
            if found.get("virtual"):
                continue
            if found["bucketID"] == self._bucket:
                return Step(what, Done.THERE, text)
            raise CommandError(
                f"{what} leads to another bucket (id {found['bucketID']}); remove it with `influx v1 dbrp "
                f"delete --id {found['id']}` and run this again, or set TOWER_INFLUXDB_BUCKET to that one"
            )
        body = {"orgID": self._org, "bucketID": self._bucket, "database": database}
        self._ask("POST", "/api/v2/dbrps", body=body | {"retention_policy": policy, "default": True})
        return Step(what, Done.MADE, text)

    def _v1_user(self, password_file: Path | None) -> Step:
        user = self._settings.influxdb_user or V1_USER
        what = f"v1 user {user}"
        password = self._settings.influxdb_password.reveal() or (
            kept(password_file) if password_file else ""
        )
        existing = self._find_v1_user(user)
        if existing is None and not password and password_file is None:
            return Step(
                what, Done.LEFT, "no password: set INFLUXDB_V1_PASSWORD, or name --v1-password-file"
            )
        if existing is not None and not password:
            return Step(what, Done.THERE, "its password was not tried: INFLUXDB_V1_PASSWORD is not set")
        if existing is not None:
            return self._check_v1_user(what, user, password, existing)
        if password:
            self._make_v1_user(user, password)
            return Step(what, Done.MADE, "reads and writes the bucket")
        assert password_file is not None  # noqa: S101 - told above
        with drafted(password_file) as draft:
            password = secrets.token_urlsafe(24)
            self._make_v1_user(user, password)
            draft.keep(password)
        return Step(what, Done.MADE, f"reads and writes the bucket; its password is in {password_file}")

    def _find_v1_user(self, user: str) -> str | None:
        found = self._ask("GET", LEGACY, {"orgID": self._org}).content.get("authorizations") or []
        return next((str(each["id"]) for each in found if each.get("token") == user), None)

    def _make_v1_user(self, user: str, password: str) -> None:
        permissions = [self._permission("read"), self._permission("write")]
        body = {"orgID": self._org, "token": user, "permissions": permissions}
        made = self._ask(
            "POST", LEGACY, body=body | {"description": "the dashboard, and Tower over /write"}
        )
        self._set_password(str(made.content["id"]), password)

    def _check_v1_user(self, what: str, user: str, password: str, existing: str) -> Step:
        settings = self._settings
        done = Done.THERE
        answer = self._try_v1(user, password)
        if answer.status == 401:
            self._set_password(existing, password)
            done, answer = Done.CHANGED, self._try_v1(user, password)
        if answer.status != 204:
            raise CommandError(
                f"{what} may not write to {settings.influxdb_database} ({answer.status}: {answer.message}) "
                f"and cannot be given more rights; remove it with `influx v1 auth delete --username "
                f"{user}` and run this again"
            )
        return Step(what, done, "its password is set" if done is Done.CHANGED else "its password is right")

    def _try_v1(self, user: str, password: str) -> Answer:
        settings = self._settings
        return self._influxdb.may_write_v1(
            settings.influxdb_database, settings.influxdb_retention_policy, basic(user, password)
        )

    def _set_password(self, authorization: str, password: str) -> None:
        self._ask("POST", f"{LEGACY}/{authorization}/password", body={"password": password})

    def _worker_token(self, file: Path | None) -> Step:
        what, bucket = "token of the workers", self._settings.influxdb_bucket
        if file is None:
            return Step(what, Done.LEFT, "name a file for it with --worker-token-file")
        present = kept(file)
        if present:
            answer = self._influxdb.may_write(self._settings.influxdb_org, bucket, token(present))
            if answer.status != 204:
                raise CommandError(
                    f"{file} holds a token that may not write to {bucket} ({answer.status}: "
                    f"{answer.message}); move it away and run this again"
                )
            return Step(what, Done.THERE, f"in {file}")
        body = {
            "orgID": self._org,
            "description": f"Tower's workers: write to {bucket}, nothing else",
            "permissions": [self._permission("write")],
        }
        with drafted(file) as draft:
            draft.keep(str(self._ask("POST", "/api/v2/authorizations", body=body).content["token"]))
        return Step(what, Done.MADE, f"may only write to {bucket}; TOWER_INFLUXDB_TOKEN_FILE={file}")

    def _permission(self, action: str) -> dict[str, Any]:
        resource = {"type": "buckets", "id": self._bucket, "orgID": self._org}
        return {"action": action, "resource": resource}

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        also: tuple[int, ...] = (),
    ) -> Answer:
        answer = self._influxdb.ask(method, path, query, self._header, body)
        if answer.status in also:
            return answer
        if answer.status >= 300 or (answer.status != 204 and not isinstance(answer.content, dict)):
            what = path.rpartition("/")[2] if "legacy" not in path else "the v1 user"
            advice = {
                401: "the admin token is unknown to this InfluxDB",
                403: "this needs a token that may administer the organisation",
            }.get(answer.status, "see InfluxDB's own log")
            raise CommandError(
                f"setting up {what}: InfluxDB answers {answer.status}: {answer.message}; {advice}"
            )
        return answer
