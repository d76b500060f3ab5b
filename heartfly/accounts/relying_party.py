"""What WebAuthn calls the relying party: it asks a browser to make or to show a passkey, and judges the answer.

Browsers bind a passkey to the host of the site, so it is that of `server.base_url`. Between the question and the answer
nothing is stored: the challenge travels with the question, sealed, for ten minutes. Signatures are the library's.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec

from heartfly.errors import InvalidValueError, StoreError
from heartfly.logs import logger
from heartfly.sealing import Sealer

BETWEEN = timedelta(minutes=10)
NAME = "Heartfly"
_LONGEST = 40_000
_PORTS = {"https": 443, "http": 80}

log = logger("passkeys")


@dataclass(frozen=True, slots=True)
class Party:
    host: str
    origin: str


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that a browser has just made."""

    credential: str
    public_key: bytes
    n_uses: int


class Challenge(msgspec.Struct, frozen=True, tag="passkey"):
    """What is to be signed. `user_id`: who makes a passkey; 0: whoever signs in by one."""

    text: bytes
    user_id: int
    at: datetime


def party_of(base_url: str) -> Party | None:
    """None: browsers know no passkeys there. They want https (or this very machine), and a name, not an address."""
    url = urlsplit(base_url)
    try:
        host = (url.hostname or "").encode("idna").decode().lower()
    except UnicodeError:
        return None
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        return None
    is_here = host == "localhost" or host.endswith(".localhost")
    if not host or not (url.scheme == "https" or is_here):
        return None
    port = "" if url.port in {None, _PORTS.get(url.scheme)} else f":{url.port}"
    return Party(host, f"{url.scheme}://{host}{port}")


def to_make(
    party: Party, sealer: Sealer, user_id: int, *, email: str, name: str, known: list[str], at: datetime
) -> dict[str, Any]:
    """For `navigator.credentials.create`. `known`: those that he has, so that none is made twice on one device."""
    from webauthn import base64url_to_bytes, generate_registration_options, options_to_json  # noqa: PLC0415 - 0.6 s
    from webauthn.helpers import structs  # noqa: PLC0415 - the same

    asked = Challenge(secrets.token_bytes(32), user_id, at)
    options = generate_registration_options(
        rp_id=party.host,
        rp_name=NAME,
        user_id=_handle(user_id),
        user_name=email,
        user_display_name=name or email,
        challenge=asked.text,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in known],
    )
    return {"options": json.loads(options_to_json(options)), "proof": _sealed(sealer, asked)}


def to_show(party: Party, sealer: Sealer, *, at: datetime) -> dict[str, Any]:
    """For `navigator.credentials.get`. The browser offers whatever passkeys it has for us: nobody's are named to it."""
    from webauthn import generate_authentication_options, options_to_json  # noqa: PLC0415 - see to_make
    from webauthn.helpers.structs import UserVerificationRequirement  # noqa: PLC0415 - the same

    asked = Challenge(secrets.token_bytes(32), 0, at)
    options = generate_authentication_options(
        rp_id=party.host, challenge=asked.text, user_verification=UserVerificationRequirement.REQUIRED
    )
    return {"options": json.loads(options_to_json(options)), "proof": _sealed(sealer, asked)}


def open_challenge(sealer: Sealer, text: str, *, user_id: int, now: datetime) -> Challenge | None:
    """None: it is none of ours, of somebody else, or too old."""
    if len(text) > _LONGEST:
        return None
    try:
        found = msgspec.json.decode(sealer.open(urlsafe_b64decode(text.encode("ascii"))), type=Challenge)
    except (ValueError, StoreError):
        return None  # made up, or sealed before the key was changed: he begins anew
    return found if found.user_id == user_id and found.at <= now < found.at + BETWEEN else None


def made(party: Party, asked: Challenge, answer: str) -> Made:
    """InvalidValueError: it is no answer to this challenge, here, by a person who showed that it is he."""
    from webauthn import verify_registration_response  # noqa: PLC0415 - see to_make
    from webauthn.helpers import bytes_to_base64url  # noqa: PLC0415 - the same

    try:
        found = verify_registration_response(
            credential=_parsed(answer),
            expected_challenge=asked.text,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except Exception as error:  # noqa: BLE001 - whatever its parsers make of what was sent; he and the log are told
        raise _wrong(error) from None
    return Made(bytes_to_base64url(found.credential_id), found.credential_public_key, found.sign_count)


def credential_in(answer: str) -> str:
    """By which a passkey is looked up, before anything is believed. Empty: there is none in it."""
    try:
        found = _parsed(answer).get("id", "")
    except InvalidValueError:
        return ""
    return found if isinstance(found, str) and found.isascii() and "\x00" not in found else ""


def shown(party: Party, asked: Challenge, answer: str, *, user_id: int, public_key: bytes, n_uses: int) -> int:
    """How often the passkey was used by its own count; 0 if it does not count. InvalidValueError: see `made`."""
    from webauthn import base64url_to_bytes, verify_authentication_response  # noqa: PLC0415 - see to_make

    try:
        sent = _parsed(answer)
        found = verify_authentication_response(
            credential=sent,
            expected_challenge=asked.text,
            expected_rp_id=party.host,
            expected_origin=party.origin,
            credential_public_key=public_key,
            credential_current_sign_count=n_uses,
            require_user_verification=True,
        )
        handle = sent["response"].get("userHandle")
        is_his = isinstance(handle, str) and base64url_to_bytes(handle) == _handle(user_id)
    except Exception as error:  # noqa: BLE001 - see made
        raise _wrong(error) from None
    if not is_his:
        raise _wrong(ValueError("the user handle is of somebody else"))
    return found.new_sign_count


def _parsed(answer: str) -> dict[str, Any]:
    try:
        found = json.loads(answer) if len(answer) <= _LONGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidValueError("credential", "is not what a browser answers")
    return found


def _handle(user_id: int) -> bytes:
    """What a passkey says whose it is: nothing of the person."""
    return str(user_id).encode()


def _sealed(sealer: Sealer, asked: Challenge) -> str:
    return urlsafe_b64encode(sealer.seal(msgspec.json.encode(asked))).decode()


def _wrong(error: Exception) -> InvalidValueError:
    log.info("passkey_refused", error=type(error).__name__)
    return InvalidValueError("credential", "could not be checked; try again")
