"""Who changed what, when and from where: entries that are only ever added."""
