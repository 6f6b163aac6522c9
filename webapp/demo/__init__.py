"""Demo data: a believable clinic for trying Docket out, and for checks and benchmarks."""

DEMO_PASSWORD = "docket-demo-2026"  # noqa: S105 - it is shown on the sign-in page of every demo.
DEMO_ACCOUNTS = (
    ("Patient", "patient@docket.example"),
    ("Front desk", "desk@docket.example"),
    ("Doctor", "doctor@docket.example"),
    ("Admin", "admin@docket.example"),
)
