"""Docket: appointment booking for clinics, where a time is never given twice."""
