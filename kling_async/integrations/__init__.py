"""How does Kling fit into web frameworks? Each file is imported alone, with its extra."""
