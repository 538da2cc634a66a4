"""What is the order of one call? Begin with `pipeline.py`."""
