"""Settings: what can be set is in settings.py, where it comes from in load.py."""

from __future__ import annotations

from heartfly.config.load import load, sections
from heartfly.config.server import Server
from heartfly.config.settings import Alerts, Archive, Backup, Data, Database, Log, Mail, Settings

__all__ = ["Alerts", "Archive", "Backup", "Data", "Database", "Log", "Mail", "Server", "Settings", "load", "sections"]
