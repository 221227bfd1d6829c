"""Wheels: reading and checking them, the canonical payload, and the number.

``read`` opens a wheel without loading it, ``check`` lists what is wrong with one, ``canonical`` makes its payload,
``numbering`` puts a number on a payload and takes it off again, ``tags`` says which Python a wheel serves.
"""
