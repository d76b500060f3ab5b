"""The letters that people get about their accounts: what they say, and what is told to whoever made one necessary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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


def until(at: datetime) -> str:
    """An end, as letters name it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
