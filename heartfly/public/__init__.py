"""What strangers may see of a project: badges and status pages. No id, no ping address, nothing that nobody published.

Which doors show it, and how long it may be kept, is decided in web/.
"""
