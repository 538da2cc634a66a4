"""When is a task over?"""
