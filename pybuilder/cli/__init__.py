"""The command line: the one face that parses arguments, prints and exits."""
