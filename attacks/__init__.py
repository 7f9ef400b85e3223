"""Attacks on a running service of its own: `make attack`, and `make soak` for its long form.

Each attack is what a stranger with a laptop can send. It asserts that the service held, and prints the
figure that was seen. All of it stays on the loopback address and ends by itself.
"""
