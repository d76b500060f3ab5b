"""`heartfly doctor`: looks at what Heartfly stands on, and says of each thing what to do, if anything.

machine.py looks at the disk, the clock and the programs, database.py into the database, mail.py at the mail server,
proxy.py at the way out by HTTP. It changes nothing, sends nothing, and takes no lock from a server that runs.
"""
