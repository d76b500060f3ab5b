"""A certificate in files, as somebody has it who takes mails, and an authority that whoever sends them trusts."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import trustme


class Identity:
    """Files of a certificate, and who trusts it."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        self.trust = ssl.create_default_context()
        self.renew()

    def renew(self) -> None:
        authority = trustme.CA()
        made = authority.issue_cert("localhost")
        self.certificate.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
        self.key.write_bytes(made.private_key_pem.bytes())
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)

    @property
    def settings(self) -> dict[str, Any]:
        return {"certificate": str(self.certificate), "key": str(self.key)}
