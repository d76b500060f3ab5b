"""The pages that people see: a door like the API, with forms instead of keys. It decides nothing.

Every page works without JavaScript; a form posts, and is answered with a redirect or with itself and what is wrong.
"""

FIRST_SEGMENTS = frozenset(
    {
        "",
        "p",
        "setup",
        "sign-in",
        "sign-out",
        "account",
        "invite",
        "static",
        "docs",
        "system",
        "judging",
        "badge",
        "status",
        "shared",
        ".well-known",
    }
)
"""Of the paths that are pages' for whoever asks."""
