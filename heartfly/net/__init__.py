"""The way out: every request that Heartfly makes to somebody else's machine.

http.py is the door; urls.py and headers.py say what may be asked, addresses.py
where it may go, connect.py connects there and nowhere else, by_proxy.py by way of a
forward proxy. Mail is not here.
"""
