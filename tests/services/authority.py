"""An authority that vouches for servers of the tests."""

import subprocess
from pathlib import Path

from tests.services.debian import need


class Authority:
    """Issues certificates that only those trust who have its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: The certificate of the authority itself, PEM.
        self.certificate, self._key = folder / "authority.pem", folder / "authority.key"
        itself = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests")
        self._run(*itself, "-keyout", self._key, "-out", self.certificate)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for a server of this name, and its key, both PEM."""
        certificate, key, request = (self._folder / f"{name}.{kind}" for kind in ("pem", "key", "request"))
        names = self._folder / f"{name}.names"
        names.write_text(f"subjectAltName=DNS:{name}")
        ask = ("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}")
        self._run(*ask, "-keyout", key, "-out", request)
        sign = ("x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", names, "-in", request)
        self._run(*sign, "-CA", self.certificate, "-CAkey", self._key, "-out", certificate)
        return certificate, key

    @staticmethod
    def _run(*arguments: str | Path) -> None:
        program = need("openssl", packages=("openssl",))
        subprocess.run([program, *arguments], check=True, capture_output=True)
