"""How is the library used from a shell? Parse, call, print. Needs the extra `cli`."""
