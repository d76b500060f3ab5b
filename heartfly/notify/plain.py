"""A message as plain text, the most important first: services cut it as they must."""

from __future__ import annotations

from heartfly.notify.message import Message
from heartfly.notify.text import tail


def plain(message: Message, *, most_lines: int, tail_limit: int, with_link: bool = True) -> str:
    """Without its title. `with_link`: the address of its page at the end."""
    parts = [message.sentence, *message.why, message.note]
    parts += [f"{line.label}: {line.name} {line.text}" for line in message.lines[:most_lines]]
    if n_more := n_unnamed(message, most_lines):
        parts.append(f"+{n_more} more")
    parts.append("\n".join(f"{name}: {value}" for name, value in message.facts))
    if message.tail and tail_limit:
        parts.append(f"{message.tail_title}:\n{tail(message.tail, limit=tail_limit)}")
    if with_link:
        parts.append(message.link)
    return "\n\n".join(part for part in parts if part)


def n_unnamed(message: Message, most_lines: int) -> int:
    return message.n_more + max(0, len(message.lines) - most_lines)
