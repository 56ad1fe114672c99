"""Damaged inputs for every reader (`python -m benchmarks.fuzz`), runs that are killed (`.kills`), random problems
against long double (`.problems`).
"""
