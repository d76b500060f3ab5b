"""What strangers may see of a project: badges. None of it tells an id, a ping address, or what nobody published.

Which doors show it, and how long it may be kept, is decided in web/.
"""
