"""Serves a backend's hooks; see ``serve.py``.

Python has no bytecode of the program that it is called with, only of what that imports: so this one imports the rest.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serve

if __name__ == "__main__":
    # A backend may have a module of that name.
    del sys.modules["serve"], sys.path[0]
    serve.main()
