"""The table `[accounts]`: what is demanded of people who sign in. Programs have keys, and are not meant."""

from __future__ import annotations

from typing import Literal

from heartfly.config.section import Section


class Accounts(Section, frozen=True):
    second_step: Literal["optional", "required"] = "optional"
    """`required`: of everybody a second step or a passkey; who has neither can do nothing but set one up."""

    @property
    def demands_more(self) -> bool:
        """More than a password."""
        return self.second_step == "required"
