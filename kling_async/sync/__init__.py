"""How do people call it who don't await? The same client, on a loop in a thread of its own."""
