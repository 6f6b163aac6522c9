"""Docket: appointment booking for clinics, where a time is never given twice."""

import gc
import zoneinfo

# By default Python reads the system's time zone data, which is as old as the system. Docket reads the installed tzdata
# package, so that every process on every machine computes the same hours and an upgrade brings changed laws. This runs
# before any other part of Docket. Zones that were loaded before keep the old data, so the cache is cleared.
zoneinfo.reset_tzpath(to=())
zoneinfo.ZoneInfo.clear_cache()

# A start creates a quarter of a million objects, and hardly any of them are in a cycle. By default every 700 objects
# trigger a search for cycles, and some searches traverse everything that was imported: a fifth of the time of a start.
# A process that goes on after its start searches more often again: see `webapp/serving/memory.py`.
gc.set_threshold(300_000, 20, 20)
