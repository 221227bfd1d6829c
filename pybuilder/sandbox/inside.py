"""The first process inside every sandbox. Standard library only, and no import of pybuild: it runs where we are not.

Python has no bytecode of the program that it is called with, only of what that imports: so this one imports the rest.
"""

import os
import sys

# Isolated, Python looks for nothing beside its script.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import steps

if __name__ == "__main__":
    # All is written, and nothing that Python does at its end is of use to anybody.
    os._exit(steps.main())
