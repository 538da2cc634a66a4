"""How does a result become a file here?"""
