"""The command line: parse, call the library, print. Needs the extra `cli`."""
