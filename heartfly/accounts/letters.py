"""The letters that people get about their accounts: what they say, and what is told to whoever made one necessary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from heartfly.accounts.invites import Invited
from heartfly.errors import DeliveryError, InvalidValueError
from heartfly.notify.letters import Letter, Letters

AS = {
    "owner": "You will own it together with its other owners.",
    "admin": "You will be an administrator of it.",
    "member": "You will see everything in it, and can change its checks and channels.",
    "viewer": "You will see everything in it, and change nothing.",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an invite's letter. `link`: to pass on by hand, as no mail server is set; `error`: why it did
    not go although one is.
    """

    link: str | None = None
    error: str = ""

    @property
    def is_sent(self) -> bool:
        """The mail server took it."""
        return self.link is None and not self.error


async def send_invite(letters: Letters, made: Invited, *, base_url: str, inviter: str) -> Sent:
    """`inviter`: in the words of the audit. Without a mail server the link is for the inviter.

    If there is one, nobody but who reads the mail gets the link, for it proves that he does: an inviter who had it
    could become a user under any address whose mail fails, such as one that nobody has. He sends it again instead.
    """
    link = f"{base_url}/invite?token={made.token}"
    if not letters.can_send:
        return Sent(link)
    try:
        await letters.send(invite_letter(made, link, inviter=inviter))
    except (DeliveryError, InvalidValueError) as error:
        return Sent(error=str(error))
    return Sent()


def invite_letter(made: Invited, link: str, *, inviter: str) -> Letter:
    kind, _, name = inviter.partition(":")
    by = f"{name} invites you" if kind == "user" else "You are invited"
    about = "Heartfly, which watches scheduled jobs and tells people when one fails or goes silent"
    unknown = "If you do not know what this is about, do nothing: nobody gets an account by this mail alone."
    return Letter(
        kind="invite",
        to=made.email,
        subject=f"Join {made.project} on Heartfly",
        before=(f"{by} to the project {made.project} on {about}.", AS[made.role]),
        link=link,
        link_text="Join the project",
        after=(f"The link works once, until {until(made.expires_at)}. {unknown}",),
    )


class FactorChange(StrEnum):
    """What became of a second step or a passkey, as the letter's subject says it."""

    CODE_ON = "A second step was switched on for your Heartfly account"
    CODE_REPLACED = "Another app makes the codes of your Heartfly account"
    CODE_OFF = "The second step of your Heartfly account was switched off"
    BACKUP_CODES = "Your Heartfly account has new backup codes"
    PASSKEY_ADDED = "A passkey was added to your Heartfly account"
    PASSKEY_REMOVED = "A passkey of your Heartfly account was removed"


_UNASKED = (
    "somebody knows your password: choose another one, remove what is not yours, and tell whoever runs this Heartfly "
    "at once."
)
_HELPED = "Who cannot sign in any more is helped on the server, by `heartfly user reset` and `… reset-2fa --passkeys`."


def factor_letter(email: str, change: FactorChange, *, at: datetime, place: str, base_url: str) -> Letter:
    """To the account's owner, whoever did it. `place`: the address that it was done from.

    Without the passkey's name: whoever adds one writes that, and nobody shall write to somebody else in our name.
    """
    return Letter(
        kind="factor",
        to=email,
        subject=change.value,
        before=(f"It was done at {until(at)}, from the address {place}, by somebody who is signed in as {email}.",),
        link=f"{base_url}/account/security",
        link_text="See what opens your account",
        after=(
            f"If it was not you, {_UNASKED}",
            _HELPED,
        ),
    )


def shut_letter(email: str, *, n: int, at: datetime, place: str, base_url: str) -> Letter:
    """To the account's owner. `n`: so many wrong passwords in a row; `at` and `place`: of the last of them."""
    return Letter(
        kind="shut",
        to=email,
        subject="The password of your Heartfly account is shut",
        before=(
            f"{n} wrong passwords in a row were tried for {email}, the last at {until(at)}, from the address {place}.",
            _SHUT,
        ),
        link=f"{base_url}/sign-in/reset",
        link_text="Choose a new password",
        after=(_STILL_OPEN, _NEXT_TIME),
    )


_SHUT = (
    "So that nobody goes on guessing, the password opens nothing any more, not even the right one. Here you ask for a "
    "link by which you choose another one."
)
_STILL_OPEN = "Where you are signed in you stay so until then, and a passkey signs you in as ever."
_NEXT_TIME = "You are told of this once, until you have chosen another one. With a passkey it need not concern you."


def until(at: datetime) -> str:
    """An end, as letters name it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
