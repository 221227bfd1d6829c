"""Wheels: reading and checking them, the canonical payload, and the number.

``read`` opens a wheel without loading it, ``check`` lists what is wrong with one, ``canonical`` makes its payload,
``numbering`` puts a number on a payload and takes it off again, ``filename`` says what a wheel's name says, ``tags``
which Python it serves.
"""

# Enters the key: raise it when ``canonical`` makes other bytes of the same wheel.
CANONICALISER_VERSION = 1
