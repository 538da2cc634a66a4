"""How do bytes move? From a request to an answer, and what trouble on the way means."""
