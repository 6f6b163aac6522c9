"""Shared parts that every domain may import, and that import no domain."""
