"""Certificates for the brokers: good, expired, for another name, or of another authority."""

import os
import subprocess
from pathlib import Path

#: Seconds one openssl may take.
OPENSSL_S = 30.0

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A certificate authority in a folder of its own.

    Args:
        folder: Made if need be.
        name: Its common name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._key = folder / "ca.key"
        #: Its own certificate, which clients trust.
        self.certificate = folder / "ca.pem"
        subject = ("-subj", f"/CN={name}", "-days", "30")
        _openssl("req", "-x509", *KEY, *subject, "-keyout", str(self._key), "-out", str(self.certificate))

    def issue(self, keystore: Path, host: str = "localhost", days: int = 30) -> None:
        """Put a fresh key and a certificate for it where a broker reads them, at once and whole.

        Args:
            keystore: The file, in PEM.
            host: The name it is for.
            days: How long it is valid from now; a negative number makes one that has expired.
        """
        key, request, certificate = (
            self._folder / f"{keystore.stem}.{end}" for end in ("key", "csr", "pem")
        )
        names = ("-subj", "/CN=broker", "-addext", f"subjectAltName=DNS:{host}")
        _openssl("req", "-new", *KEY, *names, "-keyout", str(key), "-out", str(request))
        authority = ("-CA", str(self.certificate), "-CAkey", str(self._key), "-copy_extensions", "copy")
        validity = ("-days", str(days))
        _openssl("x509", "-req", *authority, *validity, "-in", str(request), "-out", str(certificate))
        draft = keystore.with_suffix(".new")
        draft.touch(0o600)
        draft.write_text(key.read_text() + certificate.read_text())
        draft.replace(keystore)


def _openssl(*arguments: str) -> None:
    """Run openssl, version 3 or later.

    Raises:
        AssertionError: It fails; has what it said.
    """
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["openssl", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=OPENSSL_S,
        check=False,
    )
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}"
