"""The bare application that `benchmarks/api.py` compares the service with: Django and REST framework.

It reads the tables of the service's database, and has no middleware, limits, logs or rights.
"""
