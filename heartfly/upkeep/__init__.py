"""What an operator does to a Heartfly that is not serving: give its secrets another key, move it to another database.

reseal.py changes the key, move.py moves. Both can be killed at any point and begun again.
"""
