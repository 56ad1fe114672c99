"""The same problem solved by other libraries."""
