"""Proofs and measurements of what Docket promises: see README.md in this folder."""
