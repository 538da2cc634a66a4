"""The readable face of the requests: one file per part of the API, all of one shape."""
