"""What Docket promises, shown and measured: see README.md in this folder."""
