"""How do people call the requests? One file per part of the API, all of one shape."""
