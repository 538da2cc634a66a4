"""When may the next attempt go? The rate, the pauses, the retry budget and the job slots."""
